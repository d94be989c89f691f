package reconcile_test

import (
	"strings"
	"testing"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/internal/reconcile"
)

func attempt(request, key string, effect actions.Effect, status engine.OutcomeStatus, unknown bool) reconcile.Attempt {
	a := reconcile.Attempt{Run: "r1", Step: "steps/0", AttemptTrace: engine.AttemptTrace{
		Part: "part", Number: 1, Effect: effect, Key: key, RequestID: request, Status: status}}
	if status == engine.Faulty {
		a.Fault = &actions.Fault{Code: "test", Unknown: unknown}
	}
	return a
}

func effects(requests ...string) []reconcile.Effect {
	var list []reconcile.Effect
	for _, r := range requests {
		list = append(list, reconcile.Effect{RequestID: r, Op: "alert.comment", Object: "alerts/a1"})
	}
	return list
}

func TestEveryKindOfDisagreementIsFound(t *testing.T) {
	t.Parallel()
	ok, fault := engine.Took, engine.Faulty
	for _, c := range []struct {
		name     string
		attempts []reconcile.Attempt
		effects  []reconcile.Effect
		want     string // part of the only complaint; "" for none
	}{
		{"all is well", []reconcile.Attempt{attempt("q1", "k1", actions.Adds, ok, false)}, effects("q1"), ""},
		{"a lost answer of something that happened", []reconcile.Attempt{attempt("q1", "k1", actions.Adds, fault, true)}, effects("q1"), ""},
		{"a lost answer of something that did not", []reconcile.Attempt{attempt("q1", "k1", actions.Once, fault, true)}, nil, ""},
		{"a converging part done twice", []reconcile.Attempt{attempt("q1", "k1", actions.Converges, fault, true), attempt("q2", "k1", actions.Converges, ok, false)}, effects("q1", "q2"), ""},
		{"in flight", []reconcile.Attempt{attempt("q1", "k1", actions.Adds, "", false)}, effects("q1"), ""},
		{"done without an intent", nil, effects("q1"), "no intent"},
		{"recorded and not done", []reconcile.Attempt{attempt("q1", "k1", actions.Adds, ok, false)}, nil, "nothing happened"},
		{"recorded as refused and done", []reconcile.Attempt{attempt("q1", "k1", actions.Adds, fault, false)}, effects("q1"), "certainly not done, but it was"},
		{"an adding part done twice", []reconcile.Attempt{attempt("q1", "k1", actions.Adds, fault, true), attempt("q2", "k1", actions.Adds, ok, false)}, effects("q1", "q2"), "done 2 times"},
		{"a once part done twice", []reconcile.Attempt{attempt("q1", "k1", actions.Once, fault, true), attempt("q2", "k1", actions.Once, ok, false)}, effects("q1", "q2"), "done 2 times"},
		{"one request carried out twice", []reconcile.Attempt{attempt("q1", "k1", actions.Converges, ok, false)}, effects("q1", "q1"), "carried out 2 times"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := reconcile.Compare(c.attempts, c.effects, nil)
			switch {
			case c.want == "" && len(got) > 0:
				t.Errorf("complaints %v, want none", got)
			case c.want != "" && (len(got) != 1 || !strings.Contains(got[0], c.want)):
				t.Errorf("complaints %q, want one that says %q", got, c.want)
			}
		})
	}
}

package engine_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/playbooks"
)

// compiler is how a lab turns recorded text into a playbook again.
type compiler func(l *lab, name string, source []byte) (*playbooks.Playbook, error)

func (c compiler) by(l *lab) func(string, []byte) (*playbooks.Playbook, error) {
	if c == nil {
		return nil
	}
	return func(name string, source []byte) (*playbooks.Playbook, error) { return c(l, name, source) }
}

func TestARunGoesOnWithTheTextThatItStartedWith(t *testing.T) {
	const old = "steps: [{action: test.put, with: {value: one}}, {action: test.put, with: {value: two}}]\n"
	const fresh = "steps: [{action: test.put, with: {value: other}}]\n"
	for _, c := range []struct {
		name    string
		restart bool
		compile compiler
		want    []string
		message string // of the parked run, "" if it succeeds
	}{
		{"in one life", false, (*lab).recompile, []string{"put one", "put two"}, ""},
		{"after a restart", true, (*lab).recompile, []string{"put one", "put two"}, ""},
		{"its text does not compile any more", true, func(*lab, string, []byte) (*playbooks.Playbook, error) {
			return nil, errors.New("there is no action test.put")
		}, []string{"put one"}, "there is no action test.put"},
		{"its text became another one", true, func(l *lab, name string, _ []byte) (*playbooks.Playbook, error) {
			return l.book(name, fresh), nil
		}, []string{"put one"}, "the journal was changed"},
		{"nobody can compile", true, nil, []string{"put one"}, "without a compiler"},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				l := newLab(t)
				l.world.Before = slow(10 * time.Second)
				l.use(l.book("changing", old))
				stop := l.run()
				synctest.Wait()
				l.deliver(numbered(1))
				time.Sleep(time.Second)
				l.use(l.book("changing", fresh))
				if c.restart {
					stop()
					l.engine = engine.New(engine.Options{Journal: l.journal, Observer: l.seen, Compile: c.compile.by(l)})
					l.engine.Use(l.set)
					stop = l.run()
				}
				wait(time.Minute)
				stop()
				if diff := cmp.Diff(c.want, l.world.Effects()); diff != "" {
					t.Errorf("done (-want +got):\n%s", diff)
				}
				run := l.load(l.ids[0]).Run
				switch {
				case c.message == "" && run.State != engine.Succeeded:
					t.Errorf("the run is %s (%s)", run.State, run.Message)
				case c.message != "" && (run.State != engine.Parked || !strings.Contains(run.Message, c.message)):
					t.Errorf("the run is %s (%s), want it parked because %s", run.State, run.Message, c.message)
				}
			})
		})
	}
}

package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/engine/memory"
)

func TestAnOutputIsKeptUpToItsLimitAndDroppedBeyondItWithTheReason(t *testing.T) {
	t.Parallel()
	p := compile(t, new(world).Registry(), "steps:\n  - {action: test.put, with: {value: a}, on_error: continue}\n")
	for _, c := range []struct {
		size int
		kept bool
	}{{engine.MaxOutput, true}, {engine.MaxOutput + 1, false}} {
		out := json.RawMessage(`"` + strings.Repeat("x", c.size-2) + `"`)
		history, _ := drive(t, begin(t, p), func(engine.Attempt) answer { return answer{out: out} })
		kept, said := false, false
		for _, e := range history {
			kept = kept || len(e.Data) > c.size
			said = said || strings.Contains(string(e.Data), fmt.Sprintf("the output has %d bytes and was dropped", c.size))
		}
		if kept != c.kept || said == c.kept {
			t.Errorf("an output of %d bytes: kept %v, refused with the reason %v", c.size, kept, said)
		}
	}
}

func TestOneDecisionAddsNoMoreToTheRecordThanItMay(t *testing.T) {
	t.Parallel()
	for items, more := range map[int]bool{engine.MaxRecord / 8: false, 4 * engine.MaxRecord: true} {
		text := fmt.Sprintf("vars: {list: %s}\nsteps:\n  - foreach: vars.list\n    concurrency: 50\n    do: [{if: item == 0, action: test.put, with: {value: a}}]\n",
			"["+strings.Repeat("1, ", items-1)+"1]")
		m := begin(t, compile(t, new(world).Registry(), text))
		went, ended := false, false
		for !ended {
			d := m.Next(epoch)
			if len(d.Record) > engine.MaxRecord {
				t.Fatalf("%d entries at once", len(d.Record))
			}
			went = went || d.More
			ended = d.State.Final()
			if !ended && !d.More {
				t.Fatalf("the run is %s", d.State)
			}
		}
		if went != more {
			t.Errorf("%d items: more than one decision %v, want %v", items, went, more)
		}
	}
}

func TestWhatPeopleAreShownIsCutBeyondItsLimit(t *testing.T) {
	t.Parallel()
	for _, beyond := range []int{0, 1} {
		title, details := strings.Repeat("ü", engine.MaxQuestionTitle+beyond), strings.Repeat("ü", engine.MaxQuestionDetails+beyond)
		m, q, _ := asked(t, "steps:\n  - {id: ok, approve: {title: \""+title+"\", details: \""+details+"\", by: [anna], within: 1h}}\n  - if: steps.ok.approved\n    then: [{stop: done}]\n", "")
		for shown, most := range map[string]int{q.Asked.Title: engine.MaxQuestionTitle, q.Asked.Details: engine.MaxQuestionDetails} {
			if n := utf8.RuneCountInString(shown); n != most || strings.HasSuffix(shown, "…") != (beyond > 0) {
				t.Errorf("%d characters are shown of %d, ending in %q", n, most+beyond, shown[len(shown)-3:])
			}
		}
		e, err := m.Answer(q.Asked.ID, engine.AnsweredData{By: "anna", Approve: true, Digest: q.Asked.Digest, Comment: strings.Repeat("ü", engine.MaxAnswerComment+beyond)}, epoch)
		if err != nil {
			t.Fatal(err)
		}
		var d engine.AnsweredData
		if err := json.Unmarshal(e.Data, &d); err != nil || utf8.RuneCountInString(d.Comment) != engine.MaxAnswerComment || strings.HasSuffix(d.Comment, "…") != (beyond > 0) {
			t.Errorf("a comment of %d characters is kept as %d (%v)", engine.MaxAnswerComment+beyond, utf8.RuneCountInString(d.Comment), err)
		}
	}
}

// alwaysSecond is a journal in which others are always a moment ahead, so many times.
type alwaysSecond struct {
	*memory.Journal
	times int
}

func (c *alwaysSecond) Admit(ctx context.Context, a engine.Admission) (engine.Receipt, error) {
	if c.times--; c.times >= 0 {
		return engine.Receipt{}, engine.ErrNotNew
	}
	return c.Journal.Admit(ctx, a)
}

func TestABatchIsDecidedAboutAnewOnlySoOften(t *testing.T) {
	t.Parallel()
	for times, want := range map[int]error{engine.MaxLooks: nil, engine.MaxLooks + 1: engine.ErrNotNew} {
		e := engine.New(engine.Options{Journal: &alwaysSecond{memory.New(), times}})
		if _, err := e.Deliver(t.Context(), engine.Batch{Events: []engine.Event{alert("")}}); !errors.Is(err, want) {
			t.Errorf("%d times others were first: %v, want %v", times, err, want)
		}
	}
}

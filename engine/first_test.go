package engine_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/engine/memory"
	"github.com/playbookd/playbookd/playbooks"
)

// Whichever is admitted second is an update, also if both were delivered at once.
func TestOfTwoVersionsThatArriveAtOnceOnlyOneIsTheFirst(t *testing.T) {
	t.Parallel()
	p := compile(t, new(world).Registry(), "steps: [{action: test.put, with: {value: x}}]\n")
	for i := range p.Triggers {
		p.Triggers[i].Poll.Created, p.Triggers[i].Poll.Updated = true, false
	}
	j := memory.New()
	e := engine.New(engine.Options{Journal: j})
	e.Use(playbooks.NewSet(p))
	for n := range 200 {
		id := fmt.Sprintf("a%d", n)
		var all sync.WaitGroup
		var matched [2]int
		for v := range matched {
			all.Go(func() {
				ev := version(id, v, fmt.Sprintf(`{"id":%q,"title":"t","status":"new","severity":"low"}`, id))
				r, err := e.Deliver(t.Context(), engine.Batch{Events: []engine.Event{ev}})
				if err != nil || r.Admitted != 1 {
					t.Errorf("%s: %+v, %v", ev.ID, r, err)
				}
				matched[v] = r.Matched
			})
		}
		all.Wait()
		if matched[0]+matched[1] != 1 {
			t.Fatalf("%s: %v runs were started for it as a new alert", id, matched)
		}
	}
}

package store

import (
	"fmt"
	"testing"

	"github.com/playbookd/playbookd/engine"
)

// However many values are asked for, no more objects are looked up one by one, and these are the newest.
func TestHistoryLooksAtSoManyObjectsWhateverTheNumberOfValues(t *testing.T) {
	t.Parallel()
	db := newTest(t)
	trait := func(field, value string) engine.Trait { return engine.Trait{Kind: "alert", Field: field, Value: value} }
	having := func(i int, traits ...engine.Trait) engine.IndexedEvent {
		return engine.IndexedEvent{Tenant: "contoso", Object: fmt.Sprint("alerts/", i), Seen: moments(i), Traits: traits}
	}
	index := func(events ...engine.IndexedEvent) {
		if err := db.Index(t.Context(), engine.Indexed{Events: events}); err != nil {
			t.Fatal(err)
		}
	}
	values := []string{"v0", "v1", "v2"}
	events := []engine.IndexedEvent{having(0, trait("user", "v0"), trait("title", "t"))} // the oldest has both
	for i := 1; i < engine.MaxHistoryScan; i++ {
		events = append(events, having(i, trait("user", values[i%len(values)])))
	}
	index(events...)
	q := engine.HistoryQuery{Tenant: "contoso", Kind: "alert", From: moments(0), To: moments(2 * engine.MaxHistoryScan), Limit: 10,
		Where: []engine.HistoryTerm{{Field: "user", Values: values}, {Field: "title", Values: []string{"t"}}}}
	for n, want := range []int{1, 0} { // at the limit, and beyond it
		if got, err := db.History(t.Context(), q); err != nil || len(got) != want {
			t.Errorf("of %d objects these are found: %v, %v", engine.MaxHistoryScan+n, got, err)
		}
		index(having(engine.MaxHistoryScan, trait("user", "v1")))
	}
}

package triggers

import (
	"context"
	"errors"
	"iter"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/playbookd/playbookd/engine"
)

// memory is a journal and a sink that keeps the promises of the real ones: all of a batch or
// nothing, positions only by compare and swap.
type memory struct {
	mu        sync.Mutex
	events    []engine.Event
	known     map[string]bool
	positions map[string]string
	batches   []engine.Batch
	fail      error // of the next deliveries
}

func newMemory() *memory { return &memory{known: map[string]bool{}, positions: map[string]string{}} }

func (m *memory) Deliver(ctx context.Context, b engine.Batch) (engine.Receipt, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := errors.Join(ctx.Err(), m.fail); err != nil {
		return engine.Receipt{}, err
	}
	if c := b.Cursor; c != nil && m.positions[c.Source] != c.From {
		return engine.Receipt{}, engine.ErrCursorMoved
	}
	var r engine.Receipt
	for _, e := range b.Events {
		if m.known[e.ID] {
			r.Duplicates++
			continue
		}
		m.known[e.ID] = true
		m.events = append(m.events, e)
		r.Admitted++
	}
	if c := b.Cursor; c != nil {
		m.positions[c.Source] = c.Position
	}
	m.batches = append(m.batches, b)
	return r, nil
}

func (m *memory) Position(_ context.Context, source string) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.positions[source], nil
}

func (m *memory) Known(_ context.Context, ids []string) (map[string]bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	known := map[string]bool{}
	for _, id := range ids {
		if m.known[id] {
			known[id] = true
		}
	}
	return known, nil
}

// all, deliveries and position read what was delivered while a source may still be running.
func (m *memory) all() []engine.Event {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.events)
}

func (m *memory) deliveries() []engine.Batch {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.batches)
}

func (m *memory) position(source string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.positions[source]
}

func (m *memory) ids() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	ids := []string{}
	for _, e := range m.events {
		ids = append(ids, e.ID)
	}
	slices.Sort(ids)
	return ids
}

func (m *memory) setFail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail = err
}

// listFunc is a Lister made of a function that knows how often it was asked, from 1.
type listFunc struct {
	mu      sync.Mutex
	queries []Query
	times   []time.Time
	list    func(n int, q Query) ([]Object, error)
}

func (l *listFunc) List(_ context.Context, q Query) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		l.mu.Lock()
		l.queries = append(l.queries, q)
		l.times = append(l.times, time.Now())
		n := len(l.queries)
		l.mu.Unlock()
		objects, err := l.list(n, q)
		for _, o := range objects {
			if !yield(o, nil) {
				return
			}
		}
		if err != nil {
			yield(Object{}, err)
		}
	}
}

// asked and when read what was asked while a source may still be running.
func (l *listFunc) asked() []Query {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.queries)
}

func (l *listFunc) when() []time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.times)
}

// fault is an error that says what it means, as Graph's do.
type fault struct {
	code  string
	after time.Duration
}

func (f fault) Error() string { return "graph: " + f.code }

func (f fault) Fault() (string, string, bool, time.Duration, bool) {
	return f.code, f.Error(), true, f.after, false
}

// run runs a source until the returned function is called, which waits for its end.
func run(t *testing.T, s Source) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("%s ended with %v", s.Name(), err)
		}
	}
}

func mustTime(t *testing.T, s string) time.Time {
	t.Helper()
	v, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

package engine_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/engine/memory"
	"github.com/playbookd/playbookd/internal/diag"
	"github.com/playbookd/playbookd/playbooks"
)

// journal is what the tests ask of a journal besides what the engine does.
type journal interface {
	engine.Journal
	Decisions(ctx context.Context, event string) ([]engine.Match, error)
}

// lab is an engine with all around it. The journal outlives the engine, as the world does.
type lab struct {
	t       *testing.T
	world   *world
	journal journal
	seen    *observer
	options engine.Options
	engine  *engine.Engine
	set     *playbooks.Set
	ids     []engine.RunID // in order of admission
}

func newLab(t *testing.T, change ...func(*lab)) *lab {
	l := &lab{t: t, world: new(world), journal: memory.New(), seen: new(observer)}
	for _, c := range change {
		c(l)
	}
	l.restart()
	return l
}

// restart makes another engine on the same journal, as another process would.
func (l *lab) restart() {
	o := l.options
	o.Journal, o.Observer = l.journal, l.seen
	if o.Compile == nil {
		o.Compile = l.recompile
	}
	l.engine = engine.New(o)
	if l.set != nil {
		l.engine.Use(l.set)
	}
}

func (l *lab) recompile(name string, source []byte) (*playbooks.Playbook, error) {
	p, findings := playbooks.CompileRecorded(name, source, playbooks.Options{Catalog: l.world.Registry()})
	return p, findings.Err()
}

// book compiles a whole playbook of the given name; a text without triggers listens to alerts.
func (l *lab) book(name, text string) *playbooks.Playbook {
	l.t.Helper()
	return l.bookCalling(name, text)
}

// bookCalling compiles a playbook that calls others.
func (l *lab) bookCalling(name, text string, called ...*playbooks.Playbook) *playbooks.Playbook {
	l.t.Helper()
	o := playbooks.Options{Catalog: l.world.Registry(), Callees: map[string]*playbooks.Playbook{}}
	for _, p := range called {
		o.Callees[p.Name] = p
	}
	if !strings.Contains(text, "triggers:") {
		text = "triggers: [{poll: {resource: alerts, every: 1m}}]\n" + text
	}
	p, findings := playbooks.Compile(name+".yaml", []byte("name: "+name+"\n"+text), o)
	for _, f := range findings {
		if f.Severity == diag.Error {
			l.t.Fatalf("playbook %s: %v\n%s", name, f, text)
		}
	}
	return p
}

func (l *lab) use(books ...*playbooks.Playbook) {
	l.set = playbooks.NewSet(books...)
	l.engine.Use(l.set)
}

// run starts the engine; stop ends it and waits.
func (l *lab) run() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan error, 1)
	e := l.engine
	go func() { over <- e.Run(ctx) }()
	return func() {
		l.t.Helper()
		cancel()
		if err := <-over; err != nil {
			l.t.Errorf("Run: %v", err)
		}
	}
}

func (l *lab) deliver(events ...engine.Event) engine.Receipt {
	l.t.Helper()
	r, err := l.engine.Deliver(context.Background(), engine.Batch{Events: events})
	if err != nil {
		l.t.Fatalf("Deliver: %v", err)
	}
	l.ids = append(l.ids, r.Started...)
	return r
}

func (l *lab) load(id engine.RunID) engine.Loaded {
	l.t.Helper()
	loaded, err := l.journal.Load(context.Background(), id)
	if err != nil {
		l.t.Fatal(err)
	}
	return loaded
}

// states counts the runs that were started by their state.
func (l *lab) states() map[engine.RunState]int {
	l.t.Helper()
	n := map[engine.RunState]int{}
	for _, id := range l.ids {
		n[l.load(id).Run.State]++
	}
	return n
}

// all fails the test unless every run stands in a state.
func (l *lab) all(want engine.RunState) {
	l.t.Helper()
	for _, id := range l.ids {
		if r := l.load(id).Run; r.State != want {
			l.t.Errorf("run %s of %s is %s (%s), want %s", id, r.Event, r.State, r.Message, want)
		}
	}
}

// each fails the test unless what was done is exactly want, in any order.
func (l *lab) each(want ...string) {
	l.t.Helper()
	got := slices.Sorted(slices.Values(l.world.Effects()))
	want = slices.Sorted(slices.Values(want)) // the caller's list may be another test's, too
	if !slices.Equal(got, want) {
		l.t.Errorf("done was %q, want %q", got, want)
	}
}

// inBubble runs a test with a clock of its own.
func inBubble(t *testing.T, test func(*testing.T)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, test)
}

// numbered makes the n-th alert.
func numbered(n int) engine.Event {
	id := fmt.Sprintf("a%d", n)
	return version(id, 1, fmt.Sprintf(`{"id":%q,"title":"alert %d","status":"new","severity":"low"}`, id, n))
}

// version makes a version of an alert.
func version(id string, n int, payload string) engine.Event {
	return engine.Event{
		ID: fmt.Sprintf("contoso/alerts/%s/%d", id, n), Tenant: "contoso", Source: "poll/alerts", Kind: "alert",
		Object: "alerts/" + id, Title: id, Payload: json.RawMessage(payload),
	}
}

// observer remembers what it was told.
type observer struct {
	mu   sync.Mutex
	told []string
	runs []engine.Run
	size int // of the history that came with the last end
}

func (o *observer) note(r engine.Run, format string, args ...any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.told = append(o.told, fmt.Sprintf(format, args...))
	o.runs = append(o.runs, r)
}

func (o *observer) RunStarted(r engine.Run) { o.note(r, "started") }
func (o *observer) StepEnded(r engine.Run, e engine.Entry) {
	o.note(r, "step %s", e.Path)
}
func (o *observer) RunPaused(r engine.Run) { o.note(r, "paused %s", r.State) }
func (o *observer) RunEnded(r engine.Run, h []engine.Entry) {
	o.note(r, "ended %s", r.State)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.size = len(h)
}

func (o *observer) all() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.told)
}

// wait lets simulated time pass until nothing happens any more.
func wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

package enginetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/playbooks"
)

// Engine is what the suite asks of an engine, besides what stands in its journal afterwards. [engine.Engine] is one.
type Engine interface {
	Use(set *playbooks.Set)
	Run(ctx context.Context) error
	Deliver(ctx context.Context, b engine.Batch) (engine.Receipt, error)
	Questions(ctx context.Context, run engine.RunID) ([]engine.Question, error)
	Answer(ctx context.Context, run engine.RunID, question string, d engine.AnsweredData) error
	Cancel(ctx context.Context, run engine.RunID, d engine.CancelData) error
	Resolve(ctx context.Context, run engine.RunID, step string, d engine.ResolveData) error
}

// patience is how long a run may take: longer than any case waits.
const patience = 30 * 24 * time.Hour

// operator is who says of a step in doubt whether it happened. The operator always knows.
const operator = "operator"

// player plays one case in a bubble of package synctest, with one death of the process at most.
type player struct {
	t     *testing.T
	suite Suite
	stage
	event engine.Event
	open  func() engine.Journal
	run   engine.RunID
	began time.Time
	said  []bool // the lines of the script, by index

	mu     sync.Mutex
	oracle oracle
	wrong  []string

	lives int // how many processes there were
	// Of the one that is alive:
	journal *mortal
	engine  Engine
	end     context.CancelFunc
	over    chan error
}

// the event of every case is a new alert.
func newAlert() engine.Event {
	return engine.Event{
		ID: "contoso/alerts/a1/1", Tenant: "contoso", Source: "poll/alerts", Kind: "alert", Object: "alerts/a1", Title: "Port scan",
		Payload: json.RawMessage(`{"id":"a1","title":"Port scan","status":"new","severity":"low"}`),
	}
}

func newPlayer(t *testing.T, s Suite, st stage, open func() engine.Journal) *player {
	p := &player{t: t, suite: s, stage: st, open: open, event: newAlert(), began: time.Now(), said: make([]bool, len(st.c.Script)),
		oracle: oracle{script: st.c.Script, asked: map[string]int{}, last: map[string]Ending{}}}
	p.run = engine.NewRunID(p.book.Name, p.event.ID)
	p.world.Before, p.world.After, p.world.Say, p.world.did = p.before, p.after, p.say, nil
	return p
}

func (p *player) complain(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wrong = append(p.wrong, fmt.Sprintf(format, args...))
}

func (p *player) since() time.Duration { return time.Since(p.began) }

// play plays the case and returns what came of it.
func (p *player) play(k Kill) Result {
	p.start(k)
	p.deliver()
	for p.since() < patience {
		synctest.Wait()
		if p.journal.dead() {
			p.restart()
			continue
		}
		l := p.load()
		if l.Run.State.Final() {
			break
		}
		if i := p.due(); i >= 0 {
			p.speak(i)
			continue
		}
		if l.Run.State == engine.Parked {
			p.settle(l)
			continue
		}
		p.sleep(l.Run)
	}
	r := p.result()
	p.stop()
	return r
}

// start starts a process that ends as k says.
func (p *player) start(k Kill) {
	p.lives++
	p.journal = newMortal(p.open(), k)
	p.engine = p.suite.Engine(engine.Options{Journal: p.journal, Workers: 4, Compile: func(name string, source []byte) (*playbooks.Playbook, error) {
		book, findings := playbooks.CompileRecorded(name, source, playbooks.Options{Catalog: p.catalog})
		return book, findings.Err()
	}})
	p.engine.Use(playbooks.NewSet(p.book))
	ctx, cancel := context.WithCancel(context.Background())
	p.end, p.over = cancel, make(chan error, 1)
	go func() { p.over <- p.engine.Run(ctx) }()
	synctest.Wait()
}

// stop ends the process and closes its journal.
func (p *player) stop() {
	p.end()
	if err := <-p.over; err != nil {
		p.complain("the engine ended with %v", err)
	}
	if c, ok := p.journal.Journal.(io.Closer); ok {
		if err := c.Close(); err != nil {
			p.complain("the journal can't be closed: %v", err)
		}
	}
}

// restart starts another process on what the dead one left.
func (p *player) restart() {
	p.stop()
	p.start(Kill{})
}

// deliver delivers the event, as its source does: until it is taken.
func (p *player) deliver() {
	for {
		r, err := p.engine.Deliver(context.Background(), engine.Batch{Events: []engine.Event{p.event}})
		switch {
		case p.journal.dead():
			p.restart()
			continue
		case err != nil:
			p.t.Fatal(err)
		case r.Admitted+r.Duplicates != 1:
			p.t.Fatalf("the event was delivered, and that came of it: %+v", r)
		}
		return
	}
}

func (p *player) load() engine.Loaded {
	l, err := p.journal.Load(context.Background(), p.run)
	if err != nil {
		p.t.Fatal(err)
	}
	return l
}

// due is the next line that it is time for somebody to say; -1: none.
func (p *player) due() int {
	for i, l := range p.c.Script {
		if l.Verb != "" && !p.said[i] && l.After <= p.since() {
			return i
		}
	}
	return -1
}

// sleep lets time pass until something may have happened.
func (p *player) sleep(run engine.Run) {
	d := time.Second
	if run.State == engine.Waiting {
		d = time.Until(run.Wake)
	}
	for i, l := range p.c.Script {
		if l.Verb != "" && !p.said[i] {
			d = min(d, l.After-p.since())
		}
	}
	select {
	case <-time.After(max(d, time.Millisecond)):
	case <-p.journal.died:
	}
}

// speak lets somebody say something, again if the process died before it was recorded.
func (p *player) speak(i int) {
	l := p.c.Script[i]
	before := p.heard(l)
	err := p.utter(l)
	if p.journal.dead() {
		p.restart()
		if p.heard(l) == before {
			return // nobody heard it: the line is still due
		}
		err = nil
	}
	p.said[i] = true
	if err != nil {
		p.complain("%s %s %s: %v", l.By, l.Verb, l.Step, err)
	}
}

// heard counts what the journal holds of somebody.
func (p *player) heard(l Line) (n int) {
	for _, e := range p.load().Entries {
		var d struct {
			By string `json:"by"`
		}
		if (e.Kind == engine.Answered || e.Kind == engine.Canceling) && json.Unmarshal(e.Data, &d) == nil && d.By == l.By {
			n++
		}
	}
	return n
}

func (p *player) utter(l Line) error {
	ctx := context.Background()
	if l.Verb == "cancels" {
		return p.engine.Cancel(ctx, p.run, engine.CancelData{By: l.By, Reason: l.Reason})
	}
	list, err := p.engine.Questions(ctx, p.run)
	if err != nil {
		return err
	}
	for _, q := range list {
		if l.Step == "" || q.Step == l.Step || q.Path == l.Step {
			return p.engine.Answer(ctx, p.run, q.Asked.ID, engine.AnsweredData{
				By: l.By, Digest: q.Asked.Digest, Approve: l.Verb == "approves", Answer: l.Answer})
		}
	}
	return errors.New("nobody is asked that")
}

// settle says of a step in doubt what really became of it.
func (p *player) settle(l engine.Loaded) {
	for _, s := range engine.Trace(p.book, l.Entries) {
		if s.Status != "uncertain" || len(s.Attempts) == 0 {
			continue
		}
		d := engine.ResolveData{By: operator, Happened: p.world.happened(s.Attempts[len(s.Attempts)-1].Key)}
		err := p.engine.Resolve(context.Background(), p.run, s.Path, d)
		switch {
		case err == nil || p.journal.dead():
			return
		case !errors.Is(err, engine.ErrNotFound): // a step that went on without knowing needs nobody
			p.complain("settling %s: %v", s.Path, err)
		}
	}
	p.t.Fatalf("the run is parked, and not because of a step in doubt: %s", l.Run.Message)
}

// before is what comes before an attempt takes effect. Each takes a little time of its own, so that no two that begin
// together end together.
func (p *player) before(ctx context.Context, c actions.Call) error {
	if p.journal.dead() {
		return errDead
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(c.Key)) // a hash never fails
	if err := p.pass(ctx, time.Duration(1000+h.Sum32()%40_000)*time.Microsecond); err != nil {
		return err
	}
	return p.ending(c).fault(false)
}

// after is what comes between an effect and its answer.
func (p *player) after(ctx context.Context, c actions.Call) error {
	e := p.latest(c)
	if err := p.pass(ctx, e.Takes); err != nil {
		return err
	}
	return e.fault(true)
}

// pass lets time pass for an attempt, for as long as anybody waits for it.
func (p *player) pass(ctx context.Context, d time.Duration) error {
	journal := p.journal
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-journal.died:
		return errDead
	}
}

// ending decides how an attempt ends.
func (p *player) ending(c actions.Call) Ending {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.oracle.next(effect(c), p.since())
}

// latest is how the latest attempt at the same ended.
func (p *player) latest(c actions.Call) Ending {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.oracle.last[effect(c)]
}

// say is what an attempt puts out.
func (p *player) say(c actions.Call) string {
	if e := p.latest(c); e.Says != "" {
		return e.Says
	}
	return inputOf(c).Value
}

//go:build linux

package powerloss

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/graph/simulator"
	"github.com/playbookd/playbookd/internal/daemon"
	"github.com/playbookd/playbookd/internal/invariant"
	"github.com/playbookd/playbookd/internal/record"
	"github.com/playbookd/playbookd/internal/sandbox"
	"github.com/playbookd/playbookd/playbooks"
	"github.com/playbookd/playbookd/store"
)

// busy is a tenant whose answers are lost now and then.
func busy(alerts int) simulator.Options {
	return simulator.Options{Seed: 3, Alerts: alerts, Faults: []simulator.Fault{
		{Method: "POST", Path: "/security/**", Every: 9, Times: 5, Drop: true, When: simulator.After},
	}}
}

// acknowledged are the pushed events that a daemon said it has, and when it said so.
type acknowledged struct {
	mu sync.Mutex
	at map[string]time.Time
}

func (a *acknowledged) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.at)
}

// pushing sends events until the returned function is called, which tells those that were taken.
func (s *site) pushing(life string, acks *acknowledged) (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for n := 0; ; n++ {
			select {
			case <-quit:
				return
			case <-time.After(15 * time.Millisecond):
			}
			id := fmt.Sprintf("%s-%d", life, n)
			if status, _ := s.push(id); status == 202 {
				acks.mu.Lock()
				acks.at[id] = time.Now()
				acks.mu.Unlock()
			}
		}
	}()
	return func() { close(quit); <-done }
}

// observed is a working life of a daemon: what its disk did, and what it did to the world.
type observed struct {
	*site
	trace   Trace
	effects []invariant.Effect // at the simulator
	told    []invariant.Effect // at the receiver
	acks    map[string]time.Time
	set     *playbooks.Set
	scratch string
	images  int
}

// observe has a daemon work, killed once and stopped once, and writes down all that its disk does.
func observe(t *testing.T, alerts int) *observed {
	s := newSite(t, busy(alerts))
	log := filepath.Join(s.Dir, "trace")
	s.disk.Keep(log)
	acks := &acknowledged{at: map[string]time.Time{}}
	for n, end := range []func(*life){(*life).kill, func(l *life) { l.stop() }} {
		l := s.start(false)
		s.up()
		stop := s.pushing(fmt.Sprint("life", n), acks)
		s.until("enough was acknowledged", func() bool { return acks.count() >= (n+1)*20 })
		end(l)
		stop()
	}
	if code := s.start(true).end(3 * time.Minute); code != 0 {
		t.Fatalf("the last daemon ended with %d", code)
	}
	o := &observed{site: s, acks: acks.at, told: s.receiver.Target().Effects, set: s.books(), scratch: t.TempDir()}
	for _, e := range s.Sim.Effects() {
		o.effects = append(o.effects, invariant.Simulated(e))
	}
	var err error
	if o.trace, err = ReadTrace(log); err != nil {
		t.Fatal(err)
	}
	return o
}

// until are those of the effects that had happened by then.
func until(effects []invariant.Effect, then time.Time) []invariant.Effect {
	var list []invariant.Effect
	for _, e := range effects {
		if !e.Time.After(then) {
			list = append(list, e)
		}
	}
	return list
}

// holds opens what a power cut left and lays it beside what had happened by then.
func (o *observed) holds(what string, image Image, then time.Time) {
	o.t.Helper()
	o.images++
	dir := filepath.Join(o.scratch, fmt.Sprint(o.images))
	if err := image.Put(dir); err != nil {
		o.t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	db, err := store.Open(o.t.Context(), filepath.Join(dir, daemon.DatabaseName), store.Options{})
	if err != nil {
		o.t.Errorf("%s: %v", what, err)
		return
	}
	defer db.Close()
	c := invariant.Case{Journal: invariant.Store(db.Reader), Books: o.set, Targets: []invariant.Target{
		{Name: "simulator", Tenant: sandbox.TenantName, Takes: invariant.ToGraph, Effects: until(o.effects, then)},
		{Name: "receiver", Takes: invariant.ToHTTP, Effects: until(o.told, then)},
	}}
	wrong, err := c.Check(o.t.Context())
	if err != nil {
		o.t.Errorf("%s: %v", what, err)
	}
	for _, w := range wrong {
		o.t.Errorf("%s: %s", what, w)
	}
	o.acknowledgedBy(what, db, then)
}

// acknowledgedBy checks that what a sender was told is stored.
func (o *observed) acknowledgedBy(what string, db *store.DB, then time.Time) {
	events := map[string]bool{}
	err := invariant.Store(db.Reader).EachEvent(o.t.Context(), func(ev engine.Event) error { events[ev.Title] = true; return nil })
	if err != nil {
		o.t.Errorf("%s: %v", what, err)
	}
	for id, at := range o.acks {
		if !at.After(then) && !events["Pushed "+id] {
			o.t.Errorf("%s: event %s was acknowledged and is not there", what, id)
		}
	}
}

// Whatever moment the power is cut at, the database opens clean and tells the truth: no effect had
// happened without an intent that survives, and no event was acknowledged that does not.
func TestWhatAPowerCutLeavesIsTheTruth(t *testing.T) {
	t.Parallel()
	most := number(t, "PLAYBOOKD_CUTS", 60)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	o := observe(t, number(t, "PLAYBOOKD_CUT_ALERTS", 60))
	syncs, exact, torn := 0, 0, 0
	for _, s := range o.trace {
		if s.Syncs() {
			syncs++
		}
	}
	// All the moments are tried if there are not too many, else an even choice of them.
	share := min(1, float64(most)/2/float64(syncs+1))
	medium := NewMedium()
	for i, s := range append(o.trace, Step{op: opSync, began: time.Now(), ended: time.Now()}) {
		last := i == len(o.trace)
		if (s.Syncs() && rng.Float64() < share) || last {
			// Just before this sync had an effect.
			exact++
			o.holds(fmt.Sprintf("step %d of %d, only what was synced", i, len(o.trace)), medium.Synced(), s.ended)
		}
		if (s.Syncs() && rng.Float64() < share) || last {
			torn++
			o.holds(fmt.Sprintf("step %d of %d, torn", i, len(o.trace)), medium.Torn(rng), s.began)
		} else if !s.Syncs() && rng.Float64() < share*float64(syncs)/float64(len(o.trace)) {
			torn++
			o.holds(fmt.Sprintf("step %d of %d, torn between syncs", i, len(o.trace)), medium.Torn(rng), s.began)
		}
		if !last {
			medium.Play(s)
		}
	}
	t.Logf("%d steps, %d syncs, %d effects, %d acknowledged; %d images synced, %d torn", len(o.trace), syncs,
		len(o.effects)+len(o.told), len(o.acks), exact, torn)
	if len(o.effects) < 10 || len(o.told) < 10 || len(o.acks) < 10 {
		t.Error("too little happened for this to say anything")
	}
	record.Keep(t, record.Suite{
		Name:  "power-loss",
		Tries: "writes down every write, sync and name of the journal's files while a daemon works, is killed and stopped, and opens what a power cut at each moment could leave",
		Holds: "the database opens clean, every effect so far has its intent in it, every acknowledged event is there, and the checker finds nothing",
		Run:   "make powerloss",
		Counts: []record.Count{{What: "syncs", N: int64(syncs)}, {What: "cuts that leave exactly what was synced", N: int64(exact)},
			{What: "cuts that tear what was not", N: int64(torn)}, {What: "effects", N: int64(len(o.effects) + len(o.told))}},
	})
}

// A daemon whose power is cut again and again goes on with what is left, and in the end everything
// was done, and nothing twice.
func TestAfterPowerCutsNothingIsLostOrDoubled(t *testing.T) {
	t.Parallel()
	cuts := number(t, "PLAYBOOKD_POWER_CUTS", 4)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 2))
	o := busy(150)
	for _, method := range []string{"PATCH", "POST"} { // so that the work lasts for all the cuts
		o.Faults = append(o.Faults, simulator.Fault{Method: method, Path: "/security/**", Times: -1, Delay: 100 * time.Millisecond, When: simulator.After})
	}
	s := newSite(t, o)
	acks := &acknowledged{at: map[string]time.Time{}}
	lost := 0
	for n := range cuts {
		log := filepath.Join(s.Dir, fmt.Sprint("trace", n))
		s.disk.Keep(log)
		before := s.files()
		l := s.start(false)
		stop := s.pushing(fmt.Sprint("cut", n), acks)
		if n%2 == 0 { // else it may still be starting
			s.up()
		}
		time.Sleep(100*time.Millisecond + time.Duration(rng.IntN(600))*time.Millisecond)
		l.kill()
		stop()
		medium := NewMedium()
		medium.Hold(before)
		trace, err := ReadTrace(log)
		if err != nil {
			t.Fatal(err)
		}
		for _, step := range trace {
			medium.Play(step)
		}
		image := medium.Torn(rng)
		if rng.IntN(2) == 0 {
			image = medium.Synced()
		}
		if !maps.EqualFunc(image, s.files(), func(a, b []byte) bool { return string(a) == string(b) }) {
			lost++
		}
		s.replace(image)
	}
	s.disk.Keep("")
	if code := s.start(true).end(3 * time.Minute); code != 0 {
		t.Fatalf("the last daemon ended with %d", code)
	}
	s.truth()
	counts := s.counts()
	t.Logf("%d cuts of which %d lost something, %d effects, %d messages, runs %v", cuts, lost, len(s.Sim.Effects()), len(s.receiver.Target().Effects), counts)
	if counts[engine.Ready]+counts[engine.Waiting]+counts[engine.Failed] > 0 {
		t.Errorf("runs %v, want all succeeded, or parked for a once-step that was cut off", counts)
	}
	record.Keep(t, record.Suite{
		Name:   "power-cuts",
		Tries:  "cuts the power of a working daemon again and again: what was not synced is gone, or torn, and the next daemon goes on with the rest",
		Holds:  "in the end every run is over or waits for a person, nothing is lost and nothing was done twice",
		Run:    "make powerloss",
		Counts: []record.Count{{What: "power cuts", N: int64(cuts)}, {What: "cuts that lost something", N: int64(lost)}},
	})
}

package soak_test

import (
	"cmp"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// event is something that happens to the world.
type event struct {
	after time.Duration
	do    func()
}

// plan is all that happens within some days, made from the seed alone.
type plan struct {
	w      *world
	rng    *rand.Rand
	days   int
	events []event
}

// at plans something for a moment that nothing else has.
func (p *plan) at(d time.Duration, do func()) {
	p.events = append(p.events, event{d + time.Duration(p.rng.Int64N(int64(time.Second))), do})
}

// often plans something so many times a day, at random moments.
func (p *plan) often(perDay float64, do func(rng *rand.Rand)) {
	span := time.Duration(p.days) * 24 * time.Hour
	for range int(perDay * float64(p.days)) {
		rng := rand.New(rand.NewPCG(p.rng.Uint64(), 1))
		p.at(time.Duration(p.rng.Int64N(int64(span))), func() { do(rng) })
	}
}

// newPlan makes the plan of a seed.
func newPlan(w *world, days int) *plan {
	p := &plan{w: w, rng: rand.New(rand.NewPCG(w.seed, 0x50a4)), days: days}
	for day := range days {
		rng := rand.New(rand.NewPCG(p.rng.Uint64(), 2))
		p.at(time.Duration(day)*24*time.Hour, func() {
			for _, g := range invent(rng, 24) {
				p.later(rng, g)
			}
		})
	}
	p.often(0.15, func(rng *rand.Rand) { w.storm(rng, 40+rng.IntN(80)) })
	p.often(30, w.meddle)
	p.often(12, w.push)
	p.often(4, func(*rand.Rand) { w.decide() })
	p.often(20, w.answer)
	p.often(3, w.turnClock)
	p.often(2, w.turnOwnClock)
	p.often(1, w.edit)
	p.often(0.7, func(*rand.Rand) { w.stop(); w.weather.count("restarts in order", 1); w.start() })
	p.often(0.7, func(*rand.Rand) { w.crash(); w.weather.count("crashes", 1); w.start() })
	p.often(1, func(rng *rand.Rand) { w.crashInChange(rng.IntN(2) == 0); w.start() })
	p.outages()
	return p
}

// later lets a group appear within the day that begins now.
func (p *plan) later(rng *rand.Rand, g group) {
	p.add(time.Since(p.w.born)+time.Duration(rng.Int64N(int64(24*time.Hour))), func() { p.w.appear(g) })
}

// add plans something while the plan is carried out.
func (p *plan) add(after time.Duration, do func()) {
	at, _ := slices.BinarySearchFunc(p.events, after, func(e event, d time.Duration) int { return cmp.Compare(e.after, d) })
	p.events = slices.Insert(p.events, at, event{after, do})
}

// outages plans when what does not work at all: some for minutes, some for hours, one for a whole day.
func (p *plan) outages() {
	now := time.Now()
	span := time.Duration(p.days) * 24 * time.Hour
	kinds := outageKinds()
	for i := range max(2, p.days) {
		from := now.Add(time.Duration(p.rng.Int64N(int64(span))))
		length := time.Duration(1+p.rng.IntN(20)) * time.Minute
		if i%3 == 0 {
			length = time.Duration(1+p.rng.IntN(5)) * time.Hour
		}
		p.w.weather.outages = append(p.w.weather.outages, outage{from, from.Add(length), kinds[p.rng.IntN(len(kinds))]})
	}
	if p.days > 3 {
		from := now.Add(time.Duration(p.rng.Int64N(int64(span - 48*time.Hour))))
		p.w.weather.outages = append(p.w.weather.outages, outage{from, from.Add(25 * time.Hour), kinds[p.rng.IntN(len(kinds))]})
	}
	p.w.weather.count("outages", int64(len(p.w.weather.outages)))
}

// live carries the plan out.
func (p *plan) live() {
	slices.SortStableFunc(p.events, func(a, b event) int { return cmp.Compare(a.after, b.after) })
	for len(p.events) > 0 && !p.w.t.Failed() {
		e := p.events[0]
		p.events = p.events[1:]
		time.Sleep(e.after - time.Since(p.w.born))
		p.w.apart()
		e.do()
	}
}

// turnClock sets the service's clock: by seconds, minutes or hours, ahead of ours or behind it.
func (w *world) turnClock(rng *rand.Rand) {
	unit := []time.Duration{time.Second, time.Minute, 10 * time.Minute, time.Hour}[rng.IntN(4)]
	w.sim.SetClock(time.Duration(rng.IntN(9)-4) * unit)
	w.weather.count("steps of the service's clock", 1)
}

// turnOwnClock sets the daemon's own clock, ahead or back, or sets it right again.
func (w *world) turnOwnClock(rng *rand.Rand) {
	wrong := time.Duration(rng.IntN(9)-4) * []time.Duration{time.Second, time.Minute, 10 * time.Minute, time.Hour}[rng.IntN(4)]
	if w.skew.Load() != 0 {
		wrong = 0
	}
	if by := wrong - time.Duration(w.skew.Swap(int64(wrong))); by < 0 {
		w.weather.count("steps back of the daemon's own clock", 1)
	} else if by > 0 {
		w.weather.count("steps ahead of the daemon's own clock", 1)
	}
}

// edit changes the text of a playbook, and now and then breaks it for a while.
func (w *world) edit(rng *rand.Rand) {
	w.t.Helper()
	files, err := filepath.Glob(filepath.Join(w.dir, "playbooks", "*.yaml"))
	if err != nil || len(files) == 0 {
		w.t.Fatal(files, err)
	}
	name := files[rng.IntN(len(files))]
	text, err := os.ReadFile(name)
	if err != nil {
		w.t.Fatal(err)
	}
	good := strings.TrimSuffix(string(text), "\n") + "\n# Looked over.\n"
	base := filepath.Join("playbooks", filepath.Base(name))
	if rng.IntN(2) == 0 {
		w.write(base, good+"\nsteps: {")
		time.Sleep(time.Duration(1+rng.IntN(30)) * time.Minute)
		w.weather.count("playbooks broken for a while", 1)
	}
	w.write(base, good)
	w.weather.count("playbooks edited", 1)
}

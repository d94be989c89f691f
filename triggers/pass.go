package triggers

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/internal/mutant"
)

// The limits of one pass.
const (
	// MaxBatchEvents and MaxBatchBytes bound what is held in memory and admitted at once. A single
	// object larger than MaxBatchBytes makes a batch of its own.
	MaxBatchEvents = 100
	MaxBatchBytes  = 4 << 20
	// MaxPasses is how often one poll reads the same window because rows may have slipped through
	// the pages. If the last of them still finds such rows, the position stays.
	MaxPasses = 5
	// OnePage is up to how many objects a pass is taken to fit one page, whatever page size the
	// service chose: no page is known to be as short while another follows.
	OnePage = 20

	// literal is a time as Graph reads it. Cutting off what is finer only widens the window.
	literal = "2006-01-02T15:04:05.0000000Z"

	pageOfAlerts    = 500
	pageOfIncidents = 50 // with their alerts they are large, and Graph fails on large answers
)

// errNotSettled means that a window changed too fast to be read completely. What was found is
// admitted; the position stays.
var errNotSettled = fmt.Errorf("the list kept changing while it was read, %d times over; "+
	"the position stays and the next poll reads the same again", MaxPasses)

// errStart means that no bound can be made.
var errStart = errors.New("the stored position is not a time")

// found is what one pass over a window met.
type found struct {
	objects int
	fresh   int       // events that the journal did not know
	behind  int       // of these, updated no later than the end of the pass before
	highest time.Time // the latest update seen, among those that may move the position
	late    time.Duration
	last    []engine.Event // new ones that are not delivered yet
	cursor  *engine.Cursor // that was delivered with the last of them
}

// poll reads what changed since the position and moves it.
func (p *Poller) poll(ctx context.Context, s PollSettings, swept sweeps) error {
	stored, err := p.journal.Position(ctx, p.Name())
	if err != nil {
		return fmt.Errorf("reading the position: %w", err)
	}
	start, position, err := p.window(stored, swept.floor, s)
	if err != nil {
		return err
	}
	total, err := p.read(ctx, s, start, position, func(highest time.Time) *engine.Cursor {
		if !highest.After(position) {
			return nil // never backwards
		}
		return &engine.Cursor{Source: p.Name(), From: stored, Position: formatTime(highest)}
	})
	if err != nil {
		return err
	}
	if total.cursor != nil {
		stored = total.cursor.Position
	}
	p.mu.Lock()
	p.state.LastSuccess, p.state.Known = time.Now(), p.began
	p.state.Position = stored
	p.learn(total.late)
	p.mu.Unlock()
	p.done()
	return nil
}

// window is where the next pass starts, and the position behind it. Our clock has a say only
// where it makes the window wider: before there is a position, and when the position lies in
// our future. It never starts before the floor, the beginning of the first look-back: what
// happened earlier is nobody's wish, however far overlaps and sweeps reach.
func (p *Poller) window(stored string, floor time.Time, s PollSettings) (start, position time.Time, err error) {
	now := p.now()
	if stored == "" {
		return now.Add(-s.First), time.Time{}, nil
	}
	position, ok := parseTime(stored)
	if !ok {
		return start, position, fmt.Errorf("%s: %w: %.40q", p.Name(), errStart, stored)
	}
	p.mu.Lock()
	overlap := p.overlapLocked()
	p.mu.Unlock()
	start = position
	if start.After(now) {
		start = now
	}
	return p.above(floor, start.Add(-overlap), s), position, nil
}

// above raises a start to the floor, unless our clock was ahead when the floor was made.
func (p *Poller) above(floor, start time.Time, s PollSettings) time.Time {
	if first := p.now().Add(-s.First); floor.After(first) {
		floor = first
	}
	if start.Before(floor) {
		return floor
	}
	return start
}

// overlapLocked is the overlap in use: the one set, or twice the lateness seen if that is more.
func (p *Poller) overlapLocked() time.Duration {
	return max(p.settings.Overlap, min(2*p.state.Lateness, MaxOverlap))
}

// learn widens the overlap when objects surface later than it allows.
func (p *Poller) learn(late time.Duration) {
	p.state.Lateness = max(p.state.Lateness, late)
	p.state.Overlap = p.overlapLocked()
}

// sweeps is what a poller remembers of its sweeps.
type sweeps struct {
	stored string    // as the journal holds it: "LAST/FLOOR"
	last   time.Time // when the last complete one began; zero: there was none
	floor  time.Time // where the first look-back of all began
}

func (w sweeps) String() string { return formatTime(w.last) + "/" + formatTime(w.floor) }

// swept reads what is remembered. What can't be read counts as no sweep at all.
func (p *Poller) swept(ctx context.Context) (sweeps, error) {
	stored, err := p.journal.Position(ctx, p.sweepName())
	if err != nil {
		return sweeps{}, fmt.Errorf("reading the time of the last sweep: %w", err)
	}
	w := sweeps{stored: stored}
	last, floor, _ := strings.Cut(stored, "/")
	w.last, _ = parseTime(last)
	w.floor, _ = parseTime(floor)
	p.mu.Lock()
	p.state.LastSweep = w.last
	p.mu.Unlock()
	return w, nil
}

// sweep looks again much further back, now and then, for what surfaced later than the overlap
// allows. It moves no position but its own, which is the time of the last complete one.
func (p *Poller) sweep(ctx context.Context, s PollSettings, w sweeps) error {
	now := p.now()
	next := sweeps{last: now, floor: w.floor}
	if w.stored == "" {
		next.floor = p.began.Add(-s.First) // the first poll has just looked back as far as was asked for
	}
	done := &engine.Cursor{Source: p.sweepName(), From: w.stored, Position: next.String()}
	if w.stored == "" {
		return p.deliver(ctx, engine.Batch{Cursor: done})
	}
	if !w.last.After(now) && now.Sub(w.last) < s.SweepEvery || time.Now().Before(p.sweepAfter) {
		return nil
	}
	p.sweepAfter = time.Now().Add(DefaultOverlap) // if it fails: not again with each poll
	at, err := p.journal.Position(ctx, p.Name())
	if err != nil {
		return fmt.Errorf("reading the position: %w", err)
	}
	start, position, err := p.window(at, w.floor, s)
	if err != nil {
		return err
	}
	if back := position.Add(-s.SweepBack); !position.IsZero() && back.Before(start) {
		start = p.above(w.floor, back, s)
	}
	total, err := p.read(ctx, s, start, position, func(time.Time) *engine.Cursor { return done })
	if err != nil {
		return fmt.Errorf("sweep: %w", err)
	}
	p.sweepAfter = time.Time{}
	if total.fresh > 0 {
		p.log.WarnContext(ctx, "a sweep found objects that surfaced late", "count", total.fresh, "lateness", total.late)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state.LastSweep = now
	p.learn(total.late)
	return nil
}

// read admits all that a window holds, and with the last batch the position that finish makes of
// the latest update. It gets there only if every row was seen: a window of several pages is read
// until a pass finds nothing new behind the end of the one before. What changes during a pass
// comes after that end and is left to the next poll, so the latest update handed to finish is an
// end that a second pass has confirmed.
func (p *Poller) read(ctx context.Context, s PollSettings, start, position time.Time,
	finish func(highest time.Time) *engine.Cursor,
) (found, error) {
	var total found
	for pass := 1; ; pass++ {
		f, err := p.pass(ctx, s, start, position, total.highest)
		p.count(f)
		total.objects += f.objects
		total.fresh += f.fresh
		total.late = max(total.late, f.late)
		if err != nil {
			return total, err
		}
		confirmed := pass > 1 && f.behind == 0
		if f.highest.After(total.highest) && (!confirmed || f.fresh == 0) {
			total.highest = f.highest
		}
		whole := confirmed || f.objects <= OnePage || f.fresh == 0 || mutant.On(mutant.OnePass)
		last := engine.Batch{Events: f.last}
		if whole {
			total.cursor = finish(total.highest)
			last.Cursor = total.cursor
		}
		if err := p.deliver(ctx, last); err != nil {
			return total, err
		}
		if whole {
			return total, nil
		}
		if pass == MaxPasses {
			return total, errNotSettled
		}
	}
}

// count adds a pass to what the state tells.
func (p *Poller) count(f found) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state.Passes++
	p.state.Objects += int64(f.objects)
	p.state.Fresh += int64(f.fresh)
}

// page counts a page that arrived.
func (p *Poller) page() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state.Pages++
}

// deliver hands over a batch, unless it is empty.
func (p *Poller) deliver(ctx context.Context, b engine.Batch) error {
	if len(b.Events) == 0 && b.Cursor == nil {
		return nil
	}
	if b.Cursor != nil && len(b.Events) > 0 && mutant.On(mutant.CursorFirst) {
		if _, err := p.sink.Deliver(ctx, engine.Batch{Cursor: b.Cursor}); err != nil {
			return err
		}
		b.Cursor = nil
	}
	if _, err := p.sink.Deliver(ctx, b); err != nil {
		return fmt.Errorf("admitting %d events: %w", len(b.Events), err)
	}
	return nil
}

// pass reads a window once, batch by batch.
func (p *Poller) pass(ctx context.Context, s PollSettings, start, position, before time.Time) (found, error) {
	f, err := p.list(ctx, s, start, position, before)
	if err != nil && f.objects == 0 && !p.unordered && refused(err) {
		// The order is a wish that the documentation does not grant: ask without it.
		p.unordered = true
		p.log.InfoContext(ctx, "the service refuses to order the list; asking without", "err", err)
		f, err = p.list(ctx, s, start, position, before)
		if err != nil && refused(err) {
			p.unordered = false // it was something else
		}
	}
	return f, err
}

// query asks for everything updated since start. Newest first, because then a change during the
// reading repeats rows more often than it skips them.
func (p *Poller) query(s PollSettings, start time.Time) Query {
	q := Query{Filter: "lastUpdateDateTime ge " + start.UTC().Format(literal), Top: pageOfAlerts, OnPage: p.page}
	if s.Filter != "" {
		q.Filter += " and (" + s.Filter + ")"
	}
	if !p.unordered {
		q.OrderBy = "lastUpdateDateTime desc"
	}
	if p.resource == "incidents" {
		q.Top = pageOfIncidents
		if s.Expand {
			q.Expand = "alerts"
		}
	}
	return q
}

// list follows the pages of one listing. All but the last events are admitted on the way.
func (p *Poller) list(ctx context.Context, s PollSettings, start, position, before time.Time) (found, error) {
	var f found
	pending := newBatch()
	for o, err := range p.lister.List(ctx, p.query(s, start)) {
		if err != nil {
			// What was read is worth keeping: the next attempt has less to do.
			return f, errors.Join(err, p.admit(ctx, &f, pending, position, before))
		}
		f.objects++
		e := p.event(ctx, o, p.now())
		if pending.ids[e.ID] {
			continue
		}
		if pending.full(len(e.Payload)) {
			if err := p.admit(ctx, &f, pending, position, before); err != nil {
				return f, err
			}
			pending = newBatch()
		}
		pending.add(e)
		p.raise(ctx, &f, o.Updated, e.ID)
	}
	if err := ctx.Err(); err != nil {
		return f, err // an iterator that merely stops has not read to the end
	}
	fresh, err := p.fresh(ctx, &f, pending, position, before)
	f.last = fresh
	return f, err
}

// raise keeps the latest update seen.
func (p *Poller) raise(ctx context.Context, f *found, updated, event string) {
	t, ok := parseTime(updated)
	if !ok || !t.After(f.highest) {
		return
	}
	if t.After(p.now().Add(MaxAhead)) {
		p.log.WarnContext(ctx, "an object is dated far in the future; it does not move the position", "event", event)
		return
	}
	f.highest = t
}

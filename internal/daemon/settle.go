package daemon

import (
	"context"
	"net/http"
	"path/filepath"
	"time"

	"github.com/playbookd/playbookd/engine"
)

// Database is the path of the journal's file.
func (d *Daemon) Database() string { return filepath.Join(d.c.Data, DatabaseName) }

// Webhooks is what the listener serves below [triggers.WebhookPrefix], for those who leave it out.
func (d *Daemon) Webhooks() http.Handler { return d.webhooks }

// PollNow makes every poller look at once.
func (d *Daemon) PollNow() {
	for _, p := range d.pollers {
		p.Poke()
	}
}

// FireSchedules makes the event of this minute for every schedule.
func (d *Daemon) FireSchedules(ctx context.Context) error { return d.schedule.Fire(ctx) }

// Settling returns a function that says whether there is nothing left to do: no run is under way,
// and every poller has completed a look that began after that was so and brought nothing new, and no clock is due. It
// is to be called again and again; it makes the pollers look when it wants to know.
func (d *Daemon) Settling() func(ctx context.Context) (bool, error) {
	var quiet time.Time // since when nothing is under way; zero: something is
	runs := 0
	still := func(ctx context.Context) (bool, error) {
		counts, err := d.db.Counts(ctx)
		if err != nil {
			return false, err
		}
		total := 0
		for _, n := range counts {
			total += n
		}
		if counts[engine.Ready]+counts[engine.Waiting] > 0 || total != runs {
			quiet, runs = time.Time{}, total
			return false, nil
		}
		return true, nil
	}
	return func(ctx context.Context) (bool, error) {
		if ok, err := still(ctx); !ok {
			return false, err
		}
		if quiet.IsZero() {
			quiet = time.Now()
			d.PollNow()
			return false, nil
		}
		for _, s := range d.Polls() {
			if s.Failures > 0 {
				d.PollNow()
			}
			if !s.LastAttempt.After(quiet) || s.LastSuccess.Before(s.LastAttempt) {
				return false, nil
			}
			if d.clocks.State().LastLook.Before(s.LastSuccess) { // a stage may come due with what the poll has read
				d.clocks.Wake()
				return false, nil
			}
		}
		// What the last of these looks brought may have begun after the runs were counted.
		return still(ctx)
	}
}

package store

import (
	"errors"
	"sync"
	"time"

	"github.com/mattn/go-sqlite3"

	"github.com/playbookd/playbookd/internal/meter"
)

// Stats tells what the writer has done since the database was opened.
type Stats struct {
	Commits int64 // transactions that were committed
	Aborted int64 // transactions that were not
	Works   int64 // writes that were taken
	Failed  int64 // writes that were answered with an error
	Largest int   // the largest group
	// Groups counts the groups by size: Groups[i] had at most 1<<i writes, and more than the
	// ones before.
	Groups [8]int64
	Busy   time.Duration // spent in transactions
	Last   time.Duration // the last transaction took
	Took   meter.Distribution
	// LastCommit is when something was last committed; zero: nothing was yet.
	LastCommit time.Time
	// Trouble is why SQLite could not write the last time that it was asked to; nil if it could.
	Trouble error
}

// stats collects Stats.
type stats struct {
	took *meter.Histogram

	mu sync.Mutex
	s  Stats
}

func newStats() stats { return stats{took: meter.NewHistogram(meter.Short())} }

func (c *stats) add(group, failed int, err, trouble error, took time.Duration) {
	committed := err == nil
	c.took.Observe(took)
	c.mu.Lock()
	defer c.mu.Unlock()
	if committed {
		c.s.Commits++
		c.s.LastCommit = time.Now()
	} else {
		c.s.Aborted++
	}
	c.s.Works += int64(group)
	c.s.Failed += int64(failed)
	c.s.Largest = max(c.s.Largest, group)
	c.s.Groups[bucket(group, len(c.s.Groups))]++
	c.s.Busy += took
	c.s.Last = took
	c.s.Trouble = trouble
}

func bucket(group, n int) int {
	i := 0
	for i < n-1 && group > 1<<i {
		i++
	}
	return i
}

// Stats tells what the writer has done since the database was opened.
func (db *DB) Stats() Stats {
	db.writer.stats.mu.Lock()
	defer db.writer.stats.mu.Unlock()
	s := db.writer.stats.s
	s.Took = db.writer.stats.took.Load()
	s.Trouble = explain(db.path, s.Trouble)
	return s
}

// troubleOf is the first error of a group that is SQLite's own: of the disk, of a lock, of damage.
// That a write did not fit what the journal holds is its caller's affair.
func troubleOf(group []*work, err error) error {
	var e sqlite3.Error
	if errors.As(err, &e) {
		return err
	}
	for _, item := range group {
		if errors.As(item.err, &e) && e.Code != sqlite3.ErrConstraint {
			return item.err
		}
	}
	return nil
}

package store

import (
	"sync"
	"time"
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
}

// stats collects Stats.
type stats struct {
	mu sync.Mutex
	s  Stats
}

func (c *stats) add(group, failed int, committed bool, took time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if committed {
		c.s.Commits++
	} else {
		c.s.Aborted++
	}
	c.s.Works += int64(group)
	c.s.Failed += int64(failed)
	c.s.Largest = max(c.s.Largest, group)
	c.s.Groups[bucket(group, len(c.s.Groups))]++
	c.s.Busy += took
	c.s.Last = took
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
	return db.writer.stats.s
}

package engine

import (
	"slices"
	"sync"
	"time"
)

// Patience is how long a pushed event may wait for a worker before its run is left to the loop. A
// run that begins with its event needs one write less and is never read back, so when events come
// faster than runs end, taking them a little later gets all of them done sooner.
const Patience = 100 * time.Millisecond

// minPatience is what is left of patience while workers don't get free, as when all of them wait
// for slow answers.
const minPatience = time.Millisecond

// workers are how many runs may be in progress. The loop takes them for what the journal says is
// ready; a Deliver takes one for a run that it begins, and only when nothing older is left to the
// loop.
type workers struct {
	most int

	mu       sync.Mutex
	busy     int
	behind   int             // rises with every run that was left to the loop
	caughtUp int             // the value of behind up to which the loop has started everything
	waiting  []chan struct{} // Delivers that wait, first come first; closed when they have a worker
	patience time.Duration
}

func newWorkers(most int) *workers {
	return &workers{most: most, patience: Patience, behind: 1} // what an earlier process left
}

// count returns how many are busy.
func (w *workers) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.busy
}

// take takes a worker for the loop, if one is free.
func (w *workers) take() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.busy >= w.most {
		return false
	}
	w.busy++
	return true
}

// await takes a worker for a Deliver. One that is patient waits for it a moment.
func (w *workers) await(patient bool) bool {
	w.mu.Lock()
	if w.busy < w.most && w.behind == w.caughtUp && len(w.waiting) == 0 {
		w.busy++
		w.mu.Unlock()
		return true
	}
	if !patient {
		w.mu.Unlock()
		return false
	}
	given, patience := make(chan struct{}), w.patience
	w.waiting = append(w.waiting, given)
	w.mu.Unlock()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-given:
	case <-timer.C:
	}
	return w.got(given)
}

// got says whether somebody who waited has a worker now, and learns from it how long to wait.
func (w *workers) got(given chan struct{}) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if i := slices.Index(w.waiting, given); i >= 0 {
		w.waiting = slices.Delete(w.waiting, i, i+1)
		w.patience = max(w.patience/2, minPatience)
		return false
	}
	w.patience = min(2*w.patience, Patience)
	return true
}

// give gives a worker back.
func (w *workers) give() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.busy--
	w.grant()
}

// leave notes that a run was left to the loop: what comes later waits until it was started.
func (w *workers) leave() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.behind++
}

// left returns what the loop says to catchUp once it has started all that the journal holds.
func (w *workers) left() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.behind
}

// catchUp notes that everything was started that had been left to the loop at a time.
func (w *workers) catchUp(left int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.caughtUp = left
	w.grant()
}

func (w *workers) grant() {
	for w.behind == w.caughtUp && w.busy < w.most && len(w.waiting) > 0 {
		close(w.waiting[0])
		w.waiting = w.waiting[1:]
		w.busy++
	}
}

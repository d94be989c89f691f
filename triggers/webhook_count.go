package triggers

import "github.com/playbookd/playbookd/internal/meter"

// MaxHookCounts is how many pairs of webhook and status are counted apart; what comes later is
// counted by status alone.
const MaxHookCounts = 1000

// hookStatus is an answer that a webhook gave. A hook that does not exist has the path "".
type hookStatus struct {
	path   string
	status int
}

func newHookCounts() *meter.By[hookStatus, meter.Counter] {
	return meter.NewBy(MaxHookCounts, func(k hookStatus) hookStatus { return hookStatus{"other", k.status} },
		func() *meter.Counter { return &meter.Counter{} })
}

// EachCount tells how many requests each webhook answered with each status since the start. The
// path is "" for requests to webhooks that do not exist.
func (w *Webhooks) EachCount(f func(path string, status int, n float64)) {
	w.counts.Each(func(k hookStatus, c *meter.Counter) { f(k.path, k.status, c.Load()) })
}

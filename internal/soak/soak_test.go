//go:debug randautoseed=0
package soak_test

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/playbookd/playbookd/graph/simulator"
	"github.com/playbookd/playbookd/internal/record"
)

// seeds and days say how much is lived: little with all the other tests, more where somebody asks.
func seeds(t *testing.T) []uint64 {
	t.Helper()
	list := []uint64{1}
	if text := os.Getenv("PLAYBOOKD_SOAK_SEEDS"); text != "" {
		list = nil
		for word := range strings.SplitSeq(text, ",") {
			n, err := strconv.ParseUint(strings.TrimSpace(word), 10, 64)
			if err != nil {
				t.Fatalf("PLAYBOOKD_SOAK_SEEDS=%q: want numbers separated by commas", text)
			}
			list = append(list, n)
		}
	}
	return list
}

func days(t *testing.T) int {
	t.Helper()
	text := os.Getenv("PLAYBOOKD_SOAK_DAYS")
	if text == "" {
		return 2
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("PLAYBOOKD_SOAK_DAYS=%q: want a number above 0", text)
	}
	return n
}

// behaviour lets pages be short, empty, and many.
func behaviour() simulator.Behaviour {
	return simulator.Behaviour{MaxTop: 25, ShortPageEvery: 5, EmptyPageEvery: 7}
}

func TestWeeksOfBadWeatherLoseNothingAndDoNothingTwice(t *testing.T) {
	t.Parallel()
	days, seeds := days(t), seeds(t)
	counts := tally{}
	t.Run("seeds", func(t *testing.T) { // returns when all of them are over
		for _, seed := range seeds {
			t.Run(fmt.Sprint(seed), func(t *testing.T) {
				t.Parallel()
				t.Logf("the same again: PLAYBOOKD_SOAK_SEEDS=%d PLAYBOOKD_SOAK_DAYS=%d go test ./internal/soak -run Weeks", seed, days)
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, seed, 8, simulator.Options{Behaviour: behaviour()})
					w.live(days)
					w.settle()
					w.check()
					counts.add(w)
				})
			})
		}
	})
	record.Keep(t, record.Suite{
		Name: "simulated-time", Tries: "the whole daemon lives weeks of one-minute polls in simulated time, while all that can go wrong does",
		Holds: "nothing is lost, done twice, undecided or stuck, as the journal says and as users see it", Run: "make soak",
		Counts: counts.list(len(seeds), days),
	})
}

func TestTheSameSeedIsTheSameLife(t *testing.T) {
	t.Parallel()
	var digests []string
	var lines []map[string]bool
	for range 2 {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, 11, 1, simulator.Options{Behaviour: behaviour()})
			w.live(1)
			w.stop()
			digests, lines = append(digests, w.digest()), append(lines, w.lines())
		})
	}
	if digests[0] == digests[1] {
		return
	}
	t.Errorf("two lives of one seed left journals that differ: %s and %s", digests[0], digests[1])
	for i := range lines {
		shown := 0
		for _, l := range slices.Sorted(maps.Keys(lines[i])) {
			if !lines[1-i][l] && shown < 5 {
				t.Logf("only in life %d: %.600s", i+1, l)
				shown++
			}
		}
	}
}

// tally adds up what all seeds tried.
type tally struct {
	mu  sync.Mutex
	all map[string]int64
}

func (c *tally) add(w *world) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all == nil {
		c.all = map[string]int64{}
	}
	for what, n := range w.weather.counts {
		c.all[what] += n
	}
	c.all["changes in the simulator's log"] += int64(len(w.sim.Effects()))
}

func (c *tally) list(seeds, days int) []record.Count {
	counts := []record.Count{{What: "seeds", N: int64(seeds)}, {What: "simulated days", N: int64(seeds * days)}}
	for _, what := range slices.Sorted(maps.Keys(c.all)) {
		counts = append(counts, record.Count{What: what, N: c.all[what]})
	}
	return counts
}

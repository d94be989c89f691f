package sweep

import (
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/playbookd/playbookd/internal/record"
)

// What to try. Nothing: a sample that is the same each time.
const (
	allEnv    = "PLAYBOOKD_SWEEP"        // "all": every point
	oneEnv    = "PLAYBOOKD_SWEEP_POINT"  // this point only
	secondEnv = "PLAYBOOKD_SWEEP_SECOND" // with this point of the restart as a second one, by number
)

// passes is how often the scenario runs without a kill, to find all the points.
const passes = 2

// together is how many scenes play at a time. Most of the time they wait for pauses to end.
const together = 10

// again is how often a point is tried that was not met: what runs together does not always meet in the same order.
const again = 3

// sampled is how many points are tried when nobody asked for all, besides the telling ones.
const sampled = 8

// telling are the points at which the effect classes differ.
var telling = []string{
	"POST /ticket #1 before", "POST /ticket #1 answered", "POST /channel #1 answered",
	"PATCH /v1.0/security/alerts_v2/low1 #1 answered", "POST /v1.0/security/alerts_v2/moveAlerts #1 answered",
	"POST /v1.0/security/alerts_v2/high1/comments #1 answered",
	"admit poll/alerts #1 before", "admit poll/alerts #1 after",
	"append desk/alerts/high1 answered steps/0 #1 after", "append recall/alerts/odd1 canceling #1 after",
	"append capped/alerts/low1 began #1 after", "append capped/alerts/low1 released #1 after", "append capped/alerts/low2 released #1 before",
	"end hook began #1 after",
}

// secondWithin is up to which point of the restart a second kill comes. A restart passes more.
const secondWithin = 24

func TestKilledAtEveryWriteAndExchangeNothingIsLostOrDoubled(t *testing.T) {
	t.Parallel()
	points, want := dryPasses(t)
	tries := choose(points, want)
	var sum totals
	var workers sync.WaitGroup
	next := make(chan *kill)
	for range together {
		workers.Go(func() {
			for k := range next {
				t.Run(k.name(), func(t *testing.T) { sum.add(k, k.run(t)) })
			}
		})
	}
	for _, k := range tries {
		next <- k
	}
	close(next)
	workers.Wait()
	t.Logf("%d points, %d tries; %d kills and %d more at the restart; %d runs parked and settled by a person; %d intents looked up as their requests left; not met: %q",
		len(points), len(tries), sum.kills, sum.seconds, sum.parked, sum.looked, sum.missed)
	if os.Getenv(allEnv) == "" {
		return
	}
	record.Keep(t, record.Suite{
		Name: "kill-sweep", Run: "make sweep",
		Tries: "Kills the daemon with SIGKILL before and after each write to the journal, and before each HTTP exchange, when it took effect and when its answer was read, one at a time, and once more at a random point of the restart.",
		Holds: "Every run ends as it does without a kill and package invariant finds nothing; only a step that may happen once and was cut off waits for a person.",
		Counts: []record.Count{
			{What: "points", N: int64(len(points))}, {What: "kills", N: sum.kills}, {What: "kills of a restart", N: sum.seconds},
			{What: "runs parked and settled", N: sum.parked}, {What: "intents looked up as their requests left", N: sum.looked},
		},
	})
}

// dryPasses runs the scenario without a kill and returns the points and the outcome.
func dryPasses(t *testing.T) ([]string, outcome) {
	t.Helper()
	found := map[string]bool{}
	var want outcome
	n := passes
	if os.Getenv(allEnv) == "" {
		n = 1
	}
	for range n {
		s := newScene(t)
		list := filepath.Join(s.Dir, "points.txt")
		if !s.life(listEnv + "=" + list) {
			t.Fatal("the daemon died, and nobody killed it")
		}
		got, parked := s.look()
		if want == nil {
			want = got
		}
		if !maps.Equal(got, want) || len(parked) > 0 {
			t.Fatalf("without a kill the runs end as %v, then as %v, %d parked", want, got, len(parked))
		}
		text, err := os.ReadFile(list)
		s.must(err)
		for line := range strings.Lines(string(text)) {
			found[strings.TrimSuffix(line, "\n")] = true
		}
	}
	points := slices.Sorted(maps.Keys(found))
	t.Logf("the points:\n\t%s", strings.Join(points, "\n\t"))
	return points, want
}

// choose picks what to try.
func choose(points []string, want outcome) (tries []*kill) {
	add := func(point string, second int) { tries = append(tries, &kill{point: point, second: second, want: want}) }
	switch one := os.Getenv(oneEnv); {
	case one != "":
		add(one, secondOf(one))
	case os.Getenv(allEnv) != "":
		for _, point := range points {
			add(point, 0)
			add(point, secondOf(point))
		}
	default:
		for _, point := range telling {
			add(point, 0)
		}
		for i := range sampled {
			point := points[(2*i+1)*len(points)/(2*sampled)]
			add(point, secondOf(point))
		}
	}
	return tries
}

// secondOf chooses the point of the restart at which to die a second time: always the same for the
// same name, so that a failure can be repeated.
func secondOf(point string) int {
	if n := os.Getenv(secondEnv); n != "" {
		var second int
		_, _ = fmt.Sscan(n, &second) // not a number: no second kill
		return second
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(point))
	return 1 + rand.New(rand.NewPCG(h.Sum64(), 2)).IntN(secondWithin)
}

// maybe says that a point need not be met in every run: one that belongs to looking again, which
// happens as often as there is time for, the beginning of a run by the loop, which is a part of
// its admission if a worker was free, or what follows what a person says, which is written with it if the run
// is in a driver's hands.
func maybe(point string) bool {
	return strings.HasPrefix(point, "GET /v1.0/security/alerts_v2 ") || strings.HasPrefix(point, "GET /v1.0/security/incidents ") ||
		strings.Contains(point, " began ") || slices.ContainsFunc([]string{"desk", "recall", "capped"}, func(book string) bool {
		return strings.HasPrefix(point, "append "+book+"/")
	})
}

// kill is one point to die at.
type kill struct {
	point  string
	second int // 0: once only
	want   outcome

	kills, seconds, parked, looked int64
}

func (k *kill) name() string {
	if k.second == 0 {
		return k.point
	}
	return fmt.Sprintf("%s, and at point %d of the restart", k.point, k.second)
}

// run reports whether the point was met.
func (k *kill) run(t *testing.T) bool {
	defer func() {
		if t.Failed() {
			t.Logf("to try it again: %s='%s' %s=%d go test ./internal/sweep -run TestKilled", oneEnv, k.point, secondEnv, k.second)
		}
	}()
	for range again {
		if k.try(t) {
			return true
		}
	}
	if !maybe(k.point) {
		t.Errorf("the point was not met in %d runs", again)
	}
	return false
}

// totals adds up what was tried.
type totals struct {
	mu                             sync.Mutex
	kills, seconds, parked, looked int64
	missed                         []string
}

func (s *totals) add(k *kill, met bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kills, s.seconds, s.parked, s.looked = s.kills+k.kills, s.seconds+k.seconds, s.parked+k.parked, s.looked+k.looked
	if !met {
		s.missed = append(s.missed, k.name())
	}
}

// try reports whether the point was met.
func (k *kill) try(t *testing.T) bool {
	s := newScene(t)
	if s.life(pointEnv + "=" + k.point) {
		return false
	}
	k.kills++
	if k.second > 0 && !s.life(fmt.Sprintf("%s=%d", nthEnv, k.second)) {
		k.seconds++
	}
	for {
		if !s.life() {
			t.Fatal("the last daemon died, and nobody killed it")
		}
		got, parked := s.look()
		if len(parked) == 0 {
			if !maps.Equal(got, k.want) {
				t.Errorf("the runs ended as %v, and without a kill as %v", got, k.want)
			}
			break
		}
		k.parked += int64(len(parked))
		s.resolve(parked)
	}
	k.looked += int64(s.looked)
	return true
}

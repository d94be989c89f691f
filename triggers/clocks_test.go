package triggers

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// keeper fires nothing, and remembers when it was asked to.
type keeper struct {
	mu    sync.Mutex
	asked []time.Time
	fail  error
}

func (k *keeper) Strike(_ context.Context, _ []string, _ func(tenant, resource string) time.Time) (time.Time, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.asked = append(k.asked, time.Now())
	return time.Time{}, k.fail
}

func (k *keeper) times() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.asked)
}

func (k *keeper) fails(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.fail = err
}

func TestClocksAreLookedAtWhenAPollHasEndedAndNowAndThen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := new(keeper)
		c, err := NewClocks(ClocksOptions{Keeper: k, AsOf: func(string, string) time.Time { return time.Time{} }})
		if err != nil {
			t.Fatal(err)
		}
		defer run(t, c)()
		for i, step := range []struct {
			do   func()
			want int
		}{
			{func() {}, 1},
			{c.Wake, 2},
			{func() { time.Sleep(MaxSleep - time.Second) }, 2},
			{func() { time.Sleep(2 * time.Second) }, 3},
			{func() { k.fails(errors.New("no disk")); c.Wake() }, 4},
			{func() { time.Sleep(RetryDelay + time.Second) }, 5},
		} {
			step.do()
			synctest.Wait()
			if got := k.times(); got != step.want {
				t.Errorf("after step %d: asked %d times, want %d", i, got, step.want)
			}
		}
		if got := c.State().LastError; got != "no disk" {
			t.Errorf("the state says %q", got)
		}
		k.fails(nil)
		time.Sleep(RetryDelay)
		synctest.Wait()
		if got := c.State().LastError; got != "" {
			t.Errorf("after it works again, the state says %q", got)
		}
	})
}

func TestAPollThatHasReadEverythingSaysSinceWhen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		var known []time.Time
		var p *Poller
		lister := &listFunc{list: func(int, Query) ([]Object, error) { return nil, nil }}
		p, err := NewPoller(PollOptions{Tenant: "contoso", Resource: "alerts", Lister: lister, Sink: m, Journal: m, Settings: PollSettings{Every: time.Minute},
			Done: func() { known = append(known, p.State().Known) }})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		stop := run(t, p)
		time.Sleep(90 * time.Second)
		stop()
		if len(known) != 2 || !known[0].Equal(began) || !known[1].Equal(began.Add(time.Minute)) {
			t.Errorf("known since %v, polls began at %v and a minute later", known, began)
		}
	})
}

package server

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestACheckThatHangsFailsAndIsNotStartedTwice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		free := make(chan bool)
		p := newReport([]Check{{"stuck", func(context.Context) error { calls++; <-free; return nil }}})
		for _, want := range []string{"no answer within 3s", "the check has not answered since it was last asked"} {
			if got := p.status(t.Context()).Checks[0]; got.OK || got.Reason != want {
				t.Errorf("got %+v, want %q", got, want)
			}
			time.Sleep(CheckAge)
		}
		close(free)
		synctest.Wait()
		if got := p.status(t.Context()); got.Status != "ok" || calls != 2 {
			t.Errorf("after it recovered: %+v with %d calls", got, calls)
		}
	})
}

func TestChecksAreNotRunMoreOftenThanOnceASecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		p := newReport([]Check{{"journal", func(context.Context) error { calls++; return nil }}})
		for range 10 {
			p.status(t.Context())
			time.Sleep(CheckAge/10 - time.Millisecond)
		}
		if calls != 1 {
			t.Errorf("%d calls within a second", calls)
		}
		time.Sleep(CheckAge)
		if p.status(t.Context()); calls != 2 {
			t.Errorf("%d calls after a second", calls)
		}
	})
}

package triggers

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/playbookd/playbookd/playbooks"
)

// alert is an object that was updated so long after the bubble's beginning.
func alert(id string, updated time.Duration) Object {
	at := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).Add(updated).Format(time.RFC3339Nano)
	return Object{ID: id, Title: "Alert " + id, Updated: at, Created: at,
		Raw: json.RawMessage(fmt.Sprintf(`{"id":%q,"lastUpdateDateTime":%q}`, id, at))}
}

func poller(t *testing.T, m *memory, list func(n int, q Query) ([]Object, error), change ...func(*PollOptions)) (*Poller, *listFunc) {
	t.Helper()
	l := &listFunc{list: list}
	o := PollOptions{Tenant: "contoso", Resource: "alerts", Lister: l, Sink: m, Journal: m, Settings: PollSettings{Every: time.Minute}}
	for _, c := range change {
		c(&o)
	}
	p, err := NewPoller(o)
	if err != nil {
		t.Fatal(err)
	}
	return p, l
}

const pollPosition = "contoso/poll/alerts"

func TestPollingBeginsAtOnceAndKeepsItsRhythm(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		p, l := poller(t, m, func(n int, _ Query) ([]Object, error) {
			time.Sleep(10 * time.Second) // the time a poll takes is part of the rhythm
			return []Object{alert("a", -time.Hour)}, nil
		})
		began := time.Now()
		stop := run(t, p)
		time.Sleep(2*time.Minute + time.Second)
		if err := p.Configure(PollSettings{Every: 15 * time.Second, Filter: "severity eq 'high'"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Second)
		stop()
		var got []time.Duration
		for _, at := range l.when() {
			got = append(got, at.Sub(began))
		}
		want := []time.Duration{0, time.Minute, 2 * time.Minute, 2*time.Minute + 15*time.Second}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("polls (-want +got):\n%s", diff)
		}
		if q := l.asked()[0]; q.Filter != "lastUpdateDateTime ge 1999-12-31T00:00:00.0000000Z" {
			t.Errorf("the first poll asks for %q", q.Filter)
		}
		if q := l.asked()[1]; q.Filter != "lastUpdateDateTime ge 1999-12-31T22:45:00.0000000Z" {
			t.Errorf("the second poll asks for %q", q.Filter)
		}
		if q := l.asked()[3]; !strings.HasSuffix(q.Filter, " and (severity eq 'high')") {
			t.Errorf("the reloaded filter is not asked for: %q", q.Filter)
		}
		if diff := cmp.Diff([]string{"contoso/alerts/a/1999-12-31T23:00:00Z"}, m.ids()); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
		e := m.all()[0]
		if e.Source != "poll/alerts" || e.Kind != "alert" || e.Object != "alerts/a" || e.Title != "Alert a" || e.Tenant != "contoso" ||
			!e.Occurred.Equal(mustTime(t, "1999-12-31T23:00:00Z")) {
			t.Errorf("event is %+v", e)
		}
	})
}

func TestThePositionMovesOnlyAfterACompletePass(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		p, _ := poller(t, m, func(n int, _ Query) ([]Object, error) {
			switch n {
			case 1:
				return []Object{alert("a", -time.Minute)}, errors.New("connection broke")
			case 2:
				return []Object{alert("b", -2*time.Minute), alert("a", -time.Minute)}, nil
			}
			return nil, nil
		})
		stop := run(t, p)
		synctest.Wait()
		if len(m.all()) != 1 || m.position(pollPosition) != "" {
			t.Errorf("after a broken pass: events %v, position %q", m.ids(), m.position(pollPosition))
		}
		if st := p.State(); st.Failures != 1 || st.LastError == "" || !st.LastSuccess.IsZero() {
			t.Errorf("state is %+v", st)
		}
		time.Sleep(5 * time.Minute)
		stop()
		if got := m.position(pollPosition); got != "1999-12-31T23:59:00Z" {
			t.Errorf("position is %q", got)
		}
		if len(m.all()) != 2 {
			t.Errorf("events are %v", m.ids())
		}
		if st := p.State(); st.Failures != 0 || st.LastError != "" || st.LastSuccess.IsZero() {
			t.Errorf("state is %+v", st)
		}
	})
}

func TestThePositionNeverGoesBackwardsNorIntoTheFarFuture(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		m.positions[pollPosition] = "1999-12-31T23:50:00.1234567Z"
		p, _ := poller(t, m, func(int, Query) ([]Object, error) {
			return []Object{alert("late", -14*time.Minute), alert("broken", 8000*24*time.Hour)}, nil
		})
		stop := run(t, p)
		synctest.Wait()
		stop()
		if got := m.position(pollPosition); got != "1999-12-31T23:50:00.1234567Z" {
			t.Errorf("position is %q", got)
		}
		if len(m.all()) != 2 {
			t.Errorf("events are %v", m.ids())
		}
		if got := p.State().Lateness.Round(time.Minute); got != 4*time.Minute {
			t.Errorf("lateness is %s", got)
		}
	})
}

func TestAPositionAheadOfOurClockOnlyWidensTheWindow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		m.positions[pollPosition] = "2000-01-01T09:00:00Z"
		p, l := poller(t, m, func(int, Query) ([]Object, error) { return nil, nil })
		stop := run(t, p)
		synctest.Wait()
		stop()
		if got := l.asked()[0].Filter; got != "lastUpdateDateTime ge 1999-12-31T23:45:00.0000000Z" {
			t.Errorf("the poll asks for %q", got)
		}
	})
}

func TestRowsThatSlipThroughThePagesAreFound(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		many := func() (all []Object) {
			for i := range 250 {
				all = append(all, alert(fmt.Sprintf("a%03d", i), -time.Duration(i)*time.Minute))
			}
			return all
		}
		p, l := poller(t, m, func(n int, _ Query) ([]Object, error) {
			all := many()
			switch n {
			case 1: // two rows slip through while pages are turned
				return slices.Delete(all, 100, 102), nil
			case 2: // another was skipped, and something new arrived
				return append([]Object{alert("new", time.Second)}, slices.Delete(all, 50, 51)...), nil
			}
			return append([]Object{alert("new", time.Second)}, all...), nil
		})
		stop := run(t, p)
		synctest.Wait()
		stop()
		if len(m.all()) != 251 {
			t.Errorf("%d events instead of 251", len(m.all()))
		}
		if got := m.position(pollPosition); got != "2000-01-01T00:00:01Z" {
			t.Errorf("position is %q", got)
		}
		if len(l.asked()) != 3 {
			t.Errorf("%d passes", len(l.asked()))
		}
		for _, b := range m.deliveries() {
			if len(b.Events) > MaxBatchEvents {
				t.Errorf("a batch of %d events", len(b.Events))
			}
		}
	})
}

func TestAListThatNeverSettlesKeepsThePositionAndLosesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		p, l := poller(t, m, func(n int, _ Query) (all []Object, err error) {
			for i := range OnePage + 1 {
				all = append(all, alert(fmt.Sprintf("p%d-%d", n, i), -time.Duration(n)*time.Minute))
			}
			return all, nil
		})
		stop := run(t, p)
		synctest.Wait()
		stop()
		if got := m.position(pollPosition); got != "" || len(l.asked()) != MaxPasses || len(m.all()) != MaxPasses*(OnePage+1) {
			t.Errorf("position %q, %d passes, %d events", got, len(l.asked()), len(m.all()))
		}
		if st := p.State(); !strings.Contains(st.LastError, "kept changing") {
			t.Errorf("state is %+v", st)
		}
	})
}

func TestGraphsWishToWaitIsGranted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		p, l := poller(t, m, func(n int, _ Query) ([]Object, error) {
			switch n {
			case 1:
				return nil, fmt.Errorf("page: %w", fault{"throttled", 7 * time.Minute})
			case 2:
				return nil, fault{"throttled", 1000 * time.Hour}
			}
			return nil, nil
		})
		began := time.Now()
		stop := run(t, p)
		time.Sleep(68 * time.Minute)
		stop()
		if l.when()[1].Sub(began) != 7*time.Minute || l.when()[2].Sub(began) != 7*time.Minute+MaxRetryAfter {
			t.Errorf("polled at %v", l.when())
		}
	})
}

func TestAServiceThatRefusesTheOrderIsAskedWithout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		p, l := poller(t, m, func(_ int, q Query) ([]Object, error) {
			if q.OrderBy != "" {
				return nil, fault{code: "invalid"}
			}
			return []Object{alert("a", 0)}, nil
		})
		stop := run(t, p)
		time.Sleep(90 * time.Second)
		stop()
		if len(m.all()) != 1 || len(l.asked()) != 3 {
			t.Errorf("events %v after %d requests", m.ids(), len(l.asked()))
		}
	})
}

func TestObjectsWithoutIDOrTimeAreNotLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		p, _ := poller(t, m, func(n int, _ Query) ([]Object, error) {
			raw := `{"title":"x","severity":"high"}`
			if n > 1 {
				raw = `{"severity":"high",  "title":"x"}` // the same, written differently
			}
			return []Object{
				{Updated: "2000-01-01T00:00:00Z", Raw: json.RawMessage(raw)},
				{ID: "b", Updated: "yesterday", Raw: json.RawMessage(raw)},
				{ID: "c\x00/\n" + strings.Repeat("c", MaxIdentity), Updated: "2000-01-01T00:00:00Z", Raw: json.RawMessage(raw)},
			}, nil
		})
		stop := run(t, p)
		time.Sleep(3 * time.Minute)
		stop()
		if len(m.all()) != 3 {
			t.Fatalf("events are %q", m.ids())
		}
		for _, e := range m.all() {
			if strings.ContainsFunc(e.ID, func(r rune) bool { return r < ' ' }) || len(e.ID) > 400 || e.Occurred.IsZero() {
				t.Errorf("event %q at %s", e.ID, e.Occurred)
			}
		}
	})
}

func TestTheSweepFindsWhatSurfacedTooLateAndWidensTheOverlap(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		p, l := poller(t, m, func(n int, q Query) ([]Object, error) {
			all := []Object{alert("a", 0)}
			if strings.Contains(q.Filter, "1999-12-30T") { // two days back
				all = append(all, alert("late", -time.Hour))
			}
			return all, nil
		}, func(o *PollOptions) { o.Settings.Every, o.Settings.First = time.Hour, 48*time.Hour })
		m.positions[pollPosition] = "2000-01-01T00:00:00Z" // an earlier life has found nothing
		stop := run(t, p)
		time.Sleep(23*time.Hour + time.Minute)
		synctest.Wait()
		if len(m.all()) != 1 || len(l.asked()) != 24 {
			t.Errorf("before the sweep: events %v, %d polls", m.ids(), len(l.asked()))
		}
		time.Sleep(2 * time.Hour)
		stop()
		if len(m.all()) != 2 || len(l.asked()) != 27 {
			t.Errorf("after the sweep: events %v, %d polls", m.ids(), len(l.asked()))
		}
		if got := m.position("contoso/sweep/alerts"); !strings.HasPrefix(got, "2000-01-02T00:00:00") {
			t.Errorf("the sweep's position is %q", got)
		}
		if st := p.State(); st.Overlap != 2*time.Hour || st.Lateness != time.Hour {
			t.Errorf("state is %+v", st)
		}
		if got := l.asked()[26].Filter; got != "lastUpdateDateTime ge 1999-12-31T22:00:00.0000000Z" {
			t.Errorf("after the sweep the poll asks for %q", got)
		}
	})
}

func TestNoSweepReachesBehindTheFirstLookBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		p, l := poller(t, m, func(int, Query) ([]Object, error) { return []Object{alert("a", 0)}, nil },
			func(o *PollOptions) { o.Settings.Every, o.Settings.First = 12*time.Hour, 5*time.Minute })
		stop := run(t, p)
		time.Sleep(25 * time.Hour)
		stop()
		if len(l.asked()) != 4 { // three polls and a sweep
			t.Errorf("%d requests", len(l.asked()))
		}
		for _, q := range l.asked() {
			if q.Filter != "lastUpdateDateTime ge 1999-12-31T23:55:00.0000000Z" {
				t.Errorf("asked for %q", q.Filter)
			}
		}
	})
}

func TestAPositionMovedBySomebodyElseIsReadAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		p, _ := poller(t, m, func(n int, _ Query) ([]Object, error) {
			if n == 1 {
				m.mu.Lock()
				m.positions[pollPosition] = "2000-01-01T00:00:00Z"
				m.mu.Unlock()
			}
			return []Object{alert("a", time.Second)}, nil
		})
		stop := run(t, p)
		synctest.Wait()
		if len(m.all()) != 0 {
			t.Errorf("events were admitted with a position that had moved: %v", m.ids())
		}
		time.Sleep(2 * time.Minute)
		stop()
		if len(m.all()) != 1 || m.position(pollPosition) != "2000-01-01T00:00:01Z" {
			t.Errorf("events %v, position %q", m.ids(), m.position(pollPosition))
		}
	})
}

func TestLargeObjectsMakeSmallBatches(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		p, _ := poller(t, m, func(n int, _ Query) (all []Object, err error) {
			for i := range 10 {
				o := alert(fmt.Sprint(i), -time.Minute)
				o.Raw = json.RawMessage(`{"x":"` + strings.Repeat("x", MaxBatchBytes/3) + `"}`)
				all = append(all, o)
			}
			return all, nil
		})
		stop := run(t, p)
		synctest.Wait()
		stop()
		for _, b := range m.deliveries() {
			if len(b.Events) > 2 {
				t.Errorf("a batch of %d events", len(b.Events))
			}
		}
		if len(m.all()) != 10 {
			t.Errorf("%d events", len(m.all()))
		}
	})
}

func TestPollersThatCannotWorkAreRefused(t *testing.T) {
	t.Parallel()
	m := newMemory()
	good := PollOptions{Tenant: "contoso", Resource: "alerts", Lister: &listFunc{}, Sink: m, Journal: m, Settings: PollSettings{Every: MinEvery}}
	if _, err := NewPoller(good); err != nil {
		t.Errorf("the shortest time between polls is refused: %v", err)
	}
	for name, spoil := range map[string]func(*PollOptions){
		"resource": func(o *PollOptions) { o.Resource = "users" },
		"tenant":   func(o *PollOptions) { o.Tenant = "a/b" },
		"sink":     func(o *PollOptions) { o.Sink = nil },
		"every":    func(o *PollOptions) { o.Settings.Every = MinEvery - 1 },
		"overlap":  func(o *PollOptions) { o.Settings.Overlap = -1 },
	} {
		o := good
		spoil(&o)
		if _, err := NewPoller(o); err == nil {
			t.Errorf("a poller with a wrong %s was made", name)
		}
	}
}

func TestOnePollServesAllPlaybooks(t *testing.T) {
	t.Parallel()
	book := func(name string, every time.Duration, filter string, tenants ...string) *playbooks.Playbook {
		p := &playbooks.Poll{Resource: "alerts", Every: every}
		if filter != "" {
			p.Filter = &playbooks.Filter{Text: filter}
		}
		return &playbooks.Playbook{Name: name, Enabled: true, Tenants: tenants, Triggers: []playbooks.Trigger{{Kind: playbooks.PollTrigger, Poll: p}}}
	}
	two := []*playbooks.Playbook{book("a", time.Minute, "severity eq 'low'"), book("b", 30*time.Second, "severity eq 'high'")}
	want := PollSettings{Every: 30 * time.Second, Filter: "(severity eq 'high') or (severity eq 'low')"}
	if diff := cmp.Diff(want, Polls(two, "contoso")["alerts"]); diff != "" {
		t.Errorf("union (-want +got):\n%s", diff)
	}
	if got := Polls(append(two, book("c", time.Hour, "")), "contoso")["alerts"].Filter; got != "" {
		t.Errorf("a playbook without a filter gets only %q", got)
	}
	if got := Polls(append(two, book("c", time.Second, "", "fabrikam")), "contoso")["alerts"]; got != want {
		t.Errorf("another tenant's playbook changes the poll: %+v", got)
	}
	if got := Polls(append(two, book("c", time.Minute, strings.Repeat("x", MaxFilter))), "contoso")["alerts"].Filter; got != "" {
		t.Errorf("a filter of %d bytes is sent", len(got))
	}
	clocks := &playbooks.Playbook{Name: "clocks", Enabled: true, Triggers: []playbooks.Trigger{{Kind: playbooks.SLATrigger, SLA: &playbooks.SLA{Resource: "alerts", Every: 10 * time.Second}}}}
	if got, want := Polls(append(two, clocks), "contoso")["alerts"], (PollSettings{Every: 10 * time.Second}); got != want {
		t.Errorf("clocks are kept by all versions: %+v, want %+v", got, want)
	}
	off := book("off", time.Second, "")
	off.Enabled = false
	if got := Polls([]*playbooks.Playbook{off}, "contoso"); len(got) != 0 {
		t.Errorf("a disabled playbook is polled for: %+v", got)
	}
}

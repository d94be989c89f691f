package daemon_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/graph/simulator"
	"github.com/playbookd/playbookd/store"
)

const triage = `name: triage
triggers:
  - sla:
      resource: alerts
      every: 30s
      start: alert.createdDateTime
      stop: alert.status == "resolved"
      target: [{if: alert.title == "mine", within: 10m}]
      calendar: always
      stages: {breached: 100%}
steps:
  - {action: alert.comment, with: {alert: "${{ alert.id }}", comment: "${{ sla.stage }}"}}
`

// inTriage runs a test with a daemon that keeps clocks for alerts called mine.
func inTriage(t *testing.T, test func(*bubbled)) {
	inBubble(t, map[string]string{"triage.yaml": triage, "../calendars/always.yaml": "{timezone: UTC, hours: {mon-sun: \"00:00-24:00\"}}"}, nil, func(b *bubbled) {
		time.Sleep(time.Minute)
		test(b)
	})
}

// alert makes an alert that is known from now on.
func (b *bubbled) alert(id string) {
	b.t.Helper()
	now := b.sim.Now().UTC().Format(time.RFC3339Nano)
	err := b.sim.Add(simulator.Document{"id": id, "title": "mine", "status": "new", "severity": "high", "serviceSource": "microsoftDefenderForEndpoint",
		"createdDateTime": now, "lastUpdateDateTime": now, "evidence": []any{}, "comments": []any{}})
	if err != nil {
		b.t.Fatal(err)
	}
}

// comments counts what was said about an alert.
func (b *bubbled) comments(id string) int {
	list, _ := b.sim.Alert(id)["comments"].([]any)
	return len(list)
}

func (b *bubbled) says(id string, want int) {
	b.t.Helper()
	if got := b.comments(id); got != want {
		b.t.Errorf("%d comments on %s, want %d", got, id, want)
	}
}

func TestAStageOfAClockActsWithThePollAfterItIsDueAndNeverAgain(t *testing.T) {
	inTriage(t, func(b *bubbled) {
		b.alert("a1")
		time.Sleep(9*time.Minute + 59*time.Second)
		b.says("a1", 0)
		time.Sleep(time.Minute)
		b.says("a1", 1)
		time.Sleep(24 * time.Hour)
		b.says("a1", 1)
		b.green("/readyz")
		clocks, err := b.d.Store().Board(context.Background(), store.ClockFilter{})
		if err != nil || len(clocks) == 0 || clocks[0].Object != "alerts/a1" || len(clocks[0].Marks) != 1 || clocks[0].State != engine.ClockRunning {
			b.t.Errorf("the board: %+v, %v", clocks, err)
		}
	})
}

func TestAnAlertThatIsClosedJustBeforeItsStageIsDueIsLeftAlone(t *testing.T) {
	inTriage(t, func(b *bubbled) {
		b.alert("a1")
		time.Sleep(10*time.Minute - time.Second)
		if err := b.sim.Touch("a1", simulator.Document{"status": "resolved"}, "anna"); err != nil {
			b.t.Fatal(err)
		}
		time.Sleep(time.Hour)
		b.says("a1", 0)
	})
}

func TestWhilePollsFailAStageWaits(t *testing.T) {
	inTriage(t, func(b *bubbled) {
		b.alert("a1")
		b.alert("a2")
		time.Sleep(5 * time.Minute)
		b.answers(func(r *http.Request) (*http.Response, error) {
			if strings.Contains(r.URL.RawQuery, "lastUpdateDateTime") {
				return nil, errors.New("the network is down")
			}
			return nil, nil
		})
		if err := b.sim.Touch("a2", simulator.Document{"status": "resolved"}, "anna"); err != nil {
			b.t.Fatal(err)
		}
		time.Sleep(time.Hour)
		b.says("a1", 0)
		b.answer.Store(nil)
		time.Sleep(3 * time.Minute)
		b.says("a1", 1)
		b.says("a2", 0)
	})
}

func TestClocksThatCantBeLookedAtMakeReadinessFailUntilTheyCan(t *testing.T) {
	inTriage(t, func(b *bubbled) {
		b.still.Store(true)
		time.Sleep(2 * time.Minute)
		b.red("/readyz", "clocks", "the pages are torn")
		b.green("/healthz")
		b.still.Store(false)
		time.Sleep(2 * time.Minute)
		b.green("/readyz")
	})
}

func TestACalendarIsReadAnewAndABrokenOneKeepsWhatItHeld(t *testing.T) {
	inTriage(t, func(b *bubbled) {
		today := time.Now().UTC().Truncate(24 * time.Hour)
		began := time.Now()
		b.alert("a1")
		time.Sleep(5 * time.Minute)
		for text, code := range map[string]string{"{timezone: UTC, hours: {mon: \"24:00-25:00\"}}": "CA002", "{timezone: UTC": "PB0", "": "PB005"} {
			b.write("calendars/always.yaml", text)
			time.Sleep(time.Minute)
			if err := b.d.Findings().Err(); err == nil || !strings.Contains(err.Error(), code) {
				b.t.Errorf("findings of %q: %v, want %s", text, err, code)
			}
			b.due("a1", began.Add(10*time.Minute))
		}
		b.write("calendars/always.yaml", fmt.Sprintf("{timezone: UTC, hours: {mon-sun: \"00:00-24:00\"}, exceptions: {%s: closed}}", today.Format(time.DateOnly)))
		time.Sleep(2 * time.Minute)
		b.due("a1", today.Add(24*time.Hour+10*time.Minute)) // nothing of today counts
	})
}

// due holds that the clock of an alert is due at a time.
func (b *bubbled) due(id string, at time.Time) {
	b.t.Helper()
	clocks, err := b.d.Store().Clocks(context.Background(), "contoso", "alerts/"+id)
	if err != nil || len(clocks) != 1 || !clocks[0].Due.Equal(at) {
		b.t.Errorf("clocks %+v, %v; want one that is due at %v", clocks, err, at)
	}
}

func TestAPlaybookWithAnUnknownCalendarIsNotLoaded(t *testing.T) {
	t.Parallel()
	s := newSite(t, simulator.Options{})
	s.only(triage)
	s.start()
	if err := s.d.Findings().Err(); err == nil || !strings.Contains(err.Error(), "PB070") {
		t.Errorf("findings: %v", err)
	}
}

package expression_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/playbookd/playbookd/playbooks/expression"
)

// nine is a calendar of days that begin at nine and have no end.
type nine struct{}

func (nine) Open(t time.Time) bool                    { return t.Hour() >= 9 }
func (nine) Elapsed(from, to time.Time) time.Duration { return to.Sub(from) / 2 }
func (nine) Add(t time.Time, d time.Duration) (time.Time, error) {
	if d > 100*time.Hour {
		return t, errors.New("closed")
	}
	return t.Add(2 * d), nil
}

func TestBusinessTimeIsCountedByTheCalendarOfTheScope(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	scope := map[string]any{"none": nil, "most": expression.MaxBusinessSpan, expression.CalendarsName: expression.Calendars{"nine": nine{}}}
	env := &expression.Env{Vars: map[string]expression.Type{"none": expression.Any, "most": expression.Duration}}
	for src, want := range map[string]string{
		`businessElapsed(now() - duration("4h"), "nine")`:                                              "2h",
		`businessElapsed(now(), now() - duration("4h"), "nine")`:                                       "-2h",
		`businessElapsed(none, "nine") == nil and businessElapsed(now(), none, "nine") == nil`:         "true",
		`businessAdd(now(), duration("1h"), "nine")`:                                                   "2026-11-24T14:00:00Z",
		`businessAdd(none, duration("1h"), "nine") == nil and businessAdd(now(), none, "nine") == nil`: "true",
		`inBusinessHours(now(), "nine")`:                                                               "true",
		`inBusinessHours(none, "nine") == nil`:                                                         "true",
		`businessElapsed(now(), now() + most, "nine")`:                                                 "43920h",
		`businessElapsed(now(), now() + most + duration("1ns"), "nine")`:                               "more than ten years apart",
		`businessElapsed(date("0001-01-01T00:00:00Z"), "nine")`:                                        "more than ten years apart",
		`businessAdd(now(), duration("101h"), "nine")`:                                                 "closed",
		`inBusinessHours(now(), "ten")`:                                                                `there is no calendar "ten" here`,
		`inBusinessHours(none.x ?? "text", "nine")`:                                                    "a time is needed",
	} {
		p, problem := expression.ParseTemplate("${{ string("+src+") }}", env)
		if problem != nil {
			t.Errorf("%s: %v", src, problem)
			continue
		}
		got, err := p.Text(scope, now)
		if err != nil {
			got = err.Error()
		}
		if got != want && (err == nil || !strings.Contains(got, want)) {
			t.Errorf("%s gives %s, want %s", src, got, want)
		}
	}
}

func TestCalendarsAreNamedWhereTheyStand(t *testing.T) {
	t.Parallel()
	src := `inBusinessHours(now(), "a") or any([1], businessElapsed(now(), "b") > duration("1h"))`
	p, problem := expression.Compile(src, nil, expression.WantBool)
	if problem != nil {
		t.Fatal(problem)
	}
	for i, want := range []string{`"a"`, `"b"`} {
		if u := p.Calendars()[i]; src[u.Offset:u.Offset+u.Length] != want {
			t.Errorf("calendar %d stands at %q, want %s", i, src[u.Offset:u.Offset+u.Length], want)
		}
	}
	for src, want := range map[string]string{
		`inBusinessHours(now())`:                         "called with 1 arguments",
		`businessAdd(now(), "office")`:                   "called with 2 arguments",
		`businessElapsed(now(), now(), now(), "office")`: "called with 4 arguments",
		`inBusinessHours(now(), "of" + "fice")`:          "named when the playbook is loaded",
		`businessAdd(now(), "4h", "office")`:             "must be a duration",
	} {
		if _, problem := expression.Compile(src, nil, expression.WantAny); problem == nil || !strings.Contains(problem.Message, want) {
			t.Errorf("%s: %v, want %q", src, problem, want)
		}
	}
}

// Walking the days of ten years is work, and a loop of such calls has an end.
func TestALoopOverBusinessTimeIsMetered(t *testing.T) {
	t.Parallel()
	p, problem := expression.Compile(`all(1..1000, businessElapsed(date("2020-01-01"), date("2029-01-01"), "nine") > duration("1h"))`, nil, expression.WantBool)
	if problem != nil {
		t.Fatal(problem)
	}
	_, err := p.Eval(map[string]any{expression.CalendarsName: expression.Calendars{"nine": nine{}}}, time.Now())
	if err == nil || !strings.Contains(err.Error(), "too many steps") {
		t.Errorf("%v", err)
	}
}

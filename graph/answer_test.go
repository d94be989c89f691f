package graph

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestRetryAfterIsUnderstoodInEveryFormAndRoundedUp(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 2, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		name, value, date string
		want              time.Duration
		ok                bool
	}{
		{"seconds", "7", "", 7 * time.Second, true},
		{"a fraction", "2.128", "", 3 * time.Second, true},
		{"blanks around", " 4 ", "", 4 * time.Second, true},
		{"a date by our clock", "Sun, 22 Nov 2026 02:00:30 GMT", "", 30 * time.Second, true},
		{"a date by the sender's clock", "Sun, 22 Nov 2026 03:00:30 GMT", "Sun, 22 Nov 2026 03:00:20 GMT", 10 * time.Second, true},
		{"a date gone by", "Sun, 22 Nov 2026 01:00:30 GMT", "", 0, false},
		{"zero", "0", "", 0, false},
		{"negative", "-5", "", 0, false},
		{"not a number", "NaN", "", 0, false},
		{"infinite", "+Inf", "", MaxRetryAfter, true},
		{"longest", "3600", "", MaxRetryAfter, true},
		{"beyond the longest", "3601", "", MaxRetryAfter, true},
		{"absurd", "99999999999999999999", "", MaxRetryAfter, true},
		{"words", "soon", "", 0, false},
		{"nothing", "", "", 0, false},
	} {
		h := http.Header{"Retry-After": {tc.value}}
		if tc.date != "" {
			h.Set("Date", tc.date)
		}
		got, ok := retryAfter(h, now)
		if got != tc.want || ok != tc.ok {
			t.Errorf("%s: got %v, %v, want %v, %v", tc.name, got, ok, tc.want, tc.ok)
		}
	}
}

func FuzzRetryAfter(f *testing.F) {
	for _, s := range []string{"1", "2.5", "1e300", "-1", "NaN", "Sun, 22 Nov 2026 02:00:30 GMT"} {
		f.Add(s, "")
	}
	f.Fuzz(func(t *testing.T, value, date string) {
		got, ok := retryAfter(http.Header{"Retry-After": {value}, "Date": {date}}, time.Unix(0, 0))
		if got < 0 || got > MaxRetryAfter || ok != (got > 0) || got%time.Second != 0 {
			t.Errorf("%q gives %v, %v", value, got, ok)
		}
	})
}

func TestTextsOfServersAreMadeHarmless(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, in, want string }{
		{"lines", "a\r\nb\tc", "a b c"},
		{"control characters", "a\x1b[31mb\x00", "a [31mb"},
		{"direction changes", "a\u202Eb\u2066c", "abc"},
		{"broken UTF-8", "a\xffb", "a\uFFFDb"},
		{"a token", "bad token " + fakeToken + " sent", "bad token [token] sent"},
		{"a bearer header", "got Bearer abcdefghijk.lm", "got Bearer [token]"},
	} {
		if got := clean(tc.in, 100); got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
	}
	for _, n := range []int{MaxServerText, MaxServerText + 1, 100 * MaxServerText} {
		got := clean(strings.Repeat("ä", n), MaxServerText)
		if utf8.RuneCountInString(got) != MaxServerText {
			t.Errorf("%d characters became %d", n, utf8.RuneCountInString(got))
		}
	}
}

func FuzzClean(f *testing.F) {
	f.Add("x\n\u202e\xff" + fakeToken)
	f.Fuzz(func(t *testing.T, s string) {
		got := clean(s, 40)
		if utf8.RuneCountInString(got) > 40 || !utf8.ValidString(got) {
			t.Errorf("%q is too long or not text", got)
		}
		if strings.ContainsFunc(got, unicode.IsControl) {
			t.Errorf("%q holds control characters", got)
		}
	})
}

func FuzzAnswers(f *testing.F) {
	f.Add([]byte(`{"id":"1","comments":[{"comment":"x"}],"evidence":[{"@odata.type":"#new"}],"mitreTechniques":["T1"]}`))
	f.Add([]byte(`{"id":1,"incidentId":null,"comments":null,"evidence":{},"alerts":[{"id":"2"}]}`))
	f.Add([]byte(`{"error":{"code":"x","innererror":{"request-id":"r"}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var a Alert
		if json.Unmarshal(data, &a) == nil {
			assertWhole(t, data, a)
		}
		var i Incident
		if json.Unmarshal(data, &i) == nil {
			assertWhole(t, data, i)
		}
		var e Error
		e.readRefusal(data)
		if utf8.RuneCountInString(e.Message) > MaxServerText {
			t.Errorf("message of %d characters", utf8.RuneCountInString(e.Message))
		}
	})
}

// assertWhole checks that an object is written as it was read, with all that nobody knows.
func assertWhole(t *testing.T, data []byte, v any) {
	t.Helper()
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var want, got any
	if json.Unmarshal(data, &want) != nil || json.Unmarshal(out, &got) != nil {
		t.Fatalf("not JSON: %q", out)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lost on the way (-read +written):\n%s", diff)
	}
}

func TestAFieldOfAnUnexpectedTypeCostsNoAlert(t *testing.T) {
	t.Parallel()
	const doc = `{"id":"a","incidentId":28282,"title":null,"status":{"new":true},"comments":"none","evidence":null,
		"mitreTechniques":["T1059",7,null],"systemTags":{},"brandNew":{"x":1}}`
	var a Alert
	if err := json.Unmarshal([]byte(doc), &a); err != nil {
		t.Fatal(err)
	}
	if a.ID != "a" || a.IncidentID != "28282" || a.Title != "" || a.Status != "" {
		t.Errorf("read as %+v", a)
	}
	if diff := cmp.Diff([]string{"T1059", "7", ""}, a.MitreTechniques); diff != "" {
		t.Error(diff)
	}
	assertWhole(t, []byte(doc), a)
}

func TestTheInnerErrorIsFoundInBothSpellings(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"innerError", "innererror"} {
		var e Error
		e.readRefusal([]byte(`{"error":{"code":"BadRequest","message":"no","` + name + `":{"request-id":"r-1"}}}`))
		if e.RequestID != "r-1" || e.Code != "BadRequest" || e.Message != "no" {
			t.Errorf("%s: %+v", name, e)
		}
	}
}

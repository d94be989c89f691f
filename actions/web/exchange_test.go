package web

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/playbookd/playbookd/actions"
)

func TestRetryAfterIsReadAsSecondsOrDateAndNeverBelievedBlindly(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 2, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, " 7 ": 7 * time.Second, "-7": 0, "soon": 0, "7.5": 0,
		"3600": MaxRetryAfter, "3601": MaxRetryAfter, "99999999999999999999": 0,
		"Sun, 22 Nov 2026 02:00:30 GMT": 30 * time.Second, "Sun, 22 Nov 2026 01:00:00 GMT": 0, "Fri, 22 Nov 2999 01:00:00 GMT": MaxRetryAfter,
	} {
		if got := RetryAfter(http.Header{"Retry-After": {text}}, now); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

func TestARequestBeyondTheLimitIsNotSent(t *testing.T) {
	t.Parallel()
	arrived := 0
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { arrived++ }))
	defer srv.Close()
	for size, fits := range map[int]bool{MaxBody: true, MaxBody + 1: false} {
		before := arrived
		_, err := Exchange(t.Context(), srv.Client(), Request{Method: "POST", URL: srv.URL, Body: make([]byte, size), Effect: actions.Once})
		if (err == nil) != fits || (arrived > before) != fits {
			t.Errorf("%d bytes: %v, %d requests", size, err, arrived-before)
		}
		if err != nil && actions.FaultOf(err).Unknown {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

func TestARefusalIsQuotedBriefly(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, strings.Repeat("no\n", 10_000), http.StatusBadRequest)
	}))
	defer srv.Close()
	_, err := Exchange(t.Context(), srv.Client(), Request{Method: "GET", URL: srv.URL, Effect: actions.Reads})
	if err == nil || len(err.Error()) > 3*MaxQuoted || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "no") {
		t.Errorf("got %v", err)
	}
}

func TestStoppingWhileWaitingLeavesAChangeUnknownAndAReadNot(t *testing.T) {
	t.Parallel()
	for effect, unknown := range map[actions.Effect]bool{actions.Reads: false, actions.Converges: true, actions.Once: true} {
		ctx, cancel := context.WithCancel(t.Context())
		over := make(chan struct{})
		srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			cancel()
			<-over
		}))
		_, err := Exchange(ctx, srv.Client(), Request{Method: "POST", URL: srv.URL, Effect: effect})
		if f := actions.FaultOf(err); err == nil || f.Code != actions.CodeCanceled || f.Unknown != unknown {
			t.Errorf("%s: %v", effect, err)
		}
		close(over)
		srv.Close()
		cancel()
	}
}

func TestARequestThatIsStoppedBeforeItLeavesIsCertain(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Exchange(ctx, http.DefaultClient, Request{Method: "POST", URL: "https://contoso.example", Effect: actions.Once})
	if f := actions.FaultOf(err); err == nil || f.Unknown || !f.Retry {
		t.Errorf("got %v", err)
	}
}

func TestAnAnswerThatBreaksOffFailsAReadAndNotAChange(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = w.Write([]byte("half"))
	}))
	defer srv.Close()
	_, err := Exchange(t.Context(), srv.Client(), Request{Method: "GET", URL: srv.URL, Effect: actions.Reads})
	if f := actions.FaultOf(err); err == nil || !f.Retry || f.Unknown {
		t.Errorf("a read: %v", err)
	}
	a, err := Exchange(t.Context(), srv.Client(), Request{Method: "POST", URL: srv.URL, Effect: actions.Once})
	if err != nil || !a.Truncated || string(a.Body) != "half" {
		t.Errorf("a change: %+v, %v", a, err)
	}
}

// silent is a transport that is laid around another one, or has no connections at all: it tells
// nothing of what it does.
type silent struct{}

func (silent) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("the answer was lost")
}

func TestATransportThatTellsNothingCountsAsHavingSent(t *testing.T) {
	t.Parallel()
	_, err := Exchange(t.Context(), &http.Client{Transport: silent{}}, Request{Method: "POST", URL: "https://contoso.example", Effect: actions.Once})
	if f := actions.FaultOf(err); err == nil || !f.Unknown {
		t.Errorf("got %v, want an outcome that nobody knows", err)
	}
}

package server

import (
	"io"
	"log/slog"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

func openProfiles(t *testing.T) *Profiles {
	t.Helper()
	p, err := OpenProfiles("127.0.0.1:0", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
		if _, err := http.Get("http://" + p.Addr() + "/debug/pprof/"); err == nil {
			t.Error("it still listens")
		}
	})
	return p
}

func TestProfilesAreServedOnThisMachineOnly(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:6060", "example.com:80", "6060"} {
		p, err := OpenProfiles(addr, slog.New(slog.DiscardHandler))
		if err == nil {
			_ = p.Stop()
		}
		if err == nil || !strings.Contains(err.Error(), "127.0.0.1") || !strings.Contains(err.Error(), "profiles") {
			t.Errorf("%s: %v", addr, err)
		}
	}
	p := openProfiles(t)
	for path, want := range map[string]string{
		"/debug/pprof/": "goroutine", "/debug/pprof/heap?debug=1": "heap profile", "/debug/pprof/goroutine?debug=1": "goroutine profile", "/debug/pprof/cmdline": "",
	} {
		if status, body, _ := get(t, "http://"+p.Addr()+path); path != "/debug/pprof/cmdline" && (status != 200 || !strings.Contains(body, want)) {
			t.Errorf("%s: %d %.200s", path, status, body)
		}
	}
	if status, _, _ := get(t, "http://"+p.Addr()+"/metrics"); status != 404 {
		t.Errorf("something else is served there too: %d", status)
	}
}

func TestAPageFromElsewhereGetsNoProfiles(t *testing.T) {
	p := openProfiles(t)
	for host, want := range map[string]int{"evil.example": 403, "evil.example:80": 403, "127.0.0.1.evil.example": 403, "localhost": 200, "localhost:6060": 200, "[::1]:1": 200, "127.9.9.9": 200} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+p.Addr()+"/debug/pprof/", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: %d, want %d", host, resp.StatusCode, want)
		}
	}
}

func TestContentionIsRecordedOnlyWhileSomebodyAsks(t *testing.T) {
	p := openProfiles(t)
	url := "http://" + p.Addr() + "/debug/pprof/mutex"
	if status, body, _ := get(t, url); status != 400 || !strings.Contains(body, "?seconds=30") {
		t.Errorf("without a time: %d %s", status, body)
	}
	for _, wrong := range []string{"0", "-1", "301", "x"} {
		if status, body, _ := get(t, url+"?seconds="+wrong); status != 400 || !strings.Contains(body, "up to 300") {
			t.Errorf("%s seconds: %d %s", wrong, status, body)
		}
	}
	var asked sync.WaitGroup
	asked.Go(func() {
		if status, _, _ := get(t, url+"?seconds=1"); status != 200 {
			t.Errorf("with a time: %d", status)
		}
	})
	for runtime.SetMutexProfileFraction(-1) != ContentionRate {
		time.Sleep(time.Millisecond)
	}
	if status, _, _ := get(t, url+"?seconds=1"); status != 409 {
		t.Errorf("two at a time: %d", status)
	}
	asked.Wait()
	if rate := runtime.SetMutexProfileFraction(-1); rate != 0 {
		t.Errorf("afterwards the rate is %d", rate)
	}
}

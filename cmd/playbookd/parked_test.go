package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/playbookd/playbookd/engine"
)

// lineSignal keeps what is written, and tells when the first of it comes.
type lineSignal struct {
	mu   sync.Mutex
	buf  bytes.Buffer
	once sync.Once
	seen chan struct{}
}

func (l *lineSignal) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.once.Do(func() { close(l.seen) })
	return l.buf.Write(p)
}

func (l *lineSignal) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// tickets is a system that must not be asked twice. It loses its first answer.
func tickets(t *testing.T) (url string, made *atomic.Int32) {
	t.Helper()
	made = new(atomic.Int32)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if made.Add(1) == 1 {
			panic(http.ErrAbortHandler) // after the ticket was made
		}
		fmt.Fprint(w, `{"ticket": 2}`)
	}))
	t.Cleanup(s.Close)
	return s.URL, made
}

// A step that must happen once and whose answer is lost is never tried again by itself. A person
// says what happened, and the run goes on from there.
func TestAParkedRunGoesOnAsAPersonSays(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		flag     string
		requests int32
	}{
		{"--happened", 1},
		{"--did-not-happen", 2},
	} {
		t.Run(c.flag, func(t *testing.T) {
			t.Parallel()
			url, made := tickets(t)
			dir := t.TempDir()
			file := filepath.Join(dir, "playbookd.yaml")
			write(t, file, "listen: 127.0.0.1:0\noutbound: {http: [\""+strings.TrimPrefix(url, "http://")+"\"], private: [127.0.0.1]}\n"+
				"tenants:\n  contoso: {credential: {kind: azure_cli}}\n")
			write(t, filepath.Join(dir, "playbooks", "ticket.yaml"), "name: ticket\ntriggers: [manual]\nsteps:\n"+
				"  - action: http.request\n    with: {url: \""+url+"\", method: POST, body: {title: x}}\n"+
				"  - action: log\n    with: {message: done}\n")

			_, errs, code := playbookd(t, "run", "ticket", "-c", file, "--live")
			if code != exitFound || made.Load() != 1 {
				t.Fatalf("exit code %d after %d requests, want 1 after one\n%s", code, made.Load(), errs)
			}
			parked := into[[]engine.Run](t, must(t, "runs", "-c", file, "--state", "parked", "--json"))
			if len(parked) != 1 {
				t.Fatalf("%d parked runs, want 1", len(parked))
			}
			id := string(parked[0].ID)
			if out := must(t, "show", "-c", file, id); !strings.Contains(out, "playbookd resolve "+id) || !strings.Contains(out, "may have taken effect") {
				t.Errorf("show does not say what to do:\n%s", out)
			}
			_, errs, code = playbookd(t, "resolve", "-c", file, id, "steps/1", c.flag, "--by", "me")
			if code != exitBroken || !strings.Contains(errs, "steps/0") {
				t.Errorf("resolving the wrong step: exit code %d, %q, want the right one named", code, errs)
			}
			must(t, "resolve", "-c", file, id, "steps/0", c.flag, "--by", "me", "--note", "looked it up")
			if made.Load() != 1 {
				t.Error("resolving made a request")
			}

			served(t, file, func() bool {
				runs := into[[]engine.Run](t, must(t, "runs", "-c", file, "--state", "succeeded", "--json"))
				return len(runs) == 1 && string(runs[0].ID) == id
			})
			if made.Load() != c.requests {
				t.Errorf("%d requests in all, want %d", made.Load(), c.requests)
			}
			if out := must(t, "show", "-c", file, id, "--json"); !strings.Contains(out, `"steps/1"`) {
				t.Errorf("the step after it was not done:\n%s", out)
			}
		})
	}
}

// The daemon need not be stopped for it: it is told in the name of the token, and of nobody else.
func TestAParkedRunGoesOnWhileTheDaemonRuns(t *testing.T) {
	t.Parallel()
	url, made := tickets(t)
	file, _, _ := people(t)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	write(t, file, strings.Replace(string(text), "http: [", "http: [\""+strings.TrimPrefix(url, "http://")+"\", ", 1))
	write(t, filepath.Join(filepath.Dir(file), "playbooks", "ticket.yaml"), "name: ticket\ntriggers: [manual]\nsteps:\n"+
		"  - action: http.request\n    with: {url: \""+url+"\", method: POST, body: {title: x}}\n")
	as := persons(t, file)
	id, said := "", false
	served(t, file, func() bool {
		if said {
			return len(into[[]engine.Run](t, must(t, "runs", "-c", file, "--state", "succeeded", "--json"))) == 1
		}
		if id == "" {
			if out, _, code := as("lena", "start", "ticket", "--json"); code == exitOK {
				id = into[map[string]string](t, out)["run"]
			}
			return false
		}
		if runs := into[[]engine.Run](t, must(t, "runs", "-c", file, "--state", "parked", "--json")); len(runs) != 1 {
			return false
		}
		settle := []string{"resolve", id, "steps/0", "--did-not-happen", "--note", "no ticket there"}
		refused(t, "a stranger", "give your token")(as("stranger", settle...))
		refused(t, "a role that is missing", "needs the role operator")(as("anna", settle...))
		refused(t, "another step", "uncertain are steps/0")(as("lena", "resolve", id, "steps/1", "--happened"))
		refused(t, "a run that is not there", "not found")(as("lena", "resolve", "nowhere", "steps/0", "--happened"))
		refused(t, "a run that has begun", "only a run that is held")(as("lena", "release", id))
		refused(t, "nobody's word", "with your token")(playbookd(t, append(settle, "-c", file)...))
		refused(t, "a word without a token", "put your token into")(playbookd(t, append(settle, "-c", file, "--by", "me")...))
		if out, errs, code := as("lena", append(settle, "--by", "somebody else")...); code != exitOK || out != "run "+id+" goes on\n" {
			t.Fatalf("resolve: exit code %d, %q, %q", code, out, errs)
		}
		said = true
		return false
	})
	if made.Load() != 2 {
		t.Errorf("%d tickets were asked for, want the lost one and one more", made.Load())
	}
	if out := must(t, "show", "-c", file, id); !strings.Contains(out, "lena") || !strings.Contains(out, "no ticket there") || strings.Contains(out, "somebody else") {
		t.Errorf("show does not say who settled it:\n%s", out)
	}
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// served runs the daemon until something holds.
func served(t *testing.T, file string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	log := &lineSignal{seen: make(chan struct{})}
	done := make(chan int, 1)
	go func() { done <- run(ctx, []string{"serve", "-c", file}, &streams{out: log, err: log}) }()
	for end := time.Now().Add(patience); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it never came about\n%s", log)
		}
	}
	cancel()
	if code := <-done; code != exitOK {
		t.Errorf("serve: exit code %d\n%s", code, log)
	}
}

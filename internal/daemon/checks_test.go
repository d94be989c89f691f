package daemon_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	_ "github.com/mattn/go-sqlite3"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/graph/simulator"
	"github.com/playbookd/playbookd/internal/config"
	"github.com/playbookd/playbookd/internal/daemon"
	"github.com/playbookd/playbookd/internal/testsite"
	"github.com/playbookd/playbookd/server"
	"github.com/playbookd/playbookd/store"
)

// bubbled is a daemon in a bubble of simulated time, with the simulator in the same process.
type bubbled struct {
	t   *testing.T
	dir string
	sim *simulator.Server
	d   *daemon.Daemon
	log testsite.Lines
	// answer, if set, may answer a request instead of the simulator: nil, nil leaves it alone.
	answer atomic.Pointer[func(*http.Request) (*http.Response, error)]
	blind  atomic.Bool // the engine sees no ready runs
	full   atomic.Bool // the engine's journal takes no entries
	still  atomic.Bool // the engine's journal tells of no clocks
	// indexing, if set, is called instead when something is to be added to the index of the engine's journal.
	indexing atomic.Pointer[func(add func() error) error]
}

const clientSecret = "canary-of-the-client~secret+1"

const bubbleConfig = `data: data
secrets: {edr_key: {file: edr.key}}
outbound: {hosts: [pager.example]}
tenants:
  contoso: {tenant_id: ` + simulator.DefaultTenant + `, client_id: ` + simulator.DefaultClient + `, credential: {kind: client_secret, secret: {file: client-secret.txt}}, graph: "https://graph.example", authority: "https://login.example"}
`

const looks = "name: looks\ntriggers: [{poll: {resource: alerts, every: 10s}}]\nsteps: [{action: alert.comment, with: {alert: \"${{ alert.id }}\", comment: seen}}]\n"

// inBubble runs a test with a daemon whose playbooks are given by their files' names. before, if
// there is one, is done to the journal before the daemon starts.
func inBubble(t *testing.T, books map[string]string, before func(*store.DB), test func(*bubbled)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := &bubbled{t: t, dir: t.TempDir()}
		var err error
		if b.sim, err = simulator.New(simulator.Options{Seed: 1, Alerts: 3, Clients: []simulator.Client{
			{ID: simulator.DefaultClient, Secret: clientSecret}}}); err != nil {
			t.Fatal(err)
		}
		for name, text := range map[string]string{"playbookd.yaml": bubbleConfig, "client-secret.txt": clientSecret, "edr.key": edrKey, "lists/none.txt": "x\n"} {
			b.write(name, text)
		}
		for name, text := range books {
			b.write("playbooks/"+name, text)
		}
		if before != nil {
			b.prepare(before)
		}
		c, findings := config.Load(filepath.Join(b.dir, "playbookd.yaml"))
		if err := findings.Err(); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		b.d, err = daemon.New(ctx, daemon.Options{
			Config: c, NoListen: true, Log: slog.New(slog.NewTextHandler(&b.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
			Transport: func(http.RoundTripper) http.RoundTripper { return b },
			Journal:   func(next engine.Journal) engine.Journal { return blind{next, b} },
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := b.d.Findings().Err(); err != nil {
			t.Fatal(err)
		}
		over := make(chan error, 1)
		go func() { over <- b.d.Run(ctx) }()
		test(b)
		b.answer.Store(nil)
		cancel()
		if err := <-over; err != nil {
			t.Errorf("the daemon ended with %v", err)
		}
	})
}

// RoundTrip brings requests to the simulator, unless the test has something else in mind.
func (b *bubbled) RoundTrip(r *http.Request) (*http.Response, error) {
	if answer := b.answer.Load(); answer != nil {
		if resp, err := (*answer)(r); resp != nil || err != nil {
			return resp, err
		}
	}
	return b.sim.Transport().RoundTrip(r)
}

func (b *bubbled) answers(f func(*http.Request) (*http.Response, error)) { b.answer.Store(&f) }

// blind is a journal that shows no ready runs for a while, or takes no entries.
type blind struct {
	engine.Journal
	b *bubbled
}

func (f blind) Append(ctx context.Context, a engine.Append) error {
	if f.b.full.Load() {
		return errors.New("there is no room")
	}
	return f.Journal.Append(ctx, a)
}

func (f blind) Ready(ctx context.Context, now time.Time, limit int) ([]engine.Run, error) {
	if f.b.blind.Load() {
		return nil, nil
	}
	return f.Journal.Ready(ctx, now, limit)
}

func (f blind) DueClocks(ctx context.Context, tenant, playbook string, limit int) ([]engine.Clock, error) {
	if f.b.still.Load() {
		return nil, errors.New("the pages are torn")
	}
	return f.Journal.DueClocks(ctx, tenant, playbook, limit)
}

func (f blind) Index(ctx context.Context, x engine.Indexed) error {
	add := func() error { return f.Journal.Index(ctx, x) }
	if instead := f.b.indexing.Load(); instead != nil {
		return (*instead)(add)
	}
	return add()
}

// raise adds an alert as of now.
func (b *bubbled) raise(id string) {
	b.t.Helper()
	now := time.Now().UTC().Format(time.RFC3339Nano)
	if err := b.sim.Add(simulator.Document{"id": id, "title": "x", "status": "new", "severity": "low", "createdDateTime": now, "lastUpdateDateTime": now}); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bubbled) write(name, text string) {
	b.t.Helper()
	path := filepath.Join(b.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
}

// prepare does something to the journal before the daemon has it.
func (b *bubbled) prepare(do func(*store.DB)) {
	b.t.Helper()
	if err := os.MkdirAll(filepath.Join(b.dir, "data"), 0o700); err != nil {
		b.t.Fatal(err)
	}
	db, err := store.Open(b.t.Context(), filepath.Join(b.dir, "data", daemon.DatabaseName), store.Options{})
	if err != nil {
		b.t.Fatal(err)
	}
	do(db)
	if err := db.Close(); err != nil {
		b.t.Fatal(err)
	}
}

// position sets a position in a journal.
func position(t *testing.T, source string, at time.Time) func(*store.DB) {
	return func(db *store.DB) {
		_, err := db.Admit(context.Background(), engine.Admission{Cursor: &engine.Cursor{Source: source, Position: at.UTC().Format(time.RFC3339Nano)}})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// page reads one of the health pages.
func (b *bubbled) page(path string) (int, server.Status) {
	b.t.Helper()
	time.Sleep(server.CheckAge) // what was found before does not count any more
	r := httptest.NewRequest(http.MethodGet, path, nil)
	w := httptest.NewRecorder()
	b.d.Handler().ServeHTTP(w, r)
	var s server.Status
	if err := json.Unmarshal(w.Body.Bytes(), &s); err != nil {
		b.t.Fatalf("%s: %v: %s", path, err, w.Body)
	}
	return w.Code, s
}

// red holds that exactly one check fails, with a reason that says some words.
func (b *bubbled) red(path, check string, words ...string) {
	b.t.Helper()
	code, s := b.page(path)
	found := false
	for _, c := range s.Checks {
		switch {
		case c.Name != check && !c.OK:
			b.t.Errorf("%s: %s fails too: %s", path, c.Name, c.Reason)
		case c.Name == check && !c.OK:
			found = true
			for _, word := range words {
				if !strings.Contains(c.Reason, word) {
					b.t.Errorf("%s: %s gives the reason %q, which does not say %q", path, check, c.Reason, word)
				}
			}
		}
	}
	if !found || code != http.StatusServiceUnavailable {
		b.t.Errorf("%s: %d, %s does not fail: %+v", path, code, check, s)
	}
}

func (b *bubbled) green(paths ...string) {
	b.t.Helper()
	for _, path := range paths {
		if code, s := b.page(path); code != http.StatusOK {
			b.t.Errorf("%s: %d %+v", path, code, s)
		}
	}
}

func TestAStalledEngineMakesHealthFailUntilRunsGetFurther(t *testing.T) {
	// A run with a concurrency key is not begun with its event: the engine has to find it.
	keyed := looks + "concurrency: {key: \"${{ alert.id }}\"}\n"
	inBubble(t, map[string]string{"looks.yaml": keyed}, nil, func(b *bubbled) {
		time.Sleep(30 * time.Second)
		b.green("/healthz", "/readyz")
		b.blind.Store(true)
		b.raise("new")
		time.Sleep(daemon.StallAfter / 2)
		b.green("/healthz") // it may pass
		time.Sleep(daemon.StallAfter)
		b.red("/healthz", "engine", "none got further", "0 of 64 workers")
		b.red("/readyz", "engine")
		b.blind.Store(false)
		time.Sleep(2 * time.Minute)
		b.green("/healthz", "/readyz")
	})
}

func TestHealthDoesNotAskForARestartWhileOutcomesWaitToBeRecorded(t *testing.T) {
	keyed := strings.Replace(looks, "looks", "keyed", 1) + "concurrency: {key: \"${{ alert.id }}\"}\n"
	inBubble(t, map[string]string{"looks.yaml": looks, "keyed.yaml": keyed}, nil, func(b *bubbled) {
		time.Sleep(30 * time.Second)
		b.blind.Store(true)
		b.full.Store(true)
		b.raise("new")
		time.Sleep(2 * daemon.StallAfter)
		b.red("/readyz", "outcomes", "don't stop playbookd")
		b.green("/healthz")
		b.full.Store(false)
		time.Sleep(2 * daemon.StallAfter)
		b.red("/healthz", "engine")
		b.blind.Store(false)
		time.Sleep(2 * time.Minute)
		b.green("/healthz", "/readyz")
	})
}

func TestAnIdleEngineIsNotStalled(t *testing.T) {
	inBubble(t, map[string]string{"looks.yaml": looks}, nil, func(b *bubbled) {
		time.Sleep(3 * time.Hour)
		b.green("/healthz", "/readyz")
	})
}

func TestAPollThatHangsMakesReadinessFailUntilOneEnds(t *testing.T) {
	inBubble(t, map[string]string{"looks.yaml": looks}, nil, func(b *bubbled) {
		time.Sleep(30 * time.Second)
		b.green("/readyz")
		b.answers(func(r *http.Request) (*http.Response, error) {
			if !strings.Contains(r.URL.RawQuery, "lastUpdateDateTime") {
				return nil, nil
			}
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		time.Sleep(3*10*time.Second + daemon.LateSlack + 10*time.Second)
		b.red("/readyz", "poll contoso/poll/alerts", "the last poll that read everything ended 1m", "due every 10s")
		b.green("/healthz")
		b.answer.Store(nil)
		time.Sleep(2 * time.Minute) // until the one under way is given up
		b.green("/readyz")
	})
}

func TestAPauseThatGraphAskedForMakesReadinessFailUntilItIsOver(t *testing.T) {
	inBubble(t, map[string]string{"looks.yaml": looks}, nil, func(b *bubbled) {
		time.Sleep(15 * time.Second)
		var once sync.Once
		b.answers(func(r *http.Request) (resp *http.Response, err error) {
			if strings.Contains(r.URL.Path, "/security/") {
				once.Do(func() {
					resp = &http.Response{StatusCode: 429, Header: http.Header{"Retry-After": {"60"}}, Body: io.NopCloser(strings.NewReader("{}")), Request: r}
				})
			}
			return resp, nil
		})
		time.Sleep(10 * time.Second)
		b.red("/readyz", "graph contoso", "class security", "held back", "asked for a pause")
		b.green("/healthz")
		time.Sleep(time.Minute)
		b.green("/readyz")
	})
}

func TestAClockBehindTheJournalMakesReadinessFailUntilItHasCaughtUpOrIsBelieved(t *testing.T) {
	for _, ahead := range []time.Duration{10 * time.Minute, 100 * time.Hour} {
		inBubble(t, map[string]string{"looks.yaml": looks}, func(db *store.DB) { position(t, "daemon/clock", time.Now().Add(ahead))(db) }, func(b *bubbled) {
			time.Sleep(30 * time.Second)
			b.red("/readyz", "clock", "behind the latest time in the journal", "set the clock")
			b.green("/healthz")
			time.Sleep(min(ahead, 2*time.Hour))
			b.green("/readyz")
		})
	}
}

func TestAScheduleThatIsHeldMakesReadinessFailUntilTheClockHasCaughtUp(t *testing.T) {
	const daily = "name: daily\ntriggers: [{schedule: {cron: \"0 6 * * *\", timezone: UTC}}]\nsteps: [{action: log, with: {message: x}}]\n"
	inBubble(t, map[string]string{"daily.yaml": daily}, func(db *store.DB) { position(t, "schedule/daily/0", time.Now().Add(30*time.Minute))(db) }, func(b *bubbled) {
		time.Sleep(time.Minute)
		b.red("/readyz", "schedules", "schedule/daily/0 is held", "set the clock")
		b.green("/healthz")
		time.Sleep(30 * time.Minute)
		b.green("/readyz")
	})
}

func TestFilesThatCannotBeUsedTogetherMakeReadinessFailUntilTheyCan(t *testing.T) {
	inBubble(t, map[string]string{"pushed.yaml": hook}, nil, func(b *bubbled) {
		b.green("/readyz")
		b.write("playbooks/other.yaml", strings.NewReplacer("pushed", "other", "as: alert", "as: event", "alert.title", "event.title").Replace(hook))
		time.Sleep(2 * daemon.ReloadEvery)
		b.red("/readyz", "playbooks", "can't be used together", "disagree about webhook edr")
		b.green("/healthz")
		b.write("playbooks/other.yaml", strings.NewReplacer("pushed", "other").Replace(hook))
		time.Sleep(2 * daemon.ReloadEvery)
		b.green("/readyz")
	})
}

func TestAnUncertainStepMakesReadinessFailUntilAPersonHasSaidWhatBecameOfIt(t *testing.T) {
	const page = "{action: http.request, with: {method: POST, url: \"https://pager.example/page\", body: {text: x}}}"
	for name, c := range map[string]struct{ steps, path, says string }{
		"alone":         {"[" + page + "]", "steps/0", "parked, waiting for a person: 1"},
		"beside a wait": {"[{parallel: [[" + page + "], [{wait: 3d}]]}]", "steps/0/branch/0/0", "for their time at another: 1"},
	} {
		t.Run(name, func(t *testing.T) {
			pages := "name: pages\ntriggers: [{poll: {resource: alerts, every: 10s, filter: severity eq 'high'}}]\nwhen: alert.id == \"new\"\nsteps: " + c.steps + "\n"
			inBubble(t, map[string]string{"pages.yaml": pages}, nil, func(b *bubbled) {
				b.answers(func(r *http.Request) (*http.Response, error) {
					if r.URL.Host == "pager.example" {
						return nil, errors.New("connection reset by peer")
					}
					return nil, nil
				})
				if err := b.sim.Add(simulator.Document{"id": "new", "title": "x", "status": "new", "severity": "high",
					"createdDateTime": time.Now().UTC().Format(time.RFC3339Nano), "lastUpdateDateTime": time.Now().UTC().Format(time.RFC3339Nano)}); err != nil {
					b.t.Fatal(err)
				}
				time.Sleep(time.Minute)
				b.red("/readyz", "parked runs", c.says, "nobody knows whether http.request at "+c.path)
				b.green("/healthz")
				w := httptest.NewRecorder()
				b.d.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
				if want := `playbookd_runs_parked{reason="uncertain"} 1`; !strings.Contains(w.Body.String(), want) {
					b.t.Errorf("the metrics do not say %s", want)
				}
				runs, err := b.d.Store().Runs(b.t.Context(), store.RunFilter{})
				if err != nil || len(runs) != 1 {
					b.t.Errorf("%v, %v", runs, err)
					return
				}
				if err := b.d.Engine().Resolve(b.t.Context(), runs[0].ID, c.path, engine.ResolveData{Happened: true, By: "ana"}); err != nil {
					b.t.Error(err)
				}
				time.Sleep(10 * time.Second)
				b.green("/readyz")
			})
		})
	}
}

func TestAJournalThatCannotBeWrittenMakesReadinessFailUntilItCan(t *testing.T) {
	t.Parallel()
	s := newSite(t, simulator.Options{})
	s.start()
	s.eventually("all is well", func() bool { code, _ := s.get("/readyz"); return code == 200 })
	db, err := sql.Open("sqlite3", "file:"+s.d.Database())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	other, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := other.ExecContext(t.Context(), "BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	_ = s.d.FireSchedules(t.Context()) // something to store
	s.eventually("readiness says why nothing can be stored", func() bool {
		code, body := s.get("/readyz")
		return code == 503 && strings.Contains(body, `"journal writes","ok":false,"reason":"nothing can be stored`) && strings.Contains(body, "another program keeps")
	})
	if code, body := s.get("/healthz"); code != 200 {
		t.Errorf("healthz is %d %s: a restart makes no room", code, body)
	}
	if _, err := other.ExecContext(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	s.eventually("all is well again", func() bool { code, _ := s.get("/readyz"); return code == 200 })
}

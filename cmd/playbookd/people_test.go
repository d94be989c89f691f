package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/internal/daemon"
	"github.com/playbookd/playbookd/internal/testsite"
	"github.com/playbookd/playbookd/playbooks"
	"github.com/playbookd/playbookd/store"
	"github.com/playbookd/playbookd/triggers"
)

// questioner is a playbook that asks two people before it does something that can be counted.
const questioner = `name: contain-user
triggers: [{manual: {inputs: {user: {type: text, required: true}}}}]
steps:
  - id: ok
    approve:
      title: Contain ${{ inputs.user }}?
      details: "Asked for by hand."
      by: ["role:lead"]
      count: 2
      within: 1h
      channels: [soc]
  - {if: steps.ok.approved, action: http.request, with: {url: "URL", method: POST, body: {user: "${{ inputs.user }}"}}}
finally: [{action: log, with: {message: cleaned up}}]
`

// people is a daemon's directory with three people in it: two leads and an operator who is a lead, too.
func people(t *testing.T) (file string, acted *atomic.Int32, told *atomic.Value) {
	t.Helper()
	acted, told = new(atomic.Int32), new(atomic.Value)
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		if strings.HasPrefix(r.URL.Path, "/channel") {
			told.Store(string(text))
			return
		}
		acted.Add(1)
	}))
	t.Cleanup(target.Close)
	dir := t.TempDir()
	file = filepath.Join(dir, "playbookd.yaml")
	host := strings.TrimPrefix(target.URL, "http://")
	write(t, file, "listen: "+testsite.FreeAddr(t)+"\noutbound: {http: [\""+host+"\"], private: [127.0.0.1]}\n"+
		"channels: {soc: {kind: webhook, url: {file: soc.url}}}\n"+
		"people:\n  anna@contoso.example: {roles: [lead], token: {file: anna.token}}\n  otto: {roles: [lead], token: {file: otto.token}}\n"+
		"  lena: {roles: [lead, operator], token: {file: lena.token}}\n"+
		"tenants:\n  contoso: {credential: {kind: azure_cli}}\n")
	write(t, filepath.Join(dir, "soc.url"), target.URL+"/channel/a-path-that-is-a-secret")
	for _, name := range []string{"anna", "otto", "lena"} {
		write(t, filepath.Join(dir, name+".token"), token(name)+"\n")
	}
	write(t, filepath.Join(dir, "stranger.token"), token("stranger"))
	write(t, filepath.Join(dir, "playbooks", "contain.yaml"), strings.ReplaceAll(questioner, "URL", target.URL+"/act"))
	return file, acted, told
}

// open is what approvals prints as JSON.
type open struct {
	Approvals []engine.Question
	More      int
}

// persons runs commands in the names of those who have a token beside the configuration.
func persons(t *testing.T, file string) func(name string, args ...string) (out, errs string, code int) {
	return func(name string, args ...string) (out, errs string, code int) {
		t.Helper()
		return playbookd(t, append(args, "-c", file, "--token-file", filepath.Join(filepath.Dir(file), name+".token"))...)
	}
}

func token(name string) string { return "the-token-of-" + name + "-0123456789" }

func TestPeopleDecideThroughTheCommandLineAndOnlyTheRightOnes(t *testing.T) {
	t.Parallel()
	file, acted, told := people(t)
	as := persons(t, file)
	step := 0
	served(t, file, func() bool {
		switch step {
		case 0: // the daemon is up once it answers
			if _, _, code := as("anna", "approvals"); code != exitOK {
				return false
			}
			refused(t, "401 for a stranger", "give your token")(as("stranger", "approvals"))
			refused(t, "a role that is missing", "needs the role operator")(as("anna", "start", "contain-user", "--inputs", `{"user": "eve"}`))
			refused(t, "an input that is missing", "user")(as("lena", "start", "contain-user"))
			refused(t, "inputs that are not JSON", "--inputs is not JSON")(as("lena", "start", "contain-user", "--inputs", "user=eve"))
			refused(t, "an event that is not JSON", "is not JSON")(as("lena", "start", "contain-user", "--event", filepath.Join(filepath.Dir(file), "anna.token")))
			if _, errs, code := as("lena", "start", "contain-user", "--inputs", `{"user": "eve"}`); code != exitOK {
				t.Fatalf("start: exit code %d, %s", code, errs)
			}
			step++
		case 1:
			out, _, _ := as("anna", "approvals", "--json")
			list := into[open](t, out).Approvals
			if len(list) != 1 || told.Load() == nil {
				return false
			}
			id := list[0].Asked.ID
			if !strings.Contains(told.Load().(string), "Contain eve?") || !strings.Contains(told.Load().(string), "playbookd approve "+id) {
				t.Errorf("the channel was told %s", told.Load())
			}
			refused(t, "who started it", "started the run")(as("lena", "approve", id))
			refused(t, "an answer to an approval", "approve: true or false")(as("anna", "answer", id, "yes"))
			refused(t, "a question that is not there", "no open question")(as("anna", "approve", "q0000"))
			if _, errs, code := as("anna", "approve", id, "--comment", "looked it up"); code != exitOK || !strings.Contains(errs, "Contain eve?") {
				t.Fatalf("approve: exit code %d, %s", code, errs)
			}
			refused(t, "the same person again", "answered already")(as("anna", "approve", id))
			if acted.Load() != 0 {
				t.Error("one yes was enough")
			}
			if _, errs, code := as("otto", "approve", id); code != exitOK {
				t.Fatalf("approve: exit code %d, %s", code, errs)
			}
			step++
		case 2:
			return acted.Load() == 1
		}
		return false
	})
	runs := into[[]engine.Run](t, must(t, "runs", "-c", file, "--json"))
	out := must(t, "show", "-c", file, string(runs[0].ID))
	for _, want := range []string{"anna@contoso.example", "looked it up", "otto", "Contain eve?"} {
		if !strings.Contains(out, want) {
			t.Errorf("show does not say %q:\n%s", want, out)
		}
	}
}

func TestARunIsCalledOffThroughTheCommandLine(t *testing.T) {
	t.Parallel()
	file, acted, _ := people(t)
	as := persons(t, file)
	id := ""
	served(t, file, func() bool {
		if id == "" {
			out, _, code := as("lena", "start", "contain-user", "--inputs", `{"user": "eve"}`, "--json")
			if code == exitOK {
				id = into[map[string]string](t, out)["run"]
			}
			return false
		}
		out, _, _ := as("anna", "approvals", "--json")
		if list := into[open](t, out).Approvals; len(list) == 1 {
			refused(t, "a role that is missing", "needs the role operator")(as("anna", "cancel", id))
			if _, errs, code := as("lena", "cancel", id, "--reason", "false alarm"); code != exitOK {
				t.Fatalf("cancel: exit code %d, %s", code, errs)
			}
		}
		runs := into[[]engine.Run](t, must(t, "runs", "-c", file, "--json"))
		return len(runs) == 1 && runs[0].State == engine.Canceled && runs[0].Message == "canceled by lena: false alarm"
	})
	if acted.Load() != 0 {
		t.Error("the run acted although nobody agreed")
	}
}

func TestARunThatALimitHoldsIsReleasedThroughTheCommandLine(t *testing.T) {
	t.Parallel()
	file, acted, _ := people(t)
	text, err := os.ReadFile(filepath.Join(filepath.Dir(file), "playbooks", "contain.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	url := regexp.MustCompile(`http://[0-9.:]+/act`).FindString(string(text))
	act := "  - {action: http.request, with: {url: \"" + url + "\", method: PUT}}\n"
	write(t, filepath.Join(filepath.Dir(file), "playbooks", "twice.yaml"),
		"name: twice\ntriggers: [manual]\nlimits: {effects: {http.request: 1/1h}}\nsteps:\n"+act+act)
	as := persons(t, file)
	id, held := "", false
	served(t, file, func() bool {
		if id == "" {
			if out, _, code := as("lena", "start", "twice", "--json"); code == exitOK {
				id = into[map[string]string](t, out)["run"]
			}
			return false
		}
		runs := into[[]engine.Run](t, must(t, "runs", "-c", file, "--json"))
		if !held && runs[0].State == engine.Parked {
			held = true
			if acted.Load() != 1 {
				t.Errorf("%d requests before it was held, want 1", acted.Load())
			}
			if out := must(t, "show", "-c", file, id); !strings.Contains(out, "playbookd release "+id) || !strings.Contains(out, "1/1h") {
				t.Errorf("show does not say what to do:\n%s", out)
			}
			refused(t, "a role that is missing", "needs the role operator")(as("anna", "release", id))
			if out, errs, code := as("lena", "release", id, "--note", "seen"); code != exitOK || !strings.Contains(out, "goes on") {
				t.Fatalf("release: exit code %d, %s", code, errs)
			}
			refused(t, "a run that is not held", "only a run that is held")(as("lena", "release", id))
		}
		return runs[0].State == engine.Succeeded
	})
	if acted.Load() != 2 {
		t.Errorf("%d requests, want 2", acted.Load())
	}
	if out := must(t, "show", "-c", file, id); !strings.Contains(out, "released by lena: seen") {
		t.Errorf("show after the release:\n%s", out)
	}
}

// A link that is opened, whatever follows it, decides nothing: only a POST with a token does.
func TestOpeningALinkDecidesNothing(t *testing.T) {
	t.Parallel()
	file, acted, _ := people(t)
	c, err := (&deskFlags{config: file, tokenFile: filepath.Join(filepath.Dir(file), "lena.token")}).client(&streams{})
	if err != nil {
		t.Fatal(err)
	}
	asked := false
	served(t, file, func() bool {
		var list struct{ Approvals []engine.Question }
		if !asked {
			var run map[string]string
			asked = c.call(t.Context(), http.MethodPost, "/api/playbooks/contain-user/runs", map[string]any{"inputs": json.RawMessage(`{"user":"eve"}`)}, &run) == nil
			return false
		}
		if err := c.call(t.Context(), http.MethodGet, "/api/approvals", nil, &list); err != nil || len(list.Approvals) == 0 {
			return false
		}
		q := list.Approvals[0]
		for _, path := range []string{"", "?approve=true", "/approve", "?_method=POST"} {
			var got any
			_ = c.call(t.Context(), http.MethodGet, "/api/approvals/"+q.Asked.ID+path, nil, &got) // some are pages that there are not
		}
		if err := c.call(t.Context(), http.MethodGet, "/api/approvals", nil, &list); err != nil || len(list.Approvals) != 1 || len(list.Approvals[0].Votes) != 0 {
			t.Errorf("after the links were opened: %+v (%v)", list, err)
		}
		for body, want := range map[string]string{`{"approve": true}`: "digest is missing", `{"digest": "x", "approve": true}`: "another question", `{"digest": "x"}`: "true or false", `[]`: "JSON object", `{"odd": 1}`: "unknown field"} {
			var got any
			err := c.call(t.Context(), http.MethodPost, "/api/approvals/"+q.Asked.ID, json.RawMessage(body), &got)
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q", body, err, want)
			}
		}
		return true
	})
	if acted.Load() != 0 {
		t.Error("the run acted although nobody agreed")
	}
}

// refused fails the test unless a command was refused with the words.
func refused(t *testing.T, what, words string) func(out, errs string, code int) {
	t.Helper()
	return func(out, errs string, code int) {
		t.Helper()
		if code != exitBroken || !strings.Contains(errs, words) {
			t.Errorf("%s: exit code %d, %q%q, want %q", what, code, out, errs, words)
		}
	}
}

func TestATokenIsNotSentWithoutTLSBeyondThisMachine(t *testing.T) {
	t.Parallel()
	file, _, _ := people(t)
	for url, want := range map[string]string{
		"http://soc.example:8484": "has no TLS", "http://192.0.2.1:8484": "has no TLS", "ftp://127.0.0.1": "is no address", "soc.example:8484": "is no address",
		"http://127.0.0.1:1": "no daemon listens", "http://localhost:1": "no daemon listens", "http://[::1]:1": "no daemon listens", "https://127.0.0.1:1": "no daemon listens",
	} {
		refused(t, url, want)(persons(t, file)("anna", "approvals", "--url", url))
	}
}

func TestApprovalsSayHowManyMoreRunsAskThanAreListed(t *testing.T) {
	t.Parallel()
	const beyond = 3
	file, _, _ := people(t)
	text := "name: many\ntriggers: [manual]\nsteps: [{approve: {title: \"Go on?\", by: [anna@contoso.example], within: 4h}}]\n"
	write(t, filepath.Join(filepath.Dir(file), "playbooks", "many.yaml"), text)
	p, findings := playbooks.Compile("many.yaml", []byte(text), playbooks.Options{Catalog: catalog()})
	if err := findings.Err(); err != nil {
		t.Fatal(err)
	}
	asked(t, filepath.Join(filepath.Dir(file), "data"), p, daemon.MaxApprovals+beyond)
	as := persons(t, file)
	served(t, file, func() bool {
		out, errs, code := as("anna", "approvals")
		if code != exitOK {
			return false
		}
		if lines := strings.Count(out, "Go on?"); lines != daemon.MaxApprovals || !strings.Contains(errs, "3 more runs ask") {
			t.Errorf("%d questions are listed, and said is %q", lines, errs)
		}
		out, _, _ = as("anna", "approvals", "--json")
		if got := into[open](t, out); len(got.Approvals) != daemon.MaxApprovals || got.More != beyond {
			t.Errorf("%d questions and %d more", len(got.Approvals), got.More)
		}
		return true
	})
}

// asked leaves a journal in which so many runs of a playbook wait for an answer.
func asked(t *testing.T, data string, p *playbooks.Playbook, runs int) {
	t.Helper()
	if err := os.MkdirAll(data, 0o700); err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.Context(), filepath.Join(data, daemon.DatabaseName), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	e := engine.New(engine.Options{Journal: db})
	e.Use(playbooks.NewSet(p))
	var events []engine.Event
	for n := range runs {
		ev, err := triggers.Manual(triggers.ManualRun{Playbook: p, Tenant: "contoso"}, time.Now().Add(time.Duration(n)*time.Millisecond))
		if err != nil {
			t.Fatal(err)
		}
		ev.ID += fmt.Sprint(n)
		events = append(events, ev)
	}
	for part := range slices.Chunk(events, engine.MaxBatch) {
		if _, err := e.Deliver(t.Context(), engine.Batch{Events: part}); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		_, all, err := db.Asking(t.Context(), 1)
		if err != nil || time.Now().After(end) {
			t.Fatalf("%d runs ask (%v)", all, err)
		}
		if all == runs {
			break
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/graph/simulator"
	"github.com/playbookd/playbookd/internal/invariant"
	"github.com/playbookd/playbookd/internal/sandbox"
	"github.com/playbookd/playbookd/internal/testsite"
	"github.com/playbookd/playbookd/playbooks"
	"github.com/playbookd/playbookd/store"
)

const languageDir = "../../testdata/language"

// example is a playbook of the language's description: its text, which stands, and how it is seen to
// run.
type example struct {
	digest string // SHA-256 of the playbook
	tests  string // of the tests, where the description has them; "": they are ours
	runs   func(t *testing.T, s *scene)
}

func examples() map[string]example {
	return map[string]example{
		"resolve-known-false-positives": {
			digest: "88a6b66cced0b8f9e28b01a25da5c4cabf52d08ff3677801c46f988219d73050",
			tests:  "d5962e8fa5a39d6ffd014ae931a7eb60064067d3f42fdaf531e2bfbad86bada3",
			runs:   watchesOnly,
		},
		"escalate-critical-incidents": {
			digest: "f9eb9053fe98c3c89fa8209838eb2b1cbc991555c2d025209dac69bbc923496e",
			runs:   isolatesWhenTwoLeadsAgree,
		},
		"triage-sla": {
			digest: "e7c25ad621e4224a51cbef127fb6a7e85a5f2b0cce9f6d2a09f83a98b9e7392c",
			runs:   climbsTheLadder,
		},
	}
}

func TestTheExamplesOfTheLanguageAreThereWordForWord(t *testing.T) {
	t.Parallel()
	for name, e := range examples() {
		for file, digest := range map[string]string{name + ".yaml": e.digest, name + ".test.yaml": e.tests} {
			text, err := os.ReadFile(filepath.Join(languageDir, file))
			if err != nil {
				t.Fatal(err)
			}
			if sum := sha256.Sum256(text); digest != "" && hex.EncodeToString(sum[:]) != digest {
				t.Errorf("%s was edited: its text is a promise", file)
			}
		}
	}
	files, err := filepath.Glob(filepath.Join(languageDir, "*.test.yaml"))
	if err != nil || len(files) != len(examples()) {
		t.Errorf("%d examples and %d tests beside them (%v)", len(examples()), len(files), err)
	}
}

func TestTheExamplesOfTheLanguagePassCheckAndTheirTests(t *testing.T) {
	t.Parallel()
	out, _, code := playbookd(t, "check", languageDir)
	for line := range strings.Lines(out) {
		// Ids that nothing reads are the only remark: they are there to be talked about.
		if strings.Contains(line, "testdata") && !strings.Contains(line, "warning PB038") {
			t.Errorf("check says %s", line)
		}
	}
	if code != exitOK {
		t.Errorf("check: exit code %d", code)
	}
	covered := must(t, "test", "--coverage", languageDir)
	for name := range examples() {
		n := regexp.MustCompile(name + `: (\d+) of (\d+) steps, (\d+) of (\d+) ways`).FindStringSubmatch(covered)
		if n == nil || n[1] != n[2] || n[3] != n[4] {
			t.Errorf("the tests do not see all of %s:\n%s", name, covered)
		}
	}
}

// scene is a daemon's directory with the examples in it, against a simulator behind HTTPS that holds the
// events of their tests.
type scene struct {
	*testsite.Site

	mu   sync.Mutex
	told []string // what came to the channel
}

// late is an incident with three alerts that nobody has taken: one is about to breach its target, one
// has breached it, and one did so twice over.
func late(now time.Time) string {
	alert := func(id string, age time.Duration) string {
		created := now.Add(-age).UTC().Format(time.RFC3339)
		return fmt.Sprintf(`{"id": %q, "incidentId": "7", "title": "Port scan", "status": "new", "severity": "high", "assignedTo": null,
			"createdDateTime": %q, "lastUpdateDateTime": %q, "comments": [], "evidence": []}`, id, created, created)
	}
	created := now.Add(-3 * time.Hour).UTC().Format(time.RFC3339)
	return fmt.Sprintf(`{"id": "7", "displayName": "Scans", "status": "active", "severity": "high", "createdDateTime": %q, "lastUpdateDateTime": %q,
		"comments": [], "alerts": [%s, %s, %s]}`, created, created, alert("at-risk", 25*time.Minute), alert("breached", 35*time.Minute), alert("forgotten", 2*time.Hour))
}

func newScene(t *testing.T, name string) *scene {
	t.Helper()
	events := map[string][]string{"resolve-known-false-positives": {"port-scan.json"}, "escalate-critical-incidents": {"port-scan.json", "ransomware.json"}}
	var docs bytes.Buffer
	if name == "triage-sla" {
		docs.WriteString(late(time.Now()))
	}
	for _, event := range events[name] {
		data, err := os.ReadFile(filepath.Join(languageDir, "testdata", event))
		if err != nil {
			t.Fatal(err)
		}
		docs.Write(data)
	}
	loaded, err := simulator.Load(&docs)
	if err != nil {
		t.Fatal(err)
	}
	s := &scene{Site: testsite.New(t, testsite.Options{Listen: testsite.FreeAddr(t), Options: simulator.Options{
		Documents: loaded, Devices: simulator.Devices{Pending: 1, Running: 1},
		Faults: []simulator.Fault{ // a bad night, on which nothing may happen twice all the same
			{Method: "POST", Path: "/api/machines/*/isolate", Drop: true, When: simulator.After},
			{Method: "GET", Path: "/api/machineactions", Status: 503},
			{Method: "POST", Path: "/security/runHuntingQuery", Status: 429, RetryAfter: "1"},
		},
		Hunting: simulator.Hunting{Answers: []simulator.HuntingAnswer{
			{Query: `DeviceName in~ ("ws-14.contoso.example", "srv-02.contoso.example")`, Rows: []simulator.Document{{"DeviceName": "ws-14", "AccountName": "cfo"}}},
			{Error: "another query than the one of the example"}}}}})}
	s.furnish(t, name)
	return s
}

// furnish puts one example in the place of the shipped playbooks, and configures what the examples name.
func (s *scene) furnish(t *testing.T, name string) {
	t.Helper()
	channel := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.told = append(s.told, string(text))
	}))
	t.Cleanup(channel.Close)
	s.Configure(fmt.Sprintf(`outbound: {http: [%q], private: [127.0.0.1]}
channels: {soc: {kind: teams, url: {file: channel.url}}, soc-critical: {kind: teams, url: {file: channel.url}}}
secrets: {edr_key: {file: edr.key}}
people:
  otto: {roles: [lead], token: {file: otto.token}}
  lena: {roles: [lead], token: {file: lena.token}}
`, strings.TrimPrefix(channel.URL, "http://")))
	s.Write("channel.url", channel.URL+"/a-path-that-is-a-secret")
	s.Write("edr.key", "an-example-key-of-32-characters!")
	for _, person := range []string{"otto", "lena"} {
		s.Write(person+".token", token(person)+"\n")
	}
	s.Use()
	for from, to := range map[string]string{name + ".yaml": "playbooks", "page-the-lead.yaml": "playbooks", "rotas/tier1.yaml": "rotas"} {
		text, err := os.ReadFile(filepath.Join(languageDir, from))
		if err != nil {
			t.Fatal(err)
		}
		s.Write(filepath.Join(to, filepath.Base(from)), string(text))
	}
	// Hours that never end, so that the test comes out the same at night.
	s.Write("calendars/soc-emea.yaml", "timezone: UTC\nhours: {mon-sun: 00:00-24:00}\n")
}

// run is the only run, or none yet.
func (s *scene) run(t *testing.T) engine.Run {
	t.Helper()
	out, _, code := playbookd(t, "runs", "-c", s.File, "--json")
	if code != exitOK {
		return engine.Run{} // the journal is not there yet
	}
	runs := into[[]engine.Run](t, out)
	if len(runs) == 0 {
		return engine.Run{}
	}
	if len(runs) > 1 {
		t.Fatalf("there are %d runs, want one", len(runs))
	}
	return runs[0]
}

// sound checks the journal against what the simulator did.
func (s *scene) sound(t *testing.T) {
	t.Helper()
	r, err := store.OpenReader(t.Context(), filepath.Join(filepath.Dir(s.File), "data", "playbookd.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	c := invariant.Case{Journal: invariant.Store(r)}
	c.Simulator(sandbox.TenantName, s.Sim)
	wrong, err := c.Check(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range wrong {
		t.Errorf("a promise was broken: %s", v)
	}
}

func TestTheExamplesOfTheLanguageRunAgainstTheSimulator(t *testing.T) {
	t.Parallel()
	for name, e := range examples() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, name)
			e.runs(t, s)
			s.sound(t)
		})
	}
}

// watchesOnly sees that the first example, which is a shadow, records what it would do and touches nothing.
func watchesOnly(t *testing.T, s *scene) {
	served(t, s.File, func() bool { return s.run(t).State == engine.Succeeded })
	r := s.run(t)
	out := must(t, "show", "-c", s.File, r.ID.URL())
	if r.Mode != playbooks.Shadow || !strings.Contains(out, "notMalicious") {
		t.Errorf("the run is %s and shows\n%s", r.Mode, out)
	}
	if n := len(s.Sim.Effects()); n != 0 {
		t.Errorf("a shadow had %d effects", n)
	}
}

// isolatesWhenTwoLeadsAgree sees the third example through: taken, announced, hunted, asked, isolated, reported.
func isolatesWhenTwoLeadsAgree(t *testing.T, s *scene) {
	as, waiting := persons(t, s.File), []string{"otto", "lena"}
	served(t, s.File, func() bool {
		if len(waiting) == 0 {
			return s.run(t).State == engine.Succeeded
		}
		out, _, code := as(waiting[0], "approvals", "--json")
		if code != exitOK {
			return false
		}
		if list := into[open](t, out).Approvals; len(list) == 1 {
			if _, errs, code := as(waiting[0], "approve", list[0].Asked.ID); code != exitOK {
				t.Fatalf("approve: %s", errs)
			}
			if n := len(s.Sim.MachineActions()); n != 0 {
				t.Errorf("%d devices were isolated before two had agreed", n)
			}
			waiting = waiting[1:]
		}
		return false
	})
	r := s.run(t)
	var ops []string
	for _, e := range s.Sim.Effects() {
		ops = append(ops, e.Op)
	}
	if want := []string{"incident.update", "device.isolate", "device.isolate", "incident.comment"}; !slices.Equal(ops, want) {
		t.Errorf("effects %v, want %v", ops, want)
	}
	for _, a := range s.Sim.MachineActions() {
		id := a["machineId"].(string)
		if comment := a["requestorComment"].(string); s.Sim.Isolation(id) != "Full" || !strings.HasPrefix(comment, "playbookd:run/"+string(r.ID)+"\n[playbookd ") {
			t.Errorf("%s is isolated %q, and its comment is %q", id, s.Sim.Isolation(id), comment)
		}
	}
	incident := s.Sim.Incident("503")
	if incident["status"] != "inProgress" || incident["assignedTo"] != "lead@contoso.example" || !strings.Contains(fmt.Sprint(incident["comments"]), "| ok |") {
		t.Errorf("the incident is %v", incident)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.told) != 1 || !strings.Contains(s.told[0], "Ransomware activity") {
		t.Errorf("the channel was told %q", s.told)
	}
	hunt := slices.IndexFunc(into[runReport](t, must(t, "show", "-c", s.File, "--json", string(r.ID))).Steps, func(step *engine.StepTrace) bool {
		return step.ID == "hunt" && strings.Contains(string(step.Output), `"AccountName"`)
	})
	if hunt < 0 {
		t.Error("the history does not show what the hunt found")
	}
}

// climbsTheLadder sees the second example meet three alerts at once, each on another rung.
func climbsTheLadder(t *testing.T, s *scene) {
	served(t, s.File, func() bool {
		out, _, code := playbookd(t, "runs", "-c", s.File, "--json")
		return code == exitOK && len(slices.DeleteFunc(into[[]engine.Run](t, out), func(r engine.Run) bool { return r.State != engine.Succeeded })) == 3
	})
	var did []string
	for _, e := range s.Sim.Effects() {
		did = append(did, e.Op+" "+e.Object)
	}
	slices.Sort(did)
	if want := []string{"alert.comment alerts/breached", "alert.update alerts/at-risk", "incident.comment incidents/7"}; !slices.Equal(did, want) {
		t.Errorf("effects %v, want %v", did, want)
	}
	if taken := s.Sim.Alert("at-risk")["assignedTo"]; taken != "ann@contoso.example" {
		t.Errorf("the alert at risk is %v's", taken)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.told) != 1 || !strings.Contains(s.told[0], "SLA breached: Port scan") {
		t.Errorf("the channel was told %q", s.told)
	}
	board := must(t, "sla", "-c", s.File, "--all")
	for _, want := range []string{"at-risk", "breached", "forgotten"} {
		if !strings.Contains(board, want) {
			t.Errorf("the board does not show %s:\n%s", want, board)
		}
	}
}

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/graph/simulator"
	"github.com/playbookd/playbookd/internal/daemon"
	"github.com/playbookd/playbookd/internal/invariant"
	"github.com/playbookd/playbookd/internal/sandbox"
	"github.com/playbookd/playbookd/store"
)

// simulated runs a simulator until the test ends, with a configuration for a daemon in dir.
func simulated(t *testing.T, dir string, args ...string) (config string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	out := &lineSignal{seen: make(chan struct{})}
	var errs bytes.Buffer
	done := make(chan int, 1)
	go func() {
		done <- run(ctx, append([]string{"simulate", "--write-config", dir}, args...), &streams{out: out, err: &errs})
	}()
	t.Cleanup(func() {
		cancel()
		if code := <-done; code != exitOK {
			t.Errorf("simulate: exit code %d: %s", code, errs.String())
		}
	})
	select {
	case <-out.seen:
	case code := <-done:
		done <- code
		t.Fatalf("simulate ended by itself: %s", errs.String())
	}
	line := into[ready](t, out.String())
	if !line.Ready || line.Config == "" || !strings.HasPrefix(line.URL, "https://127.0.0.1:") || line.TenantID == "" || line.ClientID == "" {
		t.Fatalf("the line that says that it is ready: %s", out)
	}
	text, err := os.ReadFile(line.Config)
	if err != nil {
		t.Fatal(err)
	}
	write(t, line.Config, strings.Replace(string(text), "127.0.0.1:8484", "127.0.0.1:0", 1))
	return line.Config
}

// What the simulator is told to find is what a playbook finds, through a token of its own for each of the two hosts.
func TestAPlaybookHuntsAndReadsADeviceInTheSimulator(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	answers := filepath.Join(dir, "hunting.json")
	write(t, answers, `[{"query": "DeviceLogonEvents", "rows": [{"AccountName": "cfo", "Devices": 2}]}]`)
	machines := filepath.Join(dir, "machines.json")
	write(t, machines, `{"@odata.context": "https://api.securitycenter.microsoft.com/api/$metadata#Machines",
		"value": [{"id": "1e5bc9d7e413ddd7902c2932e418702b84d0cc07", "computerDnsName": "ws-14.contoso.example"}]}`)
	config := simulated(t, dir, "--hunting", answers, "--alerts", machines)
	write(t, filepath.Join(filepath.Dir(config), "playbooks", "look.yaml"), `name: look
triggers: [manual]
steps:
  - {id: hunt, action: hunting.run, with: {query: "DeviceLogonEvents | take 1"}}
  - {id: host, action: device.get, with: {device: 1e5bc9d7e413ddd7902c2932e418702b84d0cc07}}
outputs: {who: "${{ steps.hunt.output.rows[0].AccountName }}", where: "${{ steps.host.output.computerDnsName }}"}
`)
	out, errs, code := playbookd(t, "run", "look", "-c", config)
	if code != exitOK || !strings.Contains(out, "cfo") || !strings.Contains(out, "ws-14.contoso.example") {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
}

// Every line of the simulator's file was written before its answer left, so at any moment at
// which the daemon stops in order the file and the journal tell the same story.
func TestTheEffectsFileAndTheJournalTellTheSameStory(t *testing.T) {
	t.Parallel()
	for _, seed := range []string{"5", "6"} {
		t.Run("seed "+seed, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			file := filepath.Join(dir, "effects.jsonl")
			faults := filepath.Join(dir, "faults.json")
			write(t, faults, `[{"method": "POST", "path": "/security/**", "every": 3, "times": 3, "drop": true, "when": "after"},
				{"method": "PATCH", "path": "/security/**", "every": 3, "times": 2, "status": 503}]`)
			config := simulated(t, dir, "--seed", seed, "--effects", file, "--faults", faults)
			served(t, config, func() bool {
				out, _, code := playbookd(t, "runs", "-c", config, "--json", "--limit", "1000")
				if code != exitOK {
					return false // the daemon is still starting
				}
				runs := into[[]engine.Run](t, out)
				ended := 0
				for _, r := range runs {
					if r.State == engine.Succeeded {
						ended++
					}
				}
				return ended > 0 && ended == len(runs) && len(effectsIn(t, file)) > 5
			})
			r, err := store.OpenReader(t.Context(), filepath.Join(dir, "data", daemon.DatabaseName))
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			done := effectsIn(t, file)
			check := func(effects []invariant.Effect) []invariant.Violation {
				t.Helper()
				wrong, err := invariant.Case{Journal: invariant.Store(r), Targets: []invariant.Target{
					{Name: "file", Tenant: sandbox.TenantName, Takes: invariant.ToGraph, Effects: effects}}}.Check(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				return wrong
			}
			for _, w := range check(done) {
				t.Error(w)
			}
			// The comparison is worth something: it notices a line that is not in the journal, and one that is missing.
			if len(check(append(slices.Clone(done), invariant.Effect{RequestID: "x"}))) == 0 || len(check(done[1:])) == 0 {
				t.Error("a forged and a missing line are not noticed")
			}
		})
	}
}

func effectsIn(t *testing.T, file string) []invariant.Effect {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var list []invariant.Effect
	for s := bufio.NewScanner(f); s.Scan(); {
		var e simulator.Effect
		if err := json.Unmarshal(s.Bytes(), &e); err != nil {
			continue // the line is being written
		}
		list = append(list, invariant.Simulated(e))
	}
	return list
}

func TestSimulateRefusesWhatItCannotServe(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	notDir := filepath.Join(dir, "file")
	write(t, notDir, "x")
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--count", "-1"}, "choose between 0 and 100000"},
		{[]string{"--count", "100001"}, "choose between 0 and 100000"},
		{[]string{"--count", "many"}, "see playbookd simulate --help"},
		{[]string{"--listen", "nowhere"}, "choose another address, or port 0"},
		{[]string{"--alerts", filepath.Join(dir, "none.json")}, "none.json can't be read: no such file"},
		{[]string{"--alerts", notDir}, "file: line 1"},
		{[]string{"--faults", filepath.Join(dir, "none.json")}, "none.json can't be read: no such file"},
		{[]string{"--faults", notDir}, "a fault list is a JSON array"},
		{[]string{"--hunting", notDir}, "hunting answers are a JSON array"},
		{[]string{"--effects", filepath.Join(notDir, "x")}, "effects file"},
		{[]string{"--write-config", filepath.Join(notDir, "x")}, "write configuration"},
	} {
		out, errs, code := playbookd(t, append([]string{"simulate"}, c.args...)...)
		if code != exitBroken || out != "" || !strings.Contains(errs, c.want) {
			t.Errorf("simulate %v: exit code %d, %q, standard output %q; want the words %q", c.args, code, errs, out, c.want)
		}
	}
}

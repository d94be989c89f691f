package playbooks_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/internal/diag"
	"github.com/playbookd/playbookd/playbooks"
)

var update = flag.Bool("update", false, "write what the tests see into testdata")

// The inputs and outputs of the actions that tests know. They are like the shipped ones, but
// belong to the tests, so that a new field there does not change expectations here.
type (
	updateIn struct {
		Alert          string                   `json:"alert" play:"doc=The id of the alert."`
		Status         string                   `json:"status,omitempty" play:"enum=new|inProgress|resolved"`
		Classification string                   `json:"classification,omitempty" play:"enum=unknown|falsePositive|truePositive|informationalExpectedActivity"`
		Determination  string                   `json:"determination,omitempty" play:"enum=malware|notMalicious|securityTesting|phishing|other;retired=apt|securityPersonnel"`
		AssignedTo     actions.Nullable[string] `json:"assignedTo,omitzero"`
		Tags           []string                 `json:"tags,omitempty"`
		Comment        string                   `json:"comment,omitempty"`
	}
	updateOut struct {
		Alert  string `json:"alert"`
		Status string `json:"status,omitempty"`
	}
	listIn struct {
		Filter string `json:"filter,omitempty" play:"format=odata"`
		Top    int    `json:"top,omitempty" play:"min=1;max=100"`
	}
	listed struct {
		_  struct{} `play:"open"`
		ID string   `json:"id"`
	}
	listOut struct {
		Alerts []listed `json:"alerts"`
		Count  int      `json:"count"`
	}
	sendIn struct {
		To     string            `json:"to"`
		Text   string            `json:"text"`
		Token  actions.SecretRef `json:"token"`
		Urgent bool              `json:"urgent,omitempty"`
		Facts  map[string]string `json:"facts,omitempty"`
	}
	sendOut struct {
		Sent bool `json:"sent"`
	}
	tellIn struct {
		Channel string `json:"channel"`
		Title   string `json:"title"`
		Text    string `json:"text,omitempty"`
	}
)

// touch says what the tests' alert.update writes.
func (in updateIn) touch() []actions.Touch {
	t := actions.Touch{Object: "alerts/" + in.Alert, Fields: map[string]any{}, Comment: in.Comment != ""}
	if in.Status != "" {
		t.Fields["status"] = in.Status
	}
	if in.AssignedTo.Present() {
		t.Fields["assignedTo"] = in.AssignedTo.Any()
	}
	return []actions.Touch{t}
}

// define makes an action that is never done.
func define[In, Out any](name string, effect actions.Effect, touches func(In) []actions.Touch) actions.Action {
	part := actions.Doing[In, Out]{
		Part: actions.Part{Name: "do", Effect: effect}, Touches: touches,
		Do: func(context.Context, actions.Call, In) (Out, error) {
			var none Out
			return none, errors.New("tests never act")
		},
	}
	if effect == actions.Adds {
		part.Probe = func(context.Context, actions.Call, In) (Out, bool, error) {
			var none Out
			return none, false, nil
		}
	}
	return actions.Define(actions.Spec{Name: name, Summary: "Is for tests."}, part)
}

func catalog() *actions.Registry { return actions.NewRegistry(known()...) }

func known() []actions.Action {
	return []actions.Action{
		define[updateIn, updateOut]("alert.update", actions.Converges, updateIn.touch),
		define[listIn, listOut]("alert.list", actions.Reads, nil),
		define[sendIn, sendOut]("message.send", actions.Adds, nil),
	}
}

// wideCatalog is catalog with actions that tell people, and that only start something.
func wideCatalog() *actions.Registry {
	return actions.NewRegistry(append(known(), define[tellIn, sendOut]("notify.send", actions.Adds, nil), scan())...)
}

// scan is an action that only starts something.
func scan() actions.Action {
	do := func(context.Context, actions.Call, listIn) (listOut, error) {
		return listOut{}, errors.New("tests never act")
	}
	return actions.Define(actions.Spec{Name: "scan.start", Summary: "Is for tests."},
		actions.Doing[listIn, listOut]{Part: actions.Part{Name: "start", Effect: actions.Once}, Do: do},
		actions.Doing[listIn, listOut]{Part: actions.Part{Name: "end", Effect: actions.Reads, Awaits: true}, Do: do})
}

var today = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func options() playbooks.Options {
	return playbooks.Options{
		Catalog:   catalog(),
		Lists:     map[string]playbooks.ListInfo{"known_noise": {Entries: 3}, "scanner_ranges": {Entries: 1}},
		Calendars: map[string]bool{"office": true, "soc-emea": true},
		Rotas:     []string{"tier1"},
		Schedule: func(cron, _ string) error {
			if n := len(strings.Fields(cron)); n != 5 {
				return errors.New("it does not have five fields")
			}
			return nil
		},
		Now: today,
	}
}

// loadArchive loads the files of an archive, all but the one called findings, which is what
// loading them should report.
func loadArchive(t *testing.T, a *txtar.Archive) (*playbooks.Set, diag.Findings) {
	t.Helper()
	fsys := fstest.MapFS{}
	for _, f := range a.Files {
		if f.Name != "findings" {
			fsys[f.Name] = &fstest.MapFile{Data: f.Data}
		}
	}
	return playbooks.Load(fsys, "", options())
}

func render(t *testing.T, findings diag.Findings) string {
	t.Helper()
	var b bytes.Buffer
	if err := diag.Render(&b, findings, false); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func archives(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", dir, "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases in testdata/%s (%v)", dir, err)
	}
	return files
}

func TestEveryMistakeIsReportedWhereItStandsAndHowToMendIt(t *testing.T) {
	t.Parallel()
	for _, file := range archives(t, "findings") {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			_, findings := loadArchive(t, a)
			got := render(t, findings)
			if *update {
				writeFindings(t, file, a, got)
				return
			}
			var want string
			for _, f := range a.Files {
				if f.Name == "findings" {
					want = string(f.Data)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("findings differ (-want +got):\n%s", diff)
			}
			code := strings.SplitN(filepath.Base(file), "-", 2)[0]
			if !strings.Contains(got, " "+code+": ") {
				t.Errorf("the case is named after %s, which is not reported", code)
			}
			for _, f := range findings {
				if f.Mend == "" {
					t.Errorf("no advice: %s", f)
				}
			}
		})
	}
}

func writeFindings(t *testing.T, file string, a *txtar.Archive, findings string) {
	t.Helper()
	kept := a.Files[:0:0]
	for _, f := range a.Files {
		if f.Name != "findings" {
			kept = append(kept, f)
		}
	}
	a.Files = append(kept, txtar.File{Name: "findings", Data: []byte(findings)})
	if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestEveryCodeHasAnExplanationAndACase(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, c := range playbooks.Codes() {
		if seen[c.Code] {
			t.Errorf("%s is explained twice", c.Code)
		}
		seen[c.Code] = true
		if c.Title == "" || c.Help == "" || c.Severity == "" {
			t.Errorf("%s is not explained", c.Code)
		}
		cases, err := filepath.Glob(filepath.Join("testdata", "findings", c.Code+"-*.txtar"))
		if err != nil || len(cases) == 0 {
			t.Errorf("%s (%s) has no case in testdata/findings", c.Code, c.Title)
		}
	}
	for _, file := range archives(t, "findings") {
		a, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, findings := loadArchive(t, a)
		for _, f := range findings {
			if !seen[f.Code] && f.Code > "PB019" {
				t.Errorf("%s: %s is not among Codes()", file, f.Code)
			}
		}
	}
}

func TestGoodPlaybooksHaveNoFindings(t *testing.T) {
	t.Parallel()
	for _, file := range archives(t, "good") {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			set, findings := loadArchive(t, a)
			if len(findings) > 0 {
				t.Fatalf("findings:\n%s", render(t, findings))
			}
			if len(set.Playbooks) != len(a.Files) {
				t.Errorf("%d playbooks of %d files", len(set.Playbooks), len(a.Files))
			}
		})
	}
}

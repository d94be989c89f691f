package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/playbookd/playbookd/internal/daemon"
	"github.com/playbookd/playbookd/internal/diag"
	"github.com/playbookd/playbookd/playbooks"
	"github.com/playbookd/playbookd/playbooks/playtest"
	"github.com/playbookd/playbookd/playbooks/watchlist"
)

func newTest(s *streams) *cobra.Command {
	var beside besideFlags
	var junit string
	var coverage bool
	cmd := &cobra.Command{
		Use:   "test [PATH…]",
		Short: "Run the tests beside playbooks",
		Long: `Test runs the tests in files *.test.yaml: those named, or all below the directories named (without any: below this one). Each
says what must come of an event; docs/playbook-tests.md has the form. Nothing is asked of a network, no database is opened,
and the clock is the test's own.

Exit codes: 0 all tests passed, 1 a test failed or a file has mistakes, 2 a path could not be read, or there are no tests.`,
		Example: "  playbookd test playbooks/\n  playbookd test --junit report.xml --coverage playbooks/",
		Args:    args(0, -1),
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				args = []string{"."}
			}
			return s.test(args, beside, junit, coverage)
		},
	}
	beside.add(cmd, " that tests do not give themselves")
	cmd.Flags().StringVar(&junit, "junit", "", "write a JUnit report to this file, too")
	cmd.Flags().BoolVar(&coverage, "coverage", false, "say which steps and ways no test has seen")
	return cmd
}

// testReport is what test prints as JSON.
type testReport struct {
	Passed   int                 `json:"passed"`
	Failed   int                 `json:"failed"`
	Tests    []playtest.Result   `json:"tests"`
	Coverage []playtest.Coverage `json:"coverage"`
}

func (s *streams) test(paths []string, beside besideFlags, junit string, coverage bool) error {
	var rep testReport
	var findings diag.Findings
	for _, path := range paths {
		results, covered, more, err := testPath(path, beside)
		if err != nil {
			return err
		}
		rep.Tests, rep.Coverage = append(rep.Tests, results...), append(rep.Coverage, covered...)
		findings = append(findings, more...)
	}
	if err := diag.Render(s.err, findings, s.errColor); err != nil {
		return err
	}
	for _, r := range rep.Tests {
		if r.Passed() {
			rep.Passed++
		} else {
			rep.Failed++
		}
	}
	if len(rep.Tests) == 0 && !findings.HasErrors() {
		return fmt.Errorf("there are no tests in %s: write them beside a playbook, in NAME.test.yaml", strings.Join(paths, ", "))
	}
	if junit != "" {
		if err := writeJUnit(junit, rep.Tests); err != nil {
			return err
		}
	}
	if err := s.printTests(rep, coverage); err != nil {
		return err
	}
	if rep.Failed > 0 || findings.HasErrors() {
		return found()
	}
	return nil
}

func writeJUnit(file string, results []playtest.Result) error {
	f, err := os.Create(file)
	if err != nil {
		return fmt.Errorf("junit report: %w", plainError(err))
	}
	defer f.Close()
	return playtest.JUnit(f, results)
}

func (s *streams) printTests(rep testReport, coverage bool) error {
	if s.json {
		return s.printJSON(rep)
	}
	playtest.Text(s.out, rep.Tests)
	for _, c := range rep.Coverage {
		if !coverage {
			break
		}
		fmt.Fprintf(s.out, "%s: %d of %d steps, %d of %d ways\n", c.Playbook, c.Reached, c.Steps, c.Taken, c.Ways)
		for _, m := range c.Missing {
			fmt.Fprintf(s.out, "  not seen: %s\n", m)
		}
	}
	_, err := fmt.Fprintf(s.out, "%d passed, %d failed\n", rep.Passed, rep.Failed)
	return err
}

// testPath runs the tests of a file, or of all below a directory.
func testPath(path string, flags besideFlags) (results []playtest.Result, covered []playtest.Coverage, findings diag.Findings, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("%s can't be read: %w", path, plainError(err))
	}
	dir := path
	var names []string
	if info.IsDir() {
		names, err = testFiles(path)
	} else {
		dir, names = filepath.Dir(path), []string{filepath.Base(path)}
	}
	if err != nil {
		return nil, nil, nil, err
	}
	beside, _ := daemon.ReadBeside(flags.dirs(dir, true))          // what is wrong with them, check says
	o := daemon.Compiling(catalog(), daemon.Beside{}, time.Time{}) // a test may bring lists and calendars of its own
	set, more := playbooks.Load(os.DirFS(dir), dir, o)
	for _, f := range more {
		if f.Severity == diag.Error {
			findings = append(findings, f)
		}
	}
	t := &playtest.Tester{Set: set, Lists: contentOf(beside.Lists), Calendars: beside.Calendars, Rotas: beside.Rotas}
	for _, name := range names {
		file, more := readTests(dir, name)
		findings = append(findings, more...)
		if file != nil {
			results = append(results, t.Run(file)...)
		}
	}
	return results, t.Coverage(), findings, nil
}

// readTests reads a file of tests, by its name below a directory.
func readTests(dir, name string) (*playtest.File, diag.Findings) {
	file, findings := playtest.Read(os.DirFS(dir), filepath.ToSlash(name))
	for i := range findings {
		findings[i].Pos.File = filepath.Join(dir, findings[i].Pos.File)
	}
	return file, findings
}

// isTestFile goes by the name alone.
func isTestFile(name string) bool {
	return strings.HasSuffix(name, ".test.yaml") || strings.HasSuffix(name, ".test.yml")
}

func contentOf(lists *watchlist.Set) func(string) ([]any, bool) {
	return func(name string) ([]any, bool) {
		values, _, ok := lists.Get(name)
		return values, ok
	}
}

// testFiles lists the test files below a directory, by name.
func testFiles(dir string) ([]string, error) {
	var names []string
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && name != "." && strings.HasPrefix(e.Name(), "."):
			return fs.SkipDir
		case !e.IsDir() && isTestFile(name):
			names = append(names, name)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("%s can't be read: %w", dir, plainError(err))
	}
	slices.Sort(names)
	return names, nil
}

package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/actions/builtin"
	"github.com/playbookd/playbookd/internal/config"
	"github.com/playbookd/playbookd/internal/daemon"
	"github.com/playbookd/playbookd/internal/diag"
	"github.com/playbookd/playbookd/internal/document"
	"github.com/playbookd/playbookd/playbooks"
	"github.com/playbookd/playbookd/playbooks/calendar"
	"github.com/playbookd/playbookd/playbooks/playtest"
	"github.com/playbookd/playbookd/playbooks/rota"
	"github.com/playbookd/playbookd/playbooks/watchlist"
)

// codes are all findings that any command can print.
func codes() []diag.Code {
	all := slices.Concat(document.Codes(), playbooks.Codes(), playtest.Codes(), watchlist.Codes(), calendar.Codes(), rota.Codes(), config.Codes())
	slices.SortStableFunc(all, func(a, b diag.Code) int { return strings.Compare(a.Code, b.Code) })
	return all
}

// catalog is the actions as they are declared, unable to act.
func catalog() *actions.Registry { return actions.NewRegistry(builtin.Actions(builtin.Deps{})...) }

func newCheck(s *streams) *cobra.Command {
	var beside besideFlags
	var configFile string
	var sarif bool
	cmd := &cobra.Command{
		Use:   "check PATH…",
		Short: "Find mistakes in playbooks",
		Long: `Check reads playbooks (files, or directories with everything below them) and says what is wrong with them, with
line, column and the mend. Watchlists are read from --lists, from the directory that the configuration names, or from a
directory "lists" beside the playbooks; without any of them, every list name is taken for granted. It is the same with
calendars (--calendars, "calendars") and rotas (--rotas, "rotas"). A file of tests that is named (NAME.test.yaml) is looked
at for its form; "playbookd test" runs it.

A file that calls other playbooks finds them in its directory and below.

Exit codes: 0 no errors (warnings may be printed), 1 errors, 2 a path could not be read.`,
		Example: "  playbookd check playbooks/\n  playbookd check --sarif . > findings.sarif",
		Args:    args(1, -1),
		RunE: func(_ *cobra.Command, args []string) error {
			findings, err := check(args, beside, configFile)
			if err != nil {
				return err
			}
			return s.printFindings(findings, sarif)
		},
	}
	beside.add(cmd, "")
	cmd.Flags().StringVarP(&configFile, "config", "c", "", "configuration whose watchlists, calendars and rotas to use; it is checked too")
	cmd.Flags().BoolVar(&sarif, "sarif", false, "print SARIF 2.1.0, for code scanning")
	return cmd
}

func check(paths []string, beside besideFlags, configFile string) (diag.Findings, error) {
	var findings diag.Findings
	if configFile != "" {
		c, more := config.Load(configFile)
		findings = append(findings, more...)
		beside = beside.orThoseOf(c)
	}
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil, fmt.Errorf("%s can't be read: %w", path, plainError(err))
		}
		more, err := checkPath(path, info.IsDir(), beside.dirs(path, info.IsDir()))
		if err != nil {
			return nil, err
		}
		findings = append(findings, more...)
	}
	findings.Sort()
	return slices.Compact(findings), nil
}

// besideFlags say where what lies beside playbooks is.
type besideFlags struct{ lists, calendars, rotas string }

// add adds the flags; which says of what kind the things are that lie there.
func (f *besideFlags) add(cmd *cobra.Command, which string) {
	cmd.Flags().StringVar(&f.lists, "lists", "", "directory of the watchlists"+which)
	cmd.Flags().StringVar(&f.calendars, "calendars", "", "directory of the calendars"+which)
	cmd.Flags().StringVar(&f.rotas, "rotas", "", "directory of the rotas"+which)
}

// orThoseOf takes what was not said from a configuration.
func (f besideFlags) orThoseOf(c *config.Config) besideFlags {
	if c != nil {
		f.lists, f.calendars, f.rotas = cmp.Or(f.lists, c.Lists), cmp.Or(f.calendars, c.Calendars), cmp.Or(f.rotas, c.Rotas)
	}
	return f
}

// dirs completes the directories that belong to playbooks: lists, calendars and rotas in them or beside them.
// One that is "" does not exist.
func (f besideFlags) dirs(path string, isDir bool) daemon.Dirs {
	if !isDir {
		path = filepath.Dir(path)
	}
	find := func(name string) string {
		for _, dir := range []string{filepath.Join(path, name), filepath.Join(path, "..", name)} {
			if info, err := os.Stat(dir); err == nil && info.IsDir() {
				return dir
			}
		}
		return ""
	}
	return daemon.Dirs{Playbooks: path, Lists: cmp.Or(f.lists, find("lists")),
		Calendars: cmp.Or(f.calendars, find("calendars")), Rotas: cmp.Or(f.rotas, find("rotas"))}
}

func checkPath(path string, isDir bool, dirs daemon.Dirs) (diag.Findings, error) {
	beside, findings := daemon.ReadBeside(dirs)
	o := daemon.Compiling(catalog(), beside, time.Now())
	if isDir {
		set, more := playbooks.Load(os.DirFS(path), path, o)
		if findings = append(findings, more...); len(set.Playbooks) == 0 && len(findings) == 0 {
			return nil, fmt.Errorf("%s holds no playbooks: they are files whose names end in .yaml", path)
		}
		return findings, nil
	}
	if isTestFile(path) { // as playbooks/* names them, too
		_, more := readTests(filepath.Dir(path), filepath.Base(path))
		return append(findings, more...), nil
	}
	src, err := readFile(path, playbooks.MaxPlaybookSize)
	if err != nil {
		return nil, fmt.Errorf("%s can't be read: %w", path, plainError(err))
	}
	_, more := compileFile(path, src, o)
	return append(findings, more...), nil
}

// compileFile compiles the text of one playbook. If it may call others, they are those beside it and below. A file that
// is none of that directory's playbooks, because of its name, stands alone.
func compileFile(path string, src []byte, o playbooks.Options) (*playbooks.Playbook, diag.Findings) {
	if !bytes.Contains(src, []byte("playbook:")) {
		return playbooks.Compile(path, src, o)
	}
	path = filepath.Clean(path)
	dir := filepath.Dir(path)
	set, findings := playbooks.Load(os.DirFS(dir), dir, o)
	findings = slices.DeleteFunc(findings, func(f diag.Finding) bool { return f.Pos.File != path })
	for _, p := range set.Playbooks {
		if p.File == path {
			return p, findings
		}
	}
	if len(findings) > 0 {
		return nil, findings
	}
	return playbooks.Compile(path, src, o)
}

func plainError(err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err
	}
	return err
}

// printFindings prints findings in the form asked for, and makes them the exit code.
func (s *streams) printFindings(findings diag.Findings, sarif bool) error {
	var err error
	switch {
	case sarif:
		err = diag.SARIF(s.out, findings, version().Version, codes())
	case s.json:
		err = diag.JSON(s.out, findings)
	default:
		err = diag.Render(s.out, findings, s.color)
	}
	if err != nil {
		return err
	}
	if findings.HasErrors() {
		return found()
	}
	return nil
}

func newExplain(s *streams) *cobra.Command {
	return &cobra.Command{
		Use: "explain [CODE]", Short: "Explain a finding, or list them all", Args: args(0, 1),
		Example: "  playbookd explain PB012",
		RunE: func(_ *cobra.Command, args []string) error {
			all := codes()
			if len(args) == 0 {
				if s.json {
					return s.printJSON(all)
				}
				var rows [][]string
				for _, c := range all {
					rows = append(rows, []string{c.Code, string(c.Severity), c.Title})
				}
				return table(s.out, []string{"CODE", "SEVERITY", "TITLE"}, rows)
			}
			c, ok := diag.Lookup(all, args[0])
			if !ok {
				return fmt.Errorf("there is no finding %q: `playbookd explain` lists them", args[0])
			}
			if s.json {
				return s.printJSON(c)
			}
			_, err := fmt.Fprintf(s.out, "%s (%s): %s\n\n%s\n", c.Code, c.Severity, c.Title, c.Help)
			return err
		},
	}
}

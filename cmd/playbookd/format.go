package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"

	"github.com/playbookd/playbookd/internal/diag"
	"github.com/playbookd/playbookd/internal/document"
	"github.com/playbookd/playbookd/playbooks"
)

func newFormat(s *streams) *cobra.Command {
	var f formatting
	cmd := &cobra.Command{
		Use:   "fmt [PATH…]",
		Short: "Give playbooks, their tests and watchlists the same layout",
		Long: `Fmt gives YAML files the layout of all playbooks: two spaces for each level, lists indented below their key, one space
where one is enough, at most one empty line in a row. It changes white space and nothing else: the order of keys, comments,
quotes and line breaks stay, and so does the meaning. A file with mistakes in its YAML is left as it is, and the mistake is
printed.

PATH is a file, a directory with all .yaml and .yml files below it (not those in directories that begin with a dot, and no
links), or - for standard input, which is printed formatted. Without PATH it is the current directory. The names of files
that change are printed.

Exit codes: 0 done; 1 a file has mistakes, or with --check or --diff a file would change; 2 a file could not be read or
written.`,
		Example: "  playbookd fmt playbooks/\n  playbookd fmt --check .\n  playbookd fmt - < close.yaml",
		Args:    args(0, -1),
		RunE: func(_ *cobra.Command, paths []string) error {
			if len(paths) == 0 {
				paths = []string{"."}
			}
			return s.format(paths, f)
		},
	}
	cmd.Flags().BoolVar(&f.check, "check", false, "change nothing; name the files that would change")
	cmd.Flags().BoolVar(&f.diff, "diff", false, "change nothing; print what would change")
	return cmd
}

// formatting says what to do with files whose layout differs.
type formatting struct{ check, diff bool }

func (f formatting) writes() bool { return !f.check && !f.diff }

// formatted is what came of all files.
type formatted struct {
	Changed  []string      `json:"changed"` // or would be
	Findings diag.Findings `json:"findings"`
}

func (s *streams) format(paths []string, f formatting) error {
	if slices.Contains(paths, "-") {
		if len(paths) > 1 {
			return errors.New("- is standard input and stands alone")
		}
		return s.formatInput(f)
	}
	all := formatted{Changed: []string{}, Findings: diag.Findings{}}
	for _, path := range paths {
		files, err := yamlFiles(path)
		if err != nil {
			return err
		}
		for _, file := range files {
			if err := s.formatFile(file, f, &all); err != nil {
				return err
			}
		}
	}
	if s.json {
		if err := s.printJSON(all); err != nil {
			return err
		}
	} else if err := diag.Render(s.err, all.Findings, s.errColor); err != nil {
		return err
	}
	if all.Findings.HasErrors() || len(all.Changed) > 0 && !f.writes() {
		return found()
	}
	return nil
}

// formatInput formats standard input.
func (s *streams) formatInput(f formatting) error {
	const name = "<stdin>"
	src, err := io.ReadAll(io.LimitReader(s.in, document.MaxSize+1))
	if err != nil {
		return fmt.Errorf("standard input can't be read: %w", err)
	}
	out, findings := document.Format(name, src)
	if findings.HasErrors() {
		if err := diag.Render(s.err, findings, s.errColor); err != nil {
			return err
		}
		return found()
	}
	same := bytes.Equal(src, out)
	switch {
	case f.diff:
		_, err = s.out.Write(diff.Diff(name, src, name, out))
	case f.writes():
		_, err = s.out.Write(out)
	}
	if err == nil && !same && !f.writes() {
		return found()
	}
	return err
}

// formatFile formats one file. What is wrong with it becomes a finding; an error means that it could not be read or
// written.
func (s *streams) formatFile(file string, f formatting, all *formatted) error {
	src, err := readFile(file, document.MaxSize)
	if err != nil {
		return fmt.Errorf("%s can't be read: %w", file, plainError(err))
	}
	out, findings := document.Format(file, src)
	if findings.HasErrors() {
		all.Findings = append(all.Findings, findings...)
		return nil
	}
	if bytes.Equal(src, out) {
		return nil
	}
	all.Changed = append(all.Changed, file)
	switch {
	case s.json:
	case f.diff:
		_, err = s.out.Write(diff.Diff(file, src, file, out))
	default:
		_, err = fmt.Fprintln(s.out, file)
	}
	if err != nil || !f.writes() {
		return err
	}
	if err := replaceFile(file, out); err != nil {
		return fmt.Errorf("%s can't be written: %w", file, plainError(err))
	}
	return nil
}

// yamlFiles lists what a path stands for, in order.
func yamlFiles(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("%s can't be read: %w", path, plainError(err))
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	var files []string
	seen := 0
	err = filepath.WalkDir(path, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return fmt.Errorf("%s can't be read: %w", name, plainError(err))
		}
		if seen++; seen > playbooks.MaxFiles {
			return fmt.Errorf("there are more than %d files below %s", playbooks.MaxFiles, path)
		}
		switch hidden := name != path && strings.HasPrefix(d.Name(), "."); {
		case d.IsDir() && hidden:
			return fs.SkipDir
		case hidden, !d.Type().IsRegular():
		case slices.Contains([]string{".yaml", ".yml"}, strings.ToLower(filepath.Ext(name))):
			files = append(files, name)
		}
		return nil
	})
	return files, err
}

// replaceFile writes a file anew: who reads it meanwhile sees the old text or the new one, and its permissions stay.
// A link stays a link, to a file that changes.
func replaceFile(file string, text []byte) (err error) {
	if file, err = filepath.EvalSymlinks(file); err != nil {
		return err
	}
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	beside, err := os.CreateTemp(filepath.Dir(file), ".fmt-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(beside.Name()))
		}
	}()
	_, err = beside.Write(text)
	if err == nil {
		err = beside.Chmod(info.Mode().Perm())
	}
	if err == nil {
		err = beside.Sync()
	}
	if err = errors.Join(err, beside.Close()); err != nil {
		return err
	}
	return os.Rename(beside.Name(), file)
}

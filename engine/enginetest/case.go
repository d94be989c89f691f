package enginetest

import (
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing/fstest"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/playbooks"
)

// Case is one file of the suite: a playbook, what happens to it, and what must come of it.
type Case struct {
	Name     string            // "foreach/approve"
	About    string            // what it shows
	Books    map[string]string // texts by file name; the one that is run is playbook.yaml
	Script   []Line
	Expected string

	head string // all of the file before what is expected
}

// playbookFile is the name of the playbook that a case runs. Others are there to be called.
const playbookFile = "playbook.yaml"

var marker = regexp.MustCompile(`(?m)^-- (\S+) --\n`)

// ReadCases reads every case below a directory, by name.
func ReadCases(dir fs.FS) ([]Case, error) {
	var cases []Case
	err := fs.WalkDir(dir, ".", func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || path.Ext(file) != ".txt" {
			return err
		}
		text, err := fs.ReadFile(dir, file)
		if err != nil {
			return err
		}
		c, err := readCase(strings.TrimSuffix(file, ".txt"), string(text))
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		cases = append(cases, c)
		return nil
	})
	return cases, err
}

func readCase(name, text string) (Case, error) {
	c := Case{Name: name, Books: map[string]string{}, head: text}
	marks := marker.FindAllStringSubmatchIndex(text, -1)
	if len(marks) == 0 {
		return c, fmt.Errorf("there is no %q line: it is no case", "-- playbook.yaml --")
	}
	c.About = strings.TrimSpace(text[:marks[0][0]])
	for i, m := range marks {
		end := len(text)
		if i+1 < len(marks) {
			end = marks[i+1][0]
		}
		section, body := text[m[2]:m[3]], text[m[1]:end]
		switch {
		case section == "happens":
			var err error
			if c.Script, err = readScript(body); err != nil {
				return c, err
			}
		case section == "expected":
			c.Expected, c.head = body, text[:m[0]]
		case path.Ext(section) == ".yaml":
			c.Books[section] = body
		default:
			return c, fmt.Errorf("there is no section %q: write happens, expected, or NAME.yaml", section)
		}
	}
	if c.Books[playbookFile] == "" || c.About == "" {
		return c, fmt.Errorf("a case begins with what it shows, and has a %s", playbookFile)
	}
	return c, nil
}

// with is the text of the case with something else expected.
func (c Case) with(expected string) string { return c.head + "-- expected --\n" + expected }

// Compile compiles the playbook that the case runs, and all that it calls.
func (c Case) Compile(catalog *actions.Registry) (*playbooks.Playbook, error) {
	dir := fstest.MapFS{}
	for file, text := range c.Books {
		dir[file] = &fstest.MapFile{Data: []byte(text)}
	}
	set, findings := playbooks.Load(dir, c.Name, playbooks.Options{Catalog: catalog})
	if err := findings.Err(); err != nil {
		return nil, err
	}
	i := slices.IndexFunc(set.Playbooks, func(p *playbooks.Playbook) bool { return path.Base(p.File) == playbookFile })
	if i < 0 {
		return nil, fmt.Errorf("%s did not load", playbookFile)
	}
	return set.Playbooks[i], nil
}

// Package watchlist reads the lists that playbooks name: scanner ranges, known noise, VIPs.
//
// A list is a file in the lists directory: NAME.yaml (a list of texts or numbers), NAME.txt
// (one entry a line, # begins a comment), or NAME.csv (the first line names the columns and their types). All lists are read together into a [Set], which never
// changes: who reads it twice sees the same. A file that can't be read is a finding and leaves
// the others usable; a reload with findings should keep the set that works.
package watchlist

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/playbookd/playbookd/internal/diag"
	"github.com/playbookd/playbookd/internal/document"
	"github.com/playbookd/playbookd/playbooks/named"
)

// Limits of watchlists.
const (
	// MaxLists is how many lists there may be.
	MaxLists = 1000
	// MaxEntries is how many entries a list may have.
	MaxEntries = 10_000
	// MaxEntry is how long one entry may be, in bytes.
	MaxEntry = 1024
)

// The codes of this package's findings.
const (
	CodeName  = "WL001"
	CodeForm  = "WL002"
	CodeLimit = "WL003"
	CodeTwice = "WL004"
)

// Codes explains the findings of this package.
func Codes() []diag.Code {
	return []diag.Code{
		{Code: CodeName, Severity: diag.Error, Title: "watchlist name", Help: "A watchlist is used as lists.NAME, so its file must be called NAME.yaml, NAME.txt or NAME.csv with a NAME of lower-case letters, digits and underscores."},
		{Code: CodeForm, Severity: diag.Error, Title: "watchlist form", Help: "A watchlist file holds one list of texts or numbers, and nothing else. The first line of a CSV file names the columns, with their types where they are not text: user,tries:int."},
		{Code: CodeLimit, Severity: diag.Error, Title: "watchlist too large", Help: "There may be 1,000 watchlists, each with 10,000 entries of 1,024 bytes, and 50 columns."},
		{Code: CodeTwice, Severity: diag.Error, Title: "watchlist given twice", Help: "Two files, such as NAME.yaml and NAME.txt, define lists.NAME. Keep one."},
	}
}

// Set is a set of watchlists as they were when they were read.
type Set struct{ lists map[string]list }

type list struct {
	values  []any
	content []byte
	columns []Column
}

// Columns are those of a list whose entries are objects; nil for other lists.
func (s *Set) Columns(name string) []Column {
	if s == nil {
		return nil
	}
	return s.lists[name].columns
}

// Names lists the watchlists, sorted.
func (s *Set) Names() []string {
	var names []string
	if s != nil {
		for name := range s.lists {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Get returns a list's values and the canonical JSON of them.
func (s *Set) Get(name string) (values []any, content []byte, ok bool) {
	if s == nil {
		return nil, nil, false
	}
	l, ok := s.lists[name]
	return l.values, l.content, ok
}

var files = named.Kind{
	What: "a watchlist", Form: regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`),
	FormMend:   "lower-case letters, digits and underscores, beginning with a letter",
	Extensions: []string{".yaml", ".yml", ".txt", ".csv"}, MaxFiles: MaxLists, MaxSize: MaxEntries * MaxEntry,
	Codes: named.Codes{Name: CodeName, Unreadable: CodeForm, Limit: CodeLimit, Twice: CodeTwice},
}

// Load reads every list in a directory. A directory that does not exist holds no lists.
func Load(fsys fs.FS, dir string) (*Set, diag.Findings) {
	set := &Set{lists: map[string]list{}}
	return set, named.Read(fsys, dir, files, set.add)
}

func (s *Set) add(name, file string, src []byte) diag.Findings {
	values, columns, findings := read(file, src)
	if findings.HasErrors() {
		return findings
	}
	content, err := json.Marshal(values)
	if err != nil {
		return diag.Findings{named.Finding(file, CodeForm, err.Error(), "keep to texts and numbers")}
	}
	s.lists[name] = list{values: values, content: content, columns: columns}
	return findings
}

// read reads a list in the way that the file's name says.
func read(file string, src []byte) (values []any, columns []Column, findings diag.Findings) {
	switch path.Ext(file) {
	case ".csv":
		return fromCSV(file, src)
	case ".txt":
		values, findings = fromText(file, src)
	default:
		values, findings = fromYAML(file, src)
	}
	return values, nil, findings
}

func fromYAML(file string, src []byte) ([]any, diag.Findings) {
	doc, findings := document.Read(file, src)
	if findings.HasErrors() {
		return nil, findings
	}
	root := doc.Root
	if root == nil || root.Kind == document.Null {
		return []any{}, findings
	}
	if root.Kind != document.List {
		return nil, append(findings, root.Error(CodeForm, "a watchlist is a list, but this is "+root.Kind.String(), `write one entry a line, each after "- "`))
	}
	if len(root.Items) > MaxEntries {
		return nil, append(findings, root.Error(CodeLimit, fmt.Sprintf("the list has %d entries; at most %d are allowed", len(root.Items), MaxEntries), "split it, or match by range or pattern"))
	}
	values := make([]any, 0, len(root.Items))
	for _, item := range root.Items {
		switch item.Kind {
		case document.String, document.Int, document.Float:
			if len(item.Text) > MaxEntry {
				findings = append(findings, item.Error(CodeLimit, fmt.Sprintf("the entry has %d bytes; at most %d are allowed", len(item.Text), MaxEntry), "shorten it"))
			}
			values = append(values, item.Any())
		default:
			findings = append(findings, item.Error(CodeForm, "an entry is a text or a number, but this is "+item.Kind.String(), "put text in quotes"))
		}
	}
	return values, findings
}

func fromText(file string, src []byte) ([]any, diag.Findings) {
	values := []any{}
	for line := range strings.Lines(strings.ToValidUTF8(string(src), "\uFFFD")) {
		entry := strings.TrimSpace(line)
		if entry == "" || strings.HasPrefix(entry, "#") {
			continue
		}
		if len(entry) > MaxEntry || len(values) == MaxEntries {
			return nil, diag.Findings{named.Finding(file, CodeLimit, fmt.Sprintf("more than %d entries, or one of more than %d bytes", MaxEntries, MaxEntry), "split the list or shorten the entry")}
		}
		values = append(values, entry)
	}
	return values, nil
}

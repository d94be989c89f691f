package playbooks

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/internal/diag"
	"github.com/playbookd/playbookd/internal/document"
)

// Set is the playbooks that were loaded together. It is immutable.
type Set struct {
	Playbooks []*Playbook // by priority, highest first, then by name
	Digest    string      // identifies the members and their texts
	byName    map[string]*Playbook
}

// Member is one playbook of a set, by name and digest.
type Member struct {
	Name   string `json:"name"`
	Digest string `json:"digest"`
}

// NewSet makes a set of playbooks, whose names must differ.
func NewSet(playbooks ...*Playbook) *Set {
	s := &Set{Playbooks: slices.Clone(playbooks), byName: make(map[string]*Playbook, len(playbooks))}
	for _, p := range playbooks {
		s.byName[p.Name] = p
	}
	slices.SortFunc(s.Playbooks, func(a, b *Playbook) int {
		return cmp.Or(cmp.Compare(b.Priority, a.Priority), cmp.Compare(a.Name, b.Name))
	})
	h := sha256.New()
	for _, m := range s.Members() {
		fmt.Fprintf(h, "%s\x00%s\x00", m.Name, m.Digest)
	}
	s.Digest = "sha256:" + hex.EncodeToString(h.Sum(nil))
	return s
}

// Members lists the set by name.
func (s *Set) Members() []Member {
	members := make([]Member, len(s.Playbooks))
	for i, p := range s.Playbooks {
		members[i] = Member{Name: p.Name, Digest: p.Digest}
	}
	slices.SortFunc(members, func(a, b Member) int { return cmp.Compare(a.Name, b.Name) })
	return members
}

// Lookup finds a playbook by name.
func (s *Set) Lookup(name string) (*Playbook, bool) {
	p, ok := s.byName[name]
	return p, ok
}

// Load reads every playbook of a file system: files whose names end in .yaml or .yml, except tests
// (*.test.yaml), directories called lists, calendars and rotas, and what begins with a dot. The set holds the playbooks without errors; the
// findings name the others. Whether to go on with such a set is for the caller to decide.
//
// root is the directory that fsys stands for; it is put before the names in findings and in
// Playbook.File. Links are refused. Only the file system itself can refuse one that appears while
// we look: where others may write to the directory, pass the FS of an os.Root.
func Load(fsys fs.FS, root string, o Options) (*Set, diag.Findings) {
	o.written = map[string]*actions.Schema{}
	l := &loader{fsys: fsys, root: root, o: o}
	l.walk()
	slices.Sort(l.files)
	books := l.compile(l.readAll())
	books = l.distinct(books)
	books = l.agree(books)
	books = l.chains(books)
	l.findings = append(l.findings, rivals(books)...)
	l.findings.Sort()
	return NewSet(books...), l.findings
}

// besideDirectories are the names of the directories that hold what lies beside playbooks, which is YAML
// too: watchlists, calendars and rotas.
func besideDirectories() []string { return []string{"lists", "calendars", "rotas"} }

// loader is one Load.
type loader struct {
	fsys     fs.FS
	root     string
	o        Options
	seen     int
	files    []string
	findings diag.Findings
}

// fail reports an error about a whole file, by its name in the file system.
func (l *loader) fail(code, file, mend, format string, args ...any) {
	l.findings = append(l.findings, diag.Finding{Code: code, Severity: diag.Error, Pos: diag.Position{File: l.shown(file)},
		Message: fmt.Sprintf(format, args...), Mend: mend})
}

// shown is a file's name as people know it.
func (l *loader) shown(file string) string { return filepath.Join(l.root, filepath.FromSlash(file)) }

// failBook reports an error about a playbook that could be read.
func (l *loader) failBook(code string, p *Playbook, mend, format string, args ...any) {
	l.findings = append(l.findings, diag.Finding{Code: code, Severity: diag.Error, Pos: diag.Position{File: p.File},
		Message: fmt.Sprintf(format, args...), Mend: mend})
}

// walk collects the files of playbooks. It does not follow links: a link may lead anywhere, and a
// playbook repository is often written by more people than the host.
func (l *loader) walk() {
	const root = "."
	err := fs.WalkDir(l.fsys, root, func(name string, d fs.DirEntry, err error) error {
		if l.seen++; l.seen > MaxFiles {
			l.fail(codeFile, root, "move what is no playbook elsewhere", "there are more than %d files here", MaxFiles)
			return fs.SkipAll
		}
		hidden := name != root && strings.HasPrefix(path.Base(name), ".")
		switch {
		case err != nil:
			l.fail(codeFile, name, "check that it exists and may be read", "cannot be read: %v", reason(err))
			if d != nil && d.IsDir() {
				return fs.SkipDir
			}
		case d.IsDir() && (hidden || slices.Contains(besideDirectories(), path.Base(name))):
			return fs.SkipDir
		case hidden:
		case d.IsDir():
			if strings.Count(name, "/") >= MaxFileDepth {
				l.fail(codeFile, name, "move it up", "directories are nested more than %d deep", MaxFileDepth)
				return fs.SkipDir
			}
		case d.Type()&fs.ModeSymlink != 0:
			if isPlaybookFile(name) || path.Ext(name) == "" {
				l.fail(codeFile, name, "put the file itself here", "links are not followed")
			}
		case isPlaybookFile(name):
			l.files = append(l.files, name)
		}
		return nil
	})
	if err != nil {
		l.fail(codeFile, root, "check that it exists and may be read", "cannot be read: %v", reason(err))
	}
}

// reason leaves the path out of an error, because the finding names it.
func reason(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	return err
}

// isPlaybookFile goes by the name alone.
func isPlaybookFile(name string) bool {
	base := strings.ToLower(path.Base(name))
	stem, ok := strings.CutSuffix(base, ".yaml")
	if !ok {
		stem, ok = strings.CutSuffix(base, ".yml")
	}
	return ok && stem != "" && !strings.HasPrefix(base, ".") && !strings.HasSuffix(stem, ".test")
}

// readAll reads the files.
func (l *loader) readAll() []source {
	var all []source
	for _, file := range l.files {
		src, err := document.File(l.fsys, file, MaxPlaybookSize)
		if err != nil {
			l.fail(codeFile, file, "check that it is a file and may be read", "cannot be read: %v", reason(err))
			continue
		}
		all = append(all, source{file: l.shown(file), text: src})
	}
	return all
}

// compile compiles the texts. Names are looked for beforehand only if something is called by name.
func (l *loader) compile(all []source) []*Playbook {
	link := linker{o: l.o, sources: map[string]source{}}
	called := slices.ContainsFunc(all, func(s source) bool { return callsAny(s.text) })
	for i := range all {
		if !called {
			all[i].head = &header{}
			continue
		}
		all[i].head = peek(all[i])
		name := all[i].head.name
		if _, taken := link.sources[name]; name != "" && !taken {
			link.sources[name] = all[i]
		}
	}
	var books []*Playbook
	for _, s := range all {
		book, findings := link.link(s)
		l.findings = append(l.findings, findings...)
		if book != nil {
			books = append(books, book)
		}
	}
	return books
}

// distinct leaves out every playbook whose name is taken: which of two should count is not for us
// to choose, so the first by file name stays and the other is an error.
func (l *loader) distinct(books []*Playbook) []*Playbook {
	first := map[string]*Playbook{}
	return slices.DeleteFunc(books, func(p *Playbook) bool {
		other := first[p.Name]
		if other == nil {
			first[p.Name] = p
			return false
		}
		l.failBook(codeDuplicate, p, "give one of them another name", "the name %s is taken by %s", p.Name, other.File)
		return true
	})
}

// agree leaves out playbooks that share a webhook with an earlier one and mean something else by
// it: one address cannot have two kinds of proof.
func (l *loader) agree(books []*Playbook) []*Playbook {
	type owner struct {
		hook Webhook
		file string
	}
	first := map[string]owner{}
	return slices.DeleteFunc(books, func(p *Playbook) bool {
		for _, t := range p.Triggers {
			if t.Webhook == nil {
				continue
			}
			o, taken := first[t.Webhook.Path]
			if !taken {
				first[t.Webhook.Path] = owner{*t.Webhook, p.File}
				continue
			}
			if o.hook != *t.Webhook {
				l.findings = append(l.findings, diag.Finding{Code: codeWebhook, Severity: diag.Error, Pos: t.Pos, Length: 1,
					Message: fmt.Sprintf("the webhook %s has another auth or as in %s", t.Webhook.Path, o.file),
					Mend:    "write the same auth and as in both, or use another path"})
				return true
			}
		}
		return false
	})
}

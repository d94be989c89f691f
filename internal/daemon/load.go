package daemon

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/playbookd/playbookd/internal/config"
	"github.com/playbookd/playbookd/internal/diag"
	"github.com/playbookd/playbookd/playbooks"
	"github.com/playbookd/playbookd/playbooks/calendar"
	"github.com/playbookd/playbookd/playbooks/expression"
	"github.com/playbookd/playbookd/playbooks/rota"
	"github.com/playbookd/playbookd/playbooks/watchlist"
	"github.com/playbookd/playbookd/triggers"
)

// Dirs are the directories that a daemon reads.
type Dirs struct{ Playbooks, Lists, Calendars, Rotas string }

// DirsOf are those of a configuration.
func DirsOf(c *config.Config) Dirs {
	return Dirs{Playbooks: c.Playbooks, Lists: c.Lists, Calendars: c.Calendars, Rotas: c.Rotas}
}

// Beside is what lies beside playbooks. A set that is nil was not read.
type Beside struct {
	Lists     *watchlist.Set
	Calendars *calendar.Set
	Rotas     *rota.Set

	brokenLists, brokenCalendars, brokenRotas bool // some of their files can't be used
}

// or is b, with what is broken of it as it was before, when it was not.
func (b Beside) or(before Beside) Beside {
	if b.brokenLists && before.Lists != nil {
		b.Lists = before.Lists
	}
	if b.brokenCalendars && before.Calendars != nil {
		b.Calendars = before.Calendars
	}
	if b.brokenRotas && before.Rotas != nil {
		b.Rotas = before.Rotas
	}
	return b
}

// ReadBeside reads watchlists, calendars and rotas; a directory that is "" is not read.
func ReadBeside(dirs Dirs) (Beside, diag.Findings) {
	var b Beside
	var findings diag.Findings
	read := func(dir string, load func(fsys fs.FS) diag.Findings) (broken bool) {
		if dir == "" {
			return false
		}
		more := load(os.DirFS(dir))
		for i := range more {
			more[i].Pos.File = filepath.Join(dir, more[i].Pos.File)
		}
		findings = append(findings, more...)
		return more.HasErrors()
	}
	b.brokenLists = read(dirs.Lists, func(fsys fs.FS) (f diag.Findings) { b.Lists, f = watchlist.Load(fsys, "."); return f })
	b.brokenCalendars = read(dirs.Calendars, func(fsys fs.FS) (f diag.Findings) { b.Calendars, f = calendar.Load(fsys, "."); return f })
	b.brokenRotas = read(dirs.Rotas, func(fsys fs.FS) (f diag.Findings) { b.Rotas, f = rota.Load(fsys, "."); return f })
	return b, findings
}

// Read reads playbooks and what lies beside them from their directories.
func Read(catalog playbooks.Catalog, dirs Dirs, now time.Time) (*playbooks.Set, Beside, diag.Findings) {
	beside, findings := ReadBeside(dirs)
	set, more := playbooks.Load(os.DirFS(dirs.Playbooks), dirs.Playbooks, Compiling(catalog, beside, now))
	return set, beside, append(findings, more...)
}

// Compiling is how playbooks are compiled against the actions there are, and what lies beside them. Of
// what was not read any name is taken.
func Compiling(catalog playbooks.Catalog, beside Beside, now time.Time) playbooks.Options {
	o := playbooks.Options{Catalog: catalog, Schedule: triggers.CheckSchedule, Now: now}
	if beside.Lists != nil {
		o.Lists = map[string]playbooks.ListInfo{}
		for _, name := range beside.Lists.Names() {
			values, _, _ := beside.Lists.Get(name)
			o.Lists[name] = playbooks.ListInfo{Entries: len(values), Item: itemOf(beside.Lists.Columns(name))}
		}
	}
	if beside.Calendars != nil {
		o.Calendars = map[string]bool{}
		for _, name := range beside.Calendars.Names() {
			o.Calendars[name] = true
		}
	}
	if beside.Rotas != nil {
		o.Rotas = beside.Rotas.Names()
	}
	return o
}

// itemOf is the type of the entries of a list with columns.
func itemOf(columns []watchlist.Column) expression.Type {
	if columns == nil {
		return expression.Any
	}
	types := map[string]expression.Type{"text": expression.Text, "int": expression.Int, "number": expression.Number, "bool": expression.Bool}
	fields := map[string]expression.Type{}
	for _, c := range columns {
		fields[c.Name] = types[c.Type]
	}
	return expression.Object(fields)
}

// load reads the files for the first time: what is broken is left out, and said.
func (d *Daemon) load(ctx context.Context) error {
	for _, dir := range []string{d.c.Playbooks} {
		if _, err := os.Stat(dir); err != nil {
			return fmt.Errorf("playbooks: %w: create the directory, or set playbooks: in the configuration", err)
		}
	}
	return d.reload(ctx)
}

// Reload reads playbooks and what lies beside them anew. Files that are broken keep what they held when
// they were not. It returns an error if nothing of the new state could be used.
func (d *Daemon) Reload() error { return d.reload(context.Background()) }

func (d *Daemon) reload(ctx context.Context) error {
	d.reloading.Lock()
	defer d.reloading.Unlock()
	digest := d.digest()
	set, beside, findings := Read(d.registry, DirsOf(d.c), d.o.Now())
	set = keepWorking(set, d.engine.Playbooks(), findings)
	d.mu.Lock()
	d.findings, d.loaded, d.reloaded = findings, digest, time.Now()
	d.mu.Unlock()
	if d.o.OnFindings != nil {
		d.o.OnFindings(findings)
	}
	for _, f := range findings {
		d.log.Warn("finding", "code", f.Code, "at", f.Pos.String(), "what", f.Message)
	}
	err := d.takeOver(ctx, set, beside)
	d.mu.Lock()
	d.refused = err
	d.mu.Unlock()
	if err != nil {
		d.counts.reloads["refused"].Add(1)
		d.log.Error("playbooks were not taken over", "err", err)
		return err
	}
	outcome := "ok"
	if findings.HasErrors() {
		outcome = "broken"
	}
	d.counts.reloads[outcome].Add(1)
	d.log.Info("playbooks loaded", "playbooks", len(set.Playbooks), "digest", set.Digest, "findings", len(findings))
	return nil
}

// takeOver puts a set of playbooks into use. Until all that can fail is done nothing is changed. The sources come
// last: what they bring for new playbooks must not be decided about by the old ones.
func (d *Daemon) takeOver(ctx context.Context, set *playbooks.Set, beside Beside) error {
	w, err := d.wiringFor(set)
	if err != nil {
		return fmt.Errorf("the files as they are now can't be used together: %w", err)
	}
	if err := d.engine.Prepare(ctx, set, false); err != nil {
		d.mu.Lock()
		d.loaded = "" // the files are good: they are read again at the next look
		d.mu.Unlock()
		return fmt.Errorf("the files as they are now can't be taken over yet: %w", err)
	}
	d.mu.Lock()
	d.beside = beside.or(d.beside)
	d.mu.Unlock()
	d.engine.Use(set)
	d.clocks.Wake()
	return d.wire(w)
}

// keepWorking puts the playbooks of files that are broken now back as they were.
func keepWorking(set, old *playbooks.Set, findings diag.Findings) *playbooks.Set {
	broken := map[string]bool{}
	for _, f := range findings {
		if f.Severity == diag.Error {
			broken[f.Pos.File] = true
		}
	}
	list := append([]*playbooks.Playbook(nil), set.Playbooks...)
	for _, p := range old.Playbooks {
		if _, there := set.Lookup(p.Name); broken[p.File] && !there {
			list = append(list, p)
		}
	}
	if len(list) == len(set.Playbooks) {
		return set
	}
	return playbooks.NewSet(list...)
}

func (d *Daemon) changed() bool {
	d.mu.Lock()
	loaded := d.loaded
	d.mu.Unlock()
	return d.digest() != loaded
}

// digest identifies the state of the files by name, size and time of change.
func (d *Daemon) digest() string {
	h := sha256.New()
	for _, dir := range []string{d.c.Playbooks, d.c.Lists, d.c.Calendars, d.c.Rotas} {
		err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return nil
			}
			if info, err := e.Info(); err == nil {
				fmt.Fprintf(h, "%s %d %d\n", path, info.Size(), info.ModTime().UnixNano())
			}
			return nil
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			fmt.Fprintln(h, err)
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

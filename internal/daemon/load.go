package daemon

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/playbookd/playbookd/internal/diag"
	"github.com/playbookd/playbookd/playbooks"
	"github.com/playbookd/playbookd/playbooks/watchlist"
	"github.com/playbookd/playbookd/triggers"
)

// Read reads watchlists and playbooks from their directories.
func Read(catalog playbooks.Catalog, playbookDir, listDir string, now time.Time) (*playbooks.Set, *watchlist.Set, diag.Findings) {
	lists, findings := watchlist.Load(os.DirFS(listDir), ".")
	for i := range findings {
		findings[i].Pos.File = filepath.Join(listDir, findings[i].Pos.File)
	}
	set, more := playbooks.Load(os.DirFS(playbookDir), playbookDir, Compiling(catalog, lists, now))
	return set, lists, append(findings, more...)
}

// Compiling is how playbooks are compiled against the actions and the watchlists there are.
func Compiling(catalog playbooks.Catalog, lists *watchlist.Set, now time.Time) playbooks.Options {
	infos := map[string]playbooks.ListInfo{}
	for _, name := range lists.Names() {
		values, _, _ := lists.Get(name)
		infos[name] = playbooks.ListInfo{Entries: len(values)}
	}
	return playbooks.Options{Catalog: catalog, Schedule: triggers.CheckSchedule, Lists: infos, Now: now}
}

// load reads the files for the first time: what is broken is left out, and said.
func (d *Daemon) load() error {
	for _, dir := range []string{d.c.Playbooks} {
		if _, err := os.Stat(dir); err != nil {
			return fmt.Errorf("playbooks: %w: create the directory, or set playbooks: in the configuration", err)
		}
	}
	return d.Reload()
}

// Reload reads playbooks and watchlists anew. Files that are broken keep what they held when
// they were not. It returns an error if nothing of the new state could be used.
func (d *Daemon) Reload() error {
	digest := d.digest()
	set, lists, findings := Read(d.registry, d.c.Playbooks, d.c.Lists, d.o.Now())
	old := d.engine.Playbooks()
	set = keepWorking(set, old, findings)
	d.mu.Lock()
	if d.lists == nil || !listErrors(findings) {
		d.lists = lists
	}
	d.findings, d.loaded, d.reloaded = findings, digest, time.Now()
	d.mu.Unlock()
	if d.o.OnFindings != nil {
		d.o.OnFindings(findings)
	}
	for _, f := range findings {
		d.log.Warn("finding", "code", f.Code, "at", f.Pos.String(), "what", f.Message)
	}
	err := d.configureSources(set)
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
	d.engine.Use(set)
	d.log.Info("playbooks loaded", "playbooks", len(set.Playbooks), "digest", set.Digest, "findings", len(findings))
	return nil
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

func listErrors(findings diag.Findings) bool {
	for _, f := range findings {
		if _, is := diag.Lookup(watchlist.Codes(), f.Code); is {
			return true
		}
	}
	return false
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
	for _, dir := range []string{d.c.Playbooks, d.c.Lists} {
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

package config

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/playbookd/playbookd/internal/diag"
	"github.com/playbookd/playbookd/internal/document"
	"github.com/playbookd/playbookd/internal/secret"
)

// walker reads nodes into values and collects what is wrong with them.
type walker struct {
	dir      string // relative paths start here
	findings diag.Findings
}

func (w *walker) add(f diag.Finding) { w.findings = append(w.findings, f) }

func (w *walker) wrong(n *document.Node, want, mend string) {
	w.add(n.Error(CodeType, "this is "+n.Kind.String()+", but "+want+" is needed here", mend))
}

func (w *walker) refuse(n *document.Node, mend, format string, args ...any) {
	w.add(n.Error(CodeValue, fmt.Sprintf(format, args...), mend))
}

// keys says what each key of a map means. A key that is not listed is a finding.
type keys map[string]func(*document.Node)

func (w *walker) object(n *document.Node, k keys, need ...string) {
	if n.Kind != document.Map {
		w.wrong(n, "a map", "write keys and values below this key")
		return
	}
	for _, p := range n.Pairs {
		read, known := k[p.Key.Text]
		if !known {
			w.unknown(p.Key, "key", slices.Sorted(maps.Keys(k)))
			continue
		}
		read(p.Value)
	}
	for _, name := range need {
		if n.Get(name) == nil {
			w.add(n.Error(CodeNeed, fmt.Sprintf("the key %q is missing", name), "add "+name+": …"))
		}
	}
}

// unknown reports a key that is not among names, and says which of them was meant, if any is near.
func (w *walker) unknown(n *document.Node, what string, names []string) {
	mend := "use one of: " + strings.Join(names, ", ")
	if near := closest(n.Text, names); near != "" {
		mend = fmt.Sprintf("did you mean %q?", near)
	}
	w.add(n.Error(CodeKey, fmt.Sprintf("unknown %s %.80q", what, n.Text), mend))
}

// each reads a map whose keys are names chosen by the author.
func (w *walker) each(n *document.Node, read func(name string, n *document.Node)) {
	if n.Kind != document.Map {
		w.wrong(n, "a map of names", "write one name a line, each with its settings")
		return
	}
	for _, p := range n.Pairs {
		if !isName(p.Key.Text) {
			w.refuse(p.Key, "use letters, digits, _ and -, beginning with a letter", "%q can't be a name", p.Key.Text)
			continue
		}
		read(p.Key.Text, p.Value)
	}
}

func isName(s string) bool {
	for i, r := range s {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		if !letter && (i == 0 || r != '_' && r != '-' && (r < '0' || r > '9')) {
			return false
		}
	}
	return s != "" && len(s) <= 64
}

func (w *walker) text(into *string) func(*document.Node) {
	return func(n *document.Node) {
		s, ok := n.Str()
		if !ok || s == "" {
			w.wrong(n, "text", "write text, in quotes if it looks like a number")
			return
		}
		*into = s
	}
}

func (w *walker) oneOf(into *string, values ...string) func(*document.Node) {
	return func(n *document.Node) {
		s, _ := n.Str()
		if !slices.Contains(values, s) {
			w.refuse(n, "use one of: "+strings.Join(values, ", "), "%q is not known here", n.Text)
			return
		}
		*into = s
	}
}

func (w *walker) path(into *string) func(*document.Node) {
	return func(n *document.Node) {
		var s string
		w.text(&s)(n)
		if s != "" && !filepath.IsAbs(s) {
			s = filepath.Join(w.dir, s)
		}
		*into = s
	}
}

func (w *walker) flag(into *bool) func(*document.Node) {
	return func(n *document.Node) {
		v, ok := n.Bool()
		if !ok {
			w.wrong(n, "true or false", "write true or false")
			return
		}
		*into = v
	}
}

func (w *walker) whole(into *int, low, high int) func(*document.Node) {
	return func(n *document.Node) {
		v, ok := n.Int()
		if !ok {
			w.wrong(n, "a whole number", "write a number")
			return
		}
		if v < int64(low) || v > int64(high) {
			w.refuse(n, fmt.Sprintf("use a number from %d to %d", low, high), "%d is outside the limits", v)
			return
		}
		*into = int(v)
	}
}

func (w *walker) span(into *time.Duration, low, high time.Duration) func(*document.Node) {
	return func(n *document.Node) {
		d, err := ParseSpan(n.Text)
		if err != nil {
			w.wrong(n, "a duration", "write a number and a unit, such as 30s, 15m, 4h or 90d")
			return
		}
		if d < low || d > high {
			w.refuse(n, fmt.Sprintf("use a duration from %s to %s", low, high), "%s is outside the limits", n.Text)
			return
		}
		*into = d
	}
}

// ParseSpan reads a duration: what time.ParseDuration reads, and days, as in 90d.
func ParseSpan(s string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		return time.Duration(n) * 24 * time.Hour, err
	}
	return time.ParseDuration(s)
}

func (w *walker) list(read func(*document.Node)) func(*document.Node) {
	return func(n *document.Node) {
		if n.Kind != document.List {
			w.wrong(n, "a list", "write one entry a line, each after \"- \"")
			return
		}
		for _, item := range n.Items {
			read(item)
		}
	}
}

func (w *walker) secret(into *secret.Source) func(*document.Node) {
	return func(n *document.Node) {
		if n.Kind != document.Map {
			f := n.Error(CodeType, "this is "+n.Kind.String()+", but the place of a secret is needed here",
				"secrets do not stand in this file: write {env: NAME} or {file: PATH}")
			f.Excerpt = "" // it would show the secret
			w.add(f)
			return
		}
		var s secret.Source
		w.object(n, keys{"env": w.text(&s.Env), "file": w.path(&s.File)})
		if (s.Env == "") == (s.File == "") {
			w.add(n.Error(CodeNeed, "a secret has one place", "write either {env: NAME} or {file: PATH}"))
			return
		}
		*into = s
	}
}

// Package named reads directories in which each file defines the one thing that bears its name:
// lists/known_noise.txt is the watchlist known_noise, calendars/office.yaml the calendar office.
//
// What all such directories have in common is here: which files count, what a name may be, that a
// name is given once, that there is a limit. A file that can't be used is a finding and leaves the
// others usable.
package named

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/playbookd/playbookd/internal/diag"
	"github.com/playbookd/playbookd/internal/document"
)

// Kind says what the files of a directory define.
type Kind struct {
	What       string         // "a watchlist"
	Form       *regexp.Regexp // of a name
	FormMend   string         // what a name must be
	Extensions []string       // ".yaml"; files with others are left alone
	MaxFiles   int
	MaxSize    int // bytes of a file
	Codes      Codes
}

// Codes are the codes of the findings.
type Codes struct{ Name, Unreadable, Limit, Twice string }

// Read gives every file of a directory that counts to each, in the order of their names. A directory
// that does not exist holds none.
func Read(fsys fs.FS, dir string, k Kind, each func(name, file string, src []byte) diag.Findings) diag.Findings {
	entries, err := fs.ReadDir(fsys, dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return diag.Findings{Finding(dir, k.Codes.Unreadable, err.Error(), "make the directory readable")}
	}
	var findings diag.Findings
	taken := map[string]string{}
	for _, e := range entries {
		ext := path.Ext(e.Name())
		if e.IsDir() || strings.HasPrefix(e.Name(), ".") || !slices.Contains(k.Extensions, ext) {
			continue
		}
		file, name := path.Join(dir, e.Name()), strings.TrimSuffix(e.Name(), ext)
		switch other := taken[name]; {
		case !k.Form.MatchString(name):
			findings = append(findings, Finding(file, k.Codes.Name, fmt.Sprintf("%.80q can't be the name of %s", name, k.What), "name the file with "+k.FormMend))
		case other != "":
			findings = append(findings, Finding(file, k.Codes.Twice, fmt.Sprintf("%s is defined by %s already", name, other), "keep one of them"))
		case len(taken) >= k.MaxFiles:
			findings = append(findings, Finding(file, k.Codes.Limit, fmt.Sprintf("there are more than %d files here", k.MaxFiles), "remove what nobody uses"))
		default:
			taken[name] = e.Name()
			src, problem := k.read(fsys, file)
			if problem != nil {
				findings = append(findings, *problem)
				continue
			}
			findings = append(findings, each(name, file, src)...)
		}
	}
	return findings
}

// read reads a file.
func (k Kind) read(fsys fs.FS, file string) ([]byte, *diag.Finding) {
	src, err := document.File(fsys, file, k.MaxSize)
	switch {
	case err != nil:
		f := Finding(file, k.Codes.Unreadable, err.Error(), "check that it is a file and may be read")
		return nil, &f
	case len(src) > k.MaxSize:
		f := Finding(file, k.Codes.Limit, fmt.Sprintf("the file has more than %d bytes", k.MaxSize), "shorten or split it")
		return nil, &f
	}
	return src, nil
}

// Finding is an error about a whole file.
func Finding(file, code, message, mend string) diag.Finding {
	return diag.Finding{Code: code, Severity: diag.Error, Pos: diag.Position{File: file}, Message: message, Mend: mend}
}

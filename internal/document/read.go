package document

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"

	"github.com/playbookd/playbookd/internal/diag"
)

// Read reads one document. The Document is never nil, so that its lines can be shown; its Root is nil if the
// text could not be read as YAML at all. Findings are sorted. If there are errors among them the tree is good
// for more findings but must not be acted upon.
func Read(file string, src []byte) (*Document, diag.Findings) {
	d := &Document{File: file}
	if len(src) > MaxSize {
		return d, diag.Findings{d.Finding(codeSize, diag.Error, diag.Position{File: file}, 0,
			fmt.Sprintf("the document is larger than %d bytes", MaxSize),
			"move long lists into watchlist files, or split the document")}
	}
	d.lines = splitLines(src)
	if f, ok := d.checkText(src); !ok {
		return d, diag.Findings{f}
	}
	d.runes = make([][]rune, len(d.lines))
	for i, line := range d.lines {
		d.runes[i] = []rune(line)
	}
	top, findings := d.parse(src)
	if top == nil {
		return d, findings
	}
	b := builder{doc: d, findings: findings}
	d.Root = b.node(top, 1)
	b.findings.Sort()
	return d, b.findings
}

// characters is a line as characters.
func (d *Document) characters(line int) []rune {
	if line < 1 || line > len(d.runes) {
		return nil
	}
	return d.runes[line-1]
}

// splitLines cuts the source at LF, dropping the CR of a CRLF.
func splitLines(src []byte) []string {
	lines := strings.Split(string(src), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimSuffix(line, "\r")
	}
	if n := len(lines); n > 0 && lines[n-1] == "" {
		lines = lines[:n-1]
	}
	return lines
}

// checkText refuses what people cannot see: a byte order mark, broken encoding, and line breaks that YAML
// honours but editors do not, which would put every later position on the wrong line.
func (d *Document) checkText(src []byte) (diag.Finding, bool) {
	if bytes.HasPrefix(src, []byte("\xef\xbb\xbf")) {
		return d.Finding(codeEncoding, diag.Error, diag.Position{File: d.File, Line: 1, Column: 1}, 1,
			"the file starts with a byte order mark", `save it as "UTF-8" without BOM`), false
	}
	if bytes.HasPrefix(src, []byte("\xff\xfe")) || bytes.HasPrefix(src, []byte("\xfe\xff")) {
		return d.Finding(codeEncoding, diag.Error, diag.Position{File: d.File, Line: 1, Column: 1}, 1,
			"the file is UTF-16", "save it as UTF-8"), false
	}
	pos := diag.Position{File: d.File, Line: 1}
	for i := 0; i < len(src); {
		r, size := utf8.DecodeRune(src[i:])
		pos.Column++
		switch {
		case r == utf8.RuneError && size <= 1:
			return d.Finding(codeEncoding, diag.Error, pos, 1,
				fmt.Sprintf("byte 0x%02x is not UTF-8", src[i]), "save the file as UTF-8"), false
		case r == '\n':
			pos.Line, pos.Column = pos.Line+1, 0
		case r == '\r' && (i+1 == len(src) || src[i+1] != '\n'),
			r == '\u0085', r == '\u2028', r == '\u2029':
			return d.Finding(codeEncoding, diag.Error, pos, 1,
				fmt.Sprintf("the character %U is a line break that editors do not show as one", r),
				fmt.Sprintf(`use ordinary line breaks; inside a text write it as "\u%04x" in double quotes`, r)), false
		case r < 0x20 && r != '\t' && r != '\r', r == 0x7f, r >= 0x80 && r < 0xa0, r == '\ufeff', r == '\ufffe', r == '\uffff':
			return d.Finding(codeEncoding, diag.Error, pos, 1,
				fmt.Sprintf("the control character %U is not allowed", r),
				fmt.Sprintf(`remove it; inside a text write it as "\u%04x" in double quotes`, r)), false
		}
		i += size
	}
	return diag.Finding{}, true
}

// parse runs the library. Its own protections concern decoding into Go values, which never happens here, and
// it has panicked on odd input before; so a panic is a syntax error like any other.
func (d *Document) parse(src []byte) (top *yaml.Node, findings diag.Findings) {
	defer func() {
		if r := recover(); r != nil {
			top, findings = nil, diag.Findings{d.syntax(src, fmt.Errorf("yaml: %v", r))}
		}
	}()
	dec := yaml.NewDecoder(bytes.NewReader(src))
	var first, second yaml.Node
	switch err := dec.Decode(&first); {
	case errors.Is(err, io.EOF):
		return nil, diag.Findings{d.empty()}
	case err != nil:
		return nil, diag.Findings{d.syntax(src, err)}
	}
	switch err := dec.Decode(&second); {
	case errors.Is(err, io.EOF):
	case err != nil:
		return nil, diag.Findings{d.syntax(src, err)}
	default:
		pos := d.pos(&second)
		if len(second.Content) > 0 {
			pos = d.pos(second.Content[0])
		}
		findings = append(findings, d.Finding(codeDocuments, diag.Error, pos, 1,
			"a second document starts here", "put each document into a file of its own"))
	}
	if len(first.Content) != 1 || isEmpty(first.Content[0]) {
		return nil, append(findings, d.empty())
	}
	return first.Content[0], findings
}

// isEmpty recognises the null that the library makes up for a document of comments only.
func isEmpty(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.Value == "" && n.Style == 0 && n.Anchor == ""
}

func (d *Document) empty() diag.Finding {
	return d.Finding(codeDocuments, diag.Error, diag.Position{File: d.File, Line: 1, Column: 1}, 1,
		"the document is empty", "write something, or remove the file")
}

func (d *Document) pos(n *yaml.Node) diag.Position {
	return diag.Position{File: d.File, Line: max(n.Line, 1), Column: max(n.Column, 1)}
}

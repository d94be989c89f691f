package document

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"

	"github.com/playbookd/playbookd/internal/diag"
)

// errorForm takes the library's messages apart.
var errorForm = regexp.MustCompile(`^yaml: (?:line ([0-9]+): )?(.*)$`)

// syntax turns an error of the library into a finding: a line that is right, a column as good as can be had,
// and what usually is the matter.
func (d *Document) syntax(src []byte, err error) diag.Finding {
	message := err.Error()
	line := 0
	if m := errorForm.FindStringSubmatch(message); m != nil {
		message = m[2]
		line, _ = strconv.Atoi(m[1])
	}
	if name, ok := unknownAnchor(message); ok {
		pos := d.locate("*" + name)
		return d.Finding(codeAlias, diag.Error, pos, 1+utf8.RuneCountInString(name),
			fmt.Sprintf("the alias *%s is not allowed", name), "put quotes around a text that starts with *")
	}
	// Errors of the grammar, unlike those of the scanner, are reported with the line where the surrounding
	// block starts. The line that breaks it is the first that the text cannot be read up to.
	if strings.HasPrefix(message, "did not find expected") {
		line = max(line, d.firstBad(src))
	}
	// The scanner's report of an open quote is right except on the first line, which it takes for none.
	if strings.HasPrefix(message, "found unexpected end of stream") && d.firstBad(src) == 1 {
		line = 1
	}
	line = min(max(line, 1), max(len(d.lines), 1))
	text := d.Line(line)
	if column, ok := tabIn(text); ok && !strings.HasPrefix(message, "exceeded") {
		return d.Finding(codeTab, diag.Error, diag.Position{File: d.File, Line: line, Column: column}, 1,
			"a tab in the indentation", "use spaces")
	}
	column, mend := d.explain(message, text)
	return d.Finding(codeSyntax, diag.Error, diag.Position{File: d.File, Line: line, Column: column}, 1,
		plainWords(message), mend)
}

func unknownAnchor(message string) (string, bool) {
	rest, ok := strings.CutPrefix(message, "unknown anchor '")
	if !ok {
		return "", false
	}
	return strings.CutSuffix(rest, "' referenced")
}

// locate finds the first place of a text in the source.
func (d *Document) locate(what string) diag.Position {
	for i, line := range d.lines {
		if at := strings.Index(line, what); at >= 0 {
			return diag.Position{File: d.File, Line: i + 1, Column: utf8.RuneCountInString(line[:at]) + 1}
		}
	}
	return diag.Position{File: d.File, Line: 1, Column: 1}
}

// tabIn finds a tab in the white space at the start of a line.
func tabIn(line string) (column int, ok bool) {
	indent := line[:len(line)-len(strings.TrimLeft(line, " \t"))]
	at := strings.IndexByte(indent, '\t')
	return at + 1, at >= 0
}

// firstBad searches for the line that breaks the grammar by reading ever better chosen beginnings of the text:
// with low lines it can be read, with high lines it cannot.
func (d *Document) firstBad(src []byte) int {
	ends := make([]int, 0, len(d.lines))
	for i, c := range src {
		if c == '\n' {
			ends = append(ends, i+1)
		}
	}
	if len(ends) < len(d.lines) {
		ends = append(ends, len(src))
	}
	low, high := 0, len(ends)
	for low+1 < high {
		mid := (low + high) / 2
		if readable(src[:ends[mid-1]]) {
			low = mid
		} else {
			high = mid
		}
	}
	return high
}

// readable reports whether a text is YAML.
func readable(src []byte) (ok bool) {
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	dec := yaml.NewDecoder(bytes.NewReader(src))
	for {
		var n yaml.Node
		if err := dec.Decode(&n); err != nil {
			return errors.Is(err, io.EOF)
		}
	}
}

// explain guesses the column and the mistake behind a syntax error.
func (d *Document) explain(message, line string) (column int, mend string) {
	column = utf8.RuneCountInString(line) - utf8.RuneCountInString(strings.TrimLeft(line, " ")) + 1
	mend = "look at the indentation and at quotes and brackets that are not closed, here and just above"
	switch {
	case strings.Contains(line, "${{") && (strings.Contains(line, "{") || strings.Contains(line, "[")):
		column = utf8.RuneCountInString(line[:strings.Index(line, "${{")]) + 1
		mend = `put quotes around the text that holds ${{ … }}: key: "${{ … }}"`
	case strings.HasPrefix(message, "mapping values are not allowed"):
		if first := strings.Index(line, ": "); first >= 0 {
			if second := strings.Index(line[first+2:], ": "); second >= 0 {
				column = utf8.RuneCountInString(line[:first+2+second]) + 1
			}
		}
		mend = `put quotes around a text that holds ": ", or correct the indentation`
	case strings.HasPrefix(message, "found character that cannot start any token"):
		if at := strings.IndexAny(line, "@`%\t"); at >= 0 {
			column = utf8.RuneCountInString(line[:at]) + 1
		}
		mend = "put quotes around a text that starts with @, ` or %"
	case strings.HasPrefix(message, "could not find expected ':'"):
		mend = `a line inside a map needs the form "key: value"`
	case strings.HasPrefix(message, "found unexpected end of stream"):
		mend = "a quote that is opened here is never closed"
	case strings.HasPrefix(message, "found unknown escape character"):
		if at := strings.IndexByte(line, '\\'); at >= 0 {
			column = utf8.RuneCountInString(line[:at]) + 1
		}
		mend = `write \\ for a backslash in double quotes, or use single quotes`
	case strings.HasPrefix(message, "exceeded max depth"):
		mend = fmt.Sprintf("nest at most %d deep", MaxDepth)
	}
	return column, mend
}

// plainWords says what the library means.
func plainWords(message string) string {
	switch {
	case strings.HasPrefix(message, "did not find expected key"):
		return "this line does not fit the indentation of the lines above"
	case strings.HasPrefix(message, "did not find expected ',' or '}'"):
		return "a map in braces is not closed, or a comma is missing"
	case strings.HasPrefix(message, "did not find expected ',' or ']'"):
		return "a list in brackets is not closed, or a comma is missing"
	case strings.HasPrefix(message, "did not find expected '-' indicator"):
		return "this line is not an item of the list above"
	case strings.HasPrefix(message, "mapping values are not allowed"):
		return "a colon is not allowed here"
	case strings.HasPrefix(message, "found character that cannot start any token"):
		return "a text cannot start with this character"
	case strings.HasPrefix(message, "could not find expected ':'"):
		return "a colon is missing after a key"
	case strings.HasPrefix(message, "did not find expected node content"):
		return "a value is expected here"
	case strings.HasPrefix(message, "found unexpected end of stream"):
		return "the text ends inside quotes"
	}
	return message
}

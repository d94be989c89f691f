package expression

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Template is a text with expressions in it. It is immutable and may be used by many goroutines.
type Template struct {
	source string
	pieces []piece
	typ    Type
	names  []string
	paths  []string
	funcs  []string
}

// piece is a constant text, or an expression.
type piece struct {
	text    string
	program *Program
	offset  int
}

// The marks of an expression in a text.
const (
	opening = "${{"
	closing = "}}"
	escaped = "$${{"
)

// ParseTemplate reads a text in which ${{ expr }} stands for a value. A text that is nothing but one
// expression keeps the value's type; otherwise the parts are joined as text, where nil is empty, times are RFC
// 3339 in UTC, and lists and objects are JSON. $${{ stands for the characters ${{.
func ParseTemplate(s string, env *Env) (*Template, *Problem) {
	if len(s) > MaxTemplate {
		return nil, &Problem{
			Message: fmt.Sprintf("the text has %d bytes; at most %d are read", len(s), MaxTemplate),
			Mend:    "shorten it", Length: 1,
		}
	}
	t := &Template{source: s, typ: Text}
	var constant strings.Builder
	flush := func() {
		if constant.Len() > 0 {
			t.pieces = append(t.pieces, piece{text: constant.String()})
			constant.Reset()
		}
	}
	for i := 0; i < len(s); {
		rest := s[i:]
		switch {
		case strings.HasPrefix(rest, escaped):
			constant.WriteString(opening)
			i += len(escaped)
		case strings.HasPrefix(rest, opening):
			flush()
			length, problem := t.expression(s, i, env)
			if problem != nil {
				return nil, problem
			}
			i += length
		default:
			constant.WriteByte(s[i])
			i++
		}
	}
	flush()
	t.finish()
	return t, nil
}

// expression reads the expression that opens at byte i and returns how many bytes it takes with its marks.
func (t *Template) expression(s string, i int, env *Env) (int, *Problem) {
	start := i + len(opening)
	end := endOf(s[start:])
	characters := utf8.RuneCountInString(s[:i])
	if end < 0 {
		return 0, &Problem{
			Message: "${{ is never closed",
			Mend:    "close the expression with }}, or write $${{ for the characters themselves",
			Offset:  characters, Length: len(opening),
		}
	}
	source := s[start : start+end]
	program, problem := Compile(source, env, WantAny)
	if problem != nil {
		problem.Offset += characters + len(opening)
		return 0, problem
	}
	t.pieces = append(t.pieces, piece{program: program, offset: characters + len(opening)})
	return len(opening) + end + len(closing), nil
}

// endOf finds the }} that closes an expression, past quotes, comments and braces inside of it; -1 if there is
// none.
func endOf(s string) int {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '\'', '"':
			i = skipQuoted(s, i, c)
		case '`':
			if n := strings.IndexByte(s[i+1:], '`'); n >= 0 {
				i += n + 1
			} else {
				return -1
			}
		case '/':
			if strings.HasPrefix(s[i:], "/*") {
				n := strings.Index(s[i+2:], "*/")
				if n < 0 {
					return -1
				}
				i += n + 3
			}
		case '{':
			depth++
		case '}':
			if depth > 0 {
				depth--
			} else if strings.HasPrefix(s[i:], closing) {
				return i
			}
		}
	}
	return -1
}

// skipQuoted returns the index of the quote that closes the one at i, or of the last byte.
func skipQuoted(s string, i int, quote byte) int {
	for i++; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case quote:
			return i
		}
	}
	return len(s)
}

// finish computes what is known of the whole.
func (t *Template) finish() {
	for _, p := range t.pieces {
		if p.program != nil {
			t.names = append(t.names, p.program.names...)
			t.paths = append(t.paths, p.program.paths...)
			t.funcs = append(t.funcs, p.program.funcs...)
		}
	}
	for _, set := range []*[]string{&t.names, &t.paths, &t.funcs} {
		slices.Sort(*set)
		*set = slices.Compact(*set)
	}
	if p := t.single(); p != nil {
		t.typ = p.typ
	}
}

// single is the program of a text that is nothing but one expression.
func (t *Template) single() *Program {
	if len(t.pieces) == 1 {
		return t.pieces[0].program
	}
	return nil
}

// Static reports whether the text holds no expression.
func (t *Template) Static() bool {
	return !slices.ContainsFunc(t.pieces, func(p piece) bool { return p.program != nil })
}

// Source is the text the template was read from.
func (t *Template) Source() string { return t.source }

// Type is what is known of the value: that of the expression if there is nothing else, text otherwise.
func (t *Template) Type() Type { return t.typ }

// Names are the variables of the Env that the expressions use, sorted.
func (t *Template) Names() []string { return slices.Clone(t.names) }

// Paths are the paths that the expressions use, sorted; see Program.Paths.
func (t *Template) Paths() []string { return slices.Clone(t.paths) }

// Funcs are the functions of the Env that the expressions call, sorted.
func (t *Template) Funcs() []string { return slices.Clone(t.funcs) }

// Calls are the calls of functions of the Env, in the order of the text.
func (t *Template) Calls() []Asking {
	var list []Asking
	for p, offset := range t.Expressions {
		for _, c := range p.calls {
			list = append(list, c.moved(offset))
		}
	}
	return list
}

// Expressions calls yield for each expression with the place, in characters of the source, where it starts.
func (t *Template) Expressions(yield func(p *Program, offset int) bool) {
	for _, p := range t.pieces {
		if p.program != nil && !yield(p.program, p.offset) {
			return
		}
	}
}

// Eval computes the template's value.
func (t *Template) Eval(scope map[string]any, now time.Time) (any, error) {
	if p := t.single(); p != nil {
		return p.Eval(scope, now)
	}
	var b strings.Builder
	m := &meter{now: now}
	for _, p := range t.pieces {
		text := p.text
		if p.program != nil {
			v, err := p.program.Eval(scope, now)
			if err != nil {
				return nil, err
			}
			if text, err = textOf(m, v); err != nil {
				return nil, p.program.fault(err)
			}
		}
		if err := m.write(len(text)); err != nil {
			return nil, err
		}
		b.WriteString(text)
	}
	return b.String(), nil
}

// Text computes the template's value as text, also if it is a single expression.
func (t *Template) Text(scope map[string]any, now time.Time) (string, error) {
	v, err := t.Eval(scope, now)
	if err != nil {
		return "", err
	}
	return textOf(&meter{now: now}, v)
}

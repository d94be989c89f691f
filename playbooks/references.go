package playbooks

import (
	"slices"
	"unicode"
)

// reference is a name at the beginning of a path in an expression: steps in steps.close.output,
// secrets in secrets.token. The expression compiler knows types but not the language's rules
// about when a name has a meaning; these are checked on references, before it sees the text.
type reference struct {
	root  string // steps
	name  string // close, or "" if the root stands alone or a key is computed
	call  bool   // the root is called like a function
	local bool   // let gives it a value

	offset     int // of the root, in characters
	nameOffset int // of the name
}

// references finds the roots of paths in an expression. It does not parse: it knows what texts,
// comments and fields look like, and that is enough to tell a root from everything else. Where it
// errs, the compiler still refuses the name.
func references(src string) []reference {
	s := scanner{text: []rune(src)}
	let := false
	var found []reference
	for s.at < len(s.text) {
		switch r := s.text[s.at]; {
		case r == '"' || r == '\'' || r == '`':
			s.quoted(r)
		case r == '/' && s.peek(1) == '*':
			s.comment()
		case isNameStart(r):
			after := s.fieldBefore()
			start := s.at
			root := s.name()
			if after || slices.Contains(reservedWords(), root) {
				let = root == "let"
				continue
			}
			ref := reference{root: root, offset: start, nameOffset: start, local: let}
			let = false
			s.path(&ref)
			if !s.isKey(ref) {
				found = append(found, ref)
			}
		case unicode.IsDigit(r):
			for s.at < len(s.text) && (isNameStart(s.text[s.at]) || unicode.IsDigit(s.text[s.at])) {
				s.at++
			}
		default:
			s.at++
		}
	}
	return found
}

// scanner walks the characters of an expression.
type scanner struct {
	text []rune
	at   int
}

func (s *scanner) peek(ahead int) rune {
	if s.at+ahead < len(s.text) {
		return s.text[s.at+ahead]
	}
	return 0
}

// quoted steps over a text and returns it.
func (s *scanner) quoted(quote rune) string {
	s.at++
	start := s.at
	for s.at < len(s.text) && s.text[s.at] != quote {
		if s.text[s.at] == '\\' && quote != '`' {
			s.at++
		}
		s.at++
	}
	end := min(s.at, len(s.text))
	s.at = min(s.at+1, len(s.text))
	return string(s.text[min(start, end):end])
}

func (s *scanner) comment() {
	for s.at += 2; s.at < len(s.text); s.at++ {
		if s.text[s.at] == '*' && s.peek(1) == '/' {
			s.at += 2
			return
		}
	}
}

// fieldBefore says that what follows is a field of something: it stands behind a dot.
func (s *scanner) fieldBefore() bool {
	i := s.at - 1
	for i >= 0 && unicode.IsSpace(s.text[i]) {
		i--
	}
	return i >= 0 && s.text[i] == '.' && (i == 0 || s.text[i-1] != '.') // 1..n is a range
}

func (s *scanner) name() string {
	start := s.at
	for s.at < len(s.text) && (isNameStart(s.text[s.at]) || unicode.IsDigit(s.text[s.at])) {
		s.at++
	}
	return string(s.text[start:s.at])
}

func (s *scanner) space() {
	for s.at < len(s.text) && unicode.IsSpace(s.text[s.at]) {
		s.at++
	}
}

// path reads what follows a root: a call, a field, or a key in brackets.
func (s *scanner) path(ref *reference) {
	back := s.at
	s.space()
	switch {
	case s.peek(0) == '(':
		ref.call = true
		return
	case s.peek(0) == '?' && s.peek(1) == '.':
		s.at += 2
	case s.peek(0) == '.' && s.peek(1) != '.':
		s.at++
	case s.peek(0) == '[':
		s.at++
		s.space()
		if q := s.peek(0); q == '"' || q == '\'' || q == '`' {
			at := s.at + 1
			name := s.quoted(q)
			s.space()
			if s.peek(0) == ']' {
				ref.name, ref.nameOffset = name, at
				return
			}
		}
		s.at = back
		return
	default:
		s.at = back
		return
	}
	s.space()
	if isNameStart(s.peek(0)) {
		ref.nameOffset = s.at
		ref.name = s.name()
	}
}

// isKey says that a name is a key of an object that the expression makes: {steps: 1}.
func (s *scanner) isKey(ref reference) bool {
	if ref.name != "" || ref.call {
		return false
	}
	after := s.at
	for after < len(s.text) && unicode.IsSpace(s.text[after]) {
		after++
	}
	before := ref.offset - 1
	for before >= 0 && unicode.IsSpace(s.text[before]) {
		before--
	}
	return after < len(s.text) && s.text[after] == ':' && before >= 0 && (s.text[before] == '{' || s.text[before] == ',')
}

func isNameStart(r rune) bool { return r == '_' || r == '$' || unicode.IsLetter(r) }

// embeddedSource is an expression inside of a text.
type embeddedSource struct {
	source string
	offset int // where it begins, in characters of the text
}

// embedded finds the expressions of a text: what stands between ${{ and }}, except behind another
// dollar. What is never closed is left for the template's own parser to report.
func embedded(text string) []embeddedSource {
	s := scanner{text: []rune(text)}
	var found []embeddedSource
	for s.at < len(s.text) {
		switch {
		case s.looksAt("$${{"):
			s.at += len("$${{")
		case s.looksAt("${{"):
			s.at += len("${{")
			start := s.at
			end := s.closing()
			if end < 0 {
				return found
			}
			found = append(found, embeddedSource{source: string(s.text[start:end]), offset: start})
			s.at = end + len("}}")
		default:
			s.at++
		}
	}
	return found
}

func (s *scanner) looksAt(mark string) bool {
	for i, r := range mark { // marks are ASCII, so i counts characters
		if s.peek(i) != r {
			return false
		}
	}
	return true
}

// closing finds the }} that ends an expression, past texts, comments and braces inside of it.
func (s *scanner) closing() int {
	depth := 0
	for s.at < len(s.text) {
		switch r := s.text[s.at]; {
		case r == '"' || r == '\'' || r == '`':
			s.quoted(r)
			continue
		case s.looksAt("/*"):
			s.comment()
			continue
		case r == '{':
			depth++
		case r == '}' && depth > 0:
			depth--
		case s.looksAt("}}"):
			return s.at
		}
		s.at++
	}
	return -1
}

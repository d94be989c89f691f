package odata

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

type tokenKind int

const (
	tokenEnd tokenKind = iota
	tokenName
	tokenLiteral
	tokenPunct // ( ) , / :
)

type token struct {
	kind    tokenKind
	text    string
	literal Literal
	offset  int
}

// The forms of words. A time is tried before a number, since it begins like one.
var (
	timeForm   = regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,12})?)?(Z|[+-][0-9]{2}:[0-9]{2}))?`)
	numberForm = regexp.MustCompile(`^-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?`)
	nameForm   = regexp.MustCompile(`^[A-Za-z_@][A-Za-z0-9_.]*`)
)

// scan cuts a filter into tokens.
func scan(s string) ([]token, error) {
	var tokens []token
	for at := 0; at < len(s); {
		if s[at] == ' ' || s[at] == '\t' {
			at++
			continue
		}
		t, length, err := next(s, at)
		if err != nil {
			return nil, err
		}
		t.offset = at
		tokens = append(tokens, t)
		at += length
	}
	return append(tokens, token{kind: tokenEnd, offset: len(s)}), nil
}

// next reads the token at an offset and tells its length.
func next(s string, at int) (token, int, error) {
	rest := s[at:]
	switch {
	case strings.IndexByte("(),/:", rest[0]) >= 0:
		return token{kind: tokenPunct, text: rest[:1]}, 1, nil
	case rest[0] == '\'':
		return quoted(rest, at)
	}
	if form := timeForm.FindString(rest); form != "" && boundary(rest, len(form)) {
		t, err := parseTime(form)
		if err != nil {
			return token{}, 0, &SyntaxError{at, fmt.Sprintf("%q is not a date of the calendar", form)}
		}
		return token{kind: tokenLiteral, text: form, literal: Literal{Kind: Time, Text: form, time: t}}, len(form), nil
	}
	if form := numberForm.FindString(rest); form != "" && boundary(rest, len(form)) {
		n, err := strconv.ParseFloat(form, 64)
		if err != nil {
			return token{}, 0, &SyntaxError{at, fmt.Sprintf("the number %q is out of range", form)}
		}
		return token{kind: tokenLiteral, text: form, literal: Literal{Kind: Number, Text: form, number: n}}, len(form), nil
	}
	if form := nameForm.FindString(rest); form != "" {
		switch form {
		case "true", "false":
			return token{kind: tokenLiteral, text: form, literal: Literal{Kind: Bool, Text: form}}, len(form), nil
		case "null":
			return token{kind: tokenLiteral, text: form, literal: Literal{Kind: Null, Text: form}}, len(form), nil
		}
		return token{kind: tokenName, text: form}, len(form), nil
	}
	return token{}, 0, &SyntaxError{at, fmt.Sprintf("unexpected character %q", []rune(rest)[0])}
}

// boundary keeps "12abc" from being a number followed by a name.
func boundary(s string, at int) bool {
	return at >= len(s) || strings.IndexByte(" \t(),/:", s[at]) >= 0
}

// quoted reads a string in single quotes, where a doubled quote stands for one.
func quoted(rest string, at int) (token, int, error) {
	var b strings.Builder
	for i := 1; i < len(rest); i++ {
		if rest[i] != '\'' {
			b.WriteByte(rest[i])
			continue
		}
		if i+1 < len(rest) && rest[i+1] == '\'' {
			b.WriteByte('\'')
			i++
			continue
		}
		return token{kind: tokenLiteral, text: rest[:i+1], literal: Literal{Kind: String, Text: b.String()}}, i + 1, nil
	}
	return token{}, 0, &SyntaxError{at, "the string does not end: close it with a quote, and double quotes inside"}
}

// parseTime reads a date, or a time with 0 to 12 fraction digits, with or without seconds.
func parseTime(s string) (time.Time, error) {
	for _, form := range []string{time.RFC3339Nano, "2006-01-02T15:04Z07:00", time.DateOnly} {
		if t, err := time.Parse(form, s); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is not a time", s)
}

package graph

import (
	"bytes"
	"encoding/json"
	"math"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// refusal is the body of an error answer. Keys are matched without regard to case, because
// innerError is spelled innererror by some services.
type refusal struct {
	Error struct {
		Code       text `json:"code"`
		Message    text `json:"message"`
		Target     text `json:"target"` // Defender puts the id of the request here
		InnerError struct {
			RequestID       text `json:"request-id"`
			ClientRequestID text `json:"client-request-id"`
			Message         text `json:"message"`
		} `json:"innerError"`
	} `json:"error"`
}

// readRefusal fills an error from the body of an answer. What is no error document leaves the
// fields as they are: the status alone decides.
func (e *Error) readRefusal(body []byte) {
	var r refusal
	if json.Unmarshal(body, &r) != nil {
		return
	}
	e.Code = clean(string(r.Error.Code), maxShown)
	e.Message = clean(string(r.Error.Message), MaxServerText)
	if e.Message == "" {
		e.Message = clean(string(r.Error.InnerError.Message), MaxServerText)
	}
	if id := clean(string(r.Error.InnerError.RequestID), maxShown); id != "" {
		e.RequestID = id
	} else if e.RequestID == "" && e.row().API() == APIDefender {
		e.RequestID = clean(string(r.Error.Target), maxShown)
	}
}

// retryAfter reads the header of that name: seconds, fractions of seconds or a date, rounded up
// to whole seconds. A date is measured against the sender's own clock if it told the time. A
// header that is missing, unreadable, zero or in the past asks for nothing.
func retryAfter(h http.Header, now time.Time) (time.Duration, bool) {
	value := strings.TrimSpace(h.Get("Retry-After"))
	if value == "" {
		return 0, false
	}
	var seconds float64
	if f, err := strconv.ParseFloat(value, 64); err == nil {
		seconds = f
	} else {
		then, err := http.ParseTime(value)
		if err != nil {
			return 0, false
		}
		if sent, err := http.ParseTime(h.Get("Date")); err == nil {
			now = sent
		}
		seconds = then.Sub(now).Seconds()
	}
	if math.IsNaN(seconds) || seconds <= 0 {
		return 0, false
	}
	if seconds >= MaxRetryAfter.Seconds() {
		return MaxRetryAfter, true
	}
	return time.Duration(math.Ceil(seconds)) * time.Second, true
}

// claimsChallenge takes the claims out of a WWW-Authenticate header, decoded.
func claimsChallenge(h http.Header) string {
	for _, value := range h.Values("WWW-Authenticate") {
		_, rest, ok := strings.Cut(value, `claims="`)
		if !ok || len(rest) > MaxClaimsBytes {
			continue
		}
		encoded, _, ok := strings.Cut(rest, `"`)
		if !ok {
			continue
		}
		if claims, ok := decodeBase64(encoded); ok && json.Valid(claims) {
			return string(claims)
		}
	}
	return ""
}

// clean makes a text from outside fit for an error: one line, no control or direction-changing
// characters, nothing that looks like a token, at most limit characters.
func clean(s string, limit int) string {
	if len(s) > 8*limit {
		s = s[:8*limit] // no use in looking at megabytes
	}
	s = strings.ToValidUTF8(s, "\uFFFD")
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r), unicode.IsControl(r), r == '\u2028', r == '\u2029':
			return ' '
		case unicode.Is(unicode.Cf, r):
			return -1
		}
		return r
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	s = withoutTokens(s)
	if runes := []rune(s); len(runes) > limit {
		return string(runes[:limit-1]) + "…"
	}
	return s
}

// withoutTokens takes out what has the form of a JSON web token or of a bearer header. A proxy
// that complains may well quote the request it got.
func withoutTokens(s string) string {
	if !strings.Contains(s, "eyJ") && !strings.Contains(strings.ToLower(s), "bearer") {
		return s
	}
	s = regexp.MustCompile(`eyJ[A-Za-z0-9_\-]{8,}[A-Za-z0-9_.\-]*`).ReplaceAllString(s, "[token]")
	return regexp.MustCompile(`(?i)\bbearer\s+[A-Za-z0-9_.\-~+/=]{8,}`).ReplaceAllString(s, "Bearer [token]")
}

// text reads a JSON value as a string, whatever it is: one field of an unexpected type must not
// cost us the alert around it. Null and structures are empty.
type text string

// UnmarshalJSON never fails on valid JSON.
func (t *text) UnmarshalJSON(data []byte) error {
	*t = ""
	if len(data) == 0 {
		return nil
	}
	switch data[0] {
	case '"':
		if inner := data[1 : len(data)-1]; bytes.IndexByte(inner, '\\') < 0 && utf8.Valid(inner) {
			*t = text(inner) // as most are: what is valid JSON needs no second reading then
			return nil
		}
		var s string
		if err := json.Unmarshal(data, &s); err != nil {
			return err
		}
		*t = text(s)
	case '{', '[', 'n':
	default: // a number or a truth value, as written
		*t = text(data)
	}
	return nil
}

// list reads a JSON array leniently: anything else is empty.
type list[T any] []T

// UnmarshalJSON never fails on valid JSON whose items T accepts.
func (l *list[T]) UnmarshalJSON(data []byte) error {
	*l = nil
	if len(data) == 0 || data[0] != '[' {
		return nil
	}
	var items []T
	if err := json.Unmarshal(data, &items); err != nil {
		return err
	}
	*l = items
	return nil
}

// plain turns lenient texts into strings.
func plain(texts []text) []string {
	if texts == nil {
		return nil
	}
	out := make([]string, len(texts))
	for i, t := range texts {
		out[i] = string(t)
	}
	return out
}

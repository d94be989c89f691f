package secret

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/playbookd/playbookd/internal/mutant"
)

// MinScrubbed is how long a secret must be to be taken out of texts. A shorter one would be
// found everywhere, and everything would be hidden.
const MinScrubbed = 4

// minEncoded is how long an encoded form must be.
const minEncoded = 8

// minLine is how long a line of a secret of many lines must be to be taken out by itself.
const minLine = 16

// Scrubber takes known secrets out of texts, as they are and in the forms in which they travel:
// base64 at any place of a longer text, percent-encoded, inside JSON, in hexadecimal. It is safe
// for concurrent use.
type Scrubber struct {
	mu       sync.RWMutex
	added    map[string]bool // the secrets themselves
	forms    map[string]bool
	replacer *strings.Replacer
}

// NewScrubber makes a scrubber that knows some secrets.
func NewScrubber(known ...Value) *Scrubber {
	s := &Scrubber{added: map[string]bool{}, forms: map[string]bool{}, replacer: strings.NewReplacer()}
	s.Add(known...)
	return s
}

// Add makes more secrets known. None is ever forgotten: an old one may still be valid.
func (s *Scrubber) Add(values ...Value) {
	s.mu.RLock()
	known := !slices.ContainsFunc(values, func(v Value) bool { return !s.added[v.Reveal()] })
	s.mu.RUnlock()
	if known {
		return // as a rule: secrets are read anew each time they are used
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	before := len(s.forms)
	for _, v := range values {
		s.added[v.Reveal()] = true
		for _, f := range forms(v.Reveal()) {
			s.forms[f] = true
		}
	}
	if len(s.forms) == before {
		return
	}
	s.replacer = replacerOf(s.forms)
}

// replacerOf tries longer forms first: one may be a part of another.
func replacerOf(known map[string]bool) *strings.Replacer {
	var all []string
	for f := range known {
		all = append(all, f)
	}
	slices.SortFunc(all, func(a, b string) int {
		if len(a) != len(b) {
			return len(b) - len(a)
		}
		return strings.Compare(a, b)
	})
	var pairs []string
	for _, f := range all {
		pairs = append(pairs, f, Shown)
	}
	return strings.NewReplacer(pairs...)
}

// Scrub returns the text without any known secret. A nil scrubber knows none.
func (s *Scrubber) Scrub(text string) string {
	if s == nil {
		return text
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if mutant.On(mutant.LeakSecrets) {
		return text
	}
	return s.replacer.Replace(text)
}

// forms lists how a secret may appear.
func forms(text string) []string {
	if len(text) < MinScrubbed {
		return nil
	}
	out := []string{text}
	add := func(form string) {
		if len(form) >= minEncoded {
			out = append(out, form)
		}
	}
	add(url.QueryEscape(text))
	add(url.PathEscape(text))
	add(strings.ReplaceAll(url.QueryEscape(text), "+", "%20"))
	add(hex.EncodeToString([]byte(text)))
	add(strings.ToUpper(hex.EncodeToString([]byte(text))))
	if quoted, err := json.Marshal(text); err == nil {
		add(string(quoted[1 : len(quoted)-1]))
	}
	for shift := range 3 {
		add(base64Inside(base64.RawStdEncoding, text, shift))
		add(base64Inside(base64.RawURLEncoding, text, shift))
	}
	if strings.Contains(text, "\n") {
		for line := range strings.Lines(text) {
			line = strings.TrimRight(line, "\r\n")
			if len(line) >= minLine && !strings.HasPrefix(line, "-----") {
				out = append(out, line)
			}
		}
	}
	return out
}

// base64Inside is the part of an encoding that depends on the secret alone when so many bytes,
// modulo three, stand before it and anything after it.
func base64Inside(enc *base64.Encoding, text string, shift int) string {
	encoded := enc.EncodeToString(append(make([]byte, shift), text...))
	first := (shift*8 + 5) / 6
	last := (shift + len(text)) * 8 / 6
	return encoded[first:last]
}

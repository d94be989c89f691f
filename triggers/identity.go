package triggers

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

const (
	// MaxIdentity is the longest object id or version that enters an event's ID as it came.
	// Longer ones are replaced by their hash.
	MaxIdentity = 256
	// MaxTitle is how many bytes of a title are kept beside the payload.
	MaxTitle = 512
)

// identity makes outside text fit to be part of an event's ID, so that the same text always
// gives the same part: usual text stays as it is, anything else is replaced by its hash.
func identity(s string) string {
	if s == "" {
		return ""
	}
	plain := len(s) <= MaxIdentity && utf8.ValidString(s)
	for _, r := range s {
		plain = plain && unicode.IsGraphic(r) && !unicode.IsSpace(r)
	}
	if plain {
		return s
	}
	return digest([]byte(s))
}

// digest names content by its hash.
func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:16])
}

// contentVersion names what a JSON document says: the order of its fields and its white space
// make no difference, since a service may write the same object differently tomorrow.
func contentVersion(raw json.RawMessage) string {
	dec := json.NewDecoder(strings.NewReader(string(raw)))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return digest(raw)
	}
	canonical, err := json.Marshal(v)
	if err != nil {
		return digest(raw)
	}
	return digest(canonical)
}

// shorten cuts a title at a rune, and repairs text that is not UTF-8.
func shorten(s string) string {
	if len(s) > MaxTitle {
		cut := MaxTitle
		for cut > 0 && !utf8.RuneStart(s[cut]) {
			cut--
		}
		s = s[:cut]
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// parseTime reads a time as Graph writes it, with none to seven digits of fraction.
func parseTime(s string) (time.Time, bool) {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || t.IsZero() {
		return time.Time{}, false
	}
	return t.UTC(), true
}

// formatTime writes a time the way positions and slots hold it.
func formatTime(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

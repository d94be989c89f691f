package actions

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"unicode/utf8"
)

// MaxMarked is how many characters a marked comment may have, marker included. Graph names no
// limit; the portal shows comments in a narrow column.
const MaxMarked = 10_000

// cutNote says that a comment was longer.
const cutNote = " … [cut]"

// Marker is the line that ends a comment of ours, by which a probe finds it again. It is made
// from a call's key, so every attempt has the same one and nobody else has it.
func Marker(key string) string {
	sum := sha256.Sum256([]byte("marker\x00" + key))
	return "\n[playbookd " + hex.EncodeToString(sum[:6]) + "]"
}

// Mark ends text with the marker of key. A text that would exceed MaxMarked is cut visibly; the
// marker never is.
func Mark(text, key string) string {
	marker := Marker(key)
	text = strings.ToValidUTF8(strings.TrimSpace(text), "\uFFFD")
	if room := MaxMarked - utf8.RuneCountInString(marker); utf8.RuneCountInString(text) > room {
		text = string([]rune(text)[:room-utf8.RuneCountInString(cutNote)]) + cutNote
	}
	return strings.TrimSpace(text + marker)
}

// Marked says whether a comment carries the marker of key. Only the end counts: a comment that
// quotes another one, or hostile text inside of one, cannot pass for it.
func Marked(comment, key string) bool {
	return strings.HasSuffix(strings.TrimSpace(comment), strings.TrimSpace(Marker(key)))
}

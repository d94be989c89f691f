// Package secret holds what must not be seen: client secrets, tokens, keys.
//
// A [Value] shows itself as [secret] wherever it is printed, logged or marshalled; only Reveal
// gives the text. A [Store] finds values by name in the environment or in files, whenever they
// are asked for, so that a rotated secret needs no restart. A [Scrubber] knows every value that
// was handed out and takes it out of texts that others wrote: answers of servers, error messages,
// log lines. [NewHandler] does so for everything that is logged.
//
// Secrets are not wiped from memory: the garbage collector may have copied them. Whoever can read
// the memory of the process has them anyway.
package secret

import (
	"crypto/subtle"
	"fmt"
	"log/slog"
)

// Shown stands in the place of a secret.
const Shown = "[secret]"

// Value is a secret. The zero value is no secret at all.
type Value struct {
	// A pointer, because fmt prints unexported fields without asking their methods: of a Value
	// inside somebody's struct it then shows an address.
	text *string
}

// New makes a value of a text.
func New(text string) Value {
	if text == "" {
		return Value{}
	}
	return Value{text: &text}
}

// Reveal returns the text. Call it where the text leaves the process, and nowhere else.
func (v Value) Reveal() string {
	if v.text == nil {
		return ""
	}
	return *v.text
}

// IsZero says that there is no secret.
func (v Value) IsZero() bool { return v.text == nil }

// Equal compares in a time that tells nothing about the contents.
func (v Value) Equal(w Value) bool {
	return subtle.ConstantTimeCompare([]byte(v.Reveal()), []byte(w.Reveal())) == 1
}

// String hides the text.
func (v Value) String() string { return Shown }

// GoString hides the text from %#v.
func (v Value) GoString() string { return Shown }

// Format hides the text from every verb, %x and %q among them.
func (v Value) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(Shown)) }

// LogValue hides the text from logs.
func (v Value) LogValue() slog.Value { return slog.StringValue(Shown) }

// MarshalText hides the text from encoders, JSON and YAML among them.
func (v Value) MarshalText() ([]byte, error) { return []byte(Shown), nil }

// MarshalJSON hides the text from JSON.
func (v Value) MarshalJSON() ([]byte, error) { return []byte(`"` + Shown + `"`), nil }

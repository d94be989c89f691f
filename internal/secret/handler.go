package secret

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxLogText is how many bytes of one text reach the log.
const MaxLogText = 16 << 10

// maxDepth is how deep groups may nest.
const maxDepth = 16

// handler scrubs on the way to another handler.
type handler struct {
	next     slog.Handler
	scrubber *Scrubber
}

// NewHandler wraps a handler: messages, keys and values lose known secrets, control characters
// and characters that change the direction of text. A value that is neither text, number, time
// nor group is logged as its JSON.
func NewHandler(next slog.Handler, s *Scrubber) slog.Handler {
	return &handler{next: next, scrubber: s}
}

// Enabled implements slog.Handler.
func (h *handler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	out := slog.NewRecord(r.Time, r.Level, h.text(r.Message), r.PC)
	r.Attrs(func(a slog.Attr) bool {
		out.AddAttrs(h.attr(a, 0))
		return true
	})
	return h.next.Handle(ctx, out)
}

// WithAttrs implements slog.Handler.
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &handler{next: h.next.WithAttrs(h.attrs(attrs, 0)), scrubber: h.scrubber}
}

// WithGroup implements slog.Handler.
func (h *handler) WithGroup(name string) slog.Handler {
	return &handler{next: h.next.WithGroup(h.text(name)), scrubber: h.scrubber}
}

func (h *handler) attrs(attrs []slog.Attr, depth int) []slog.Attr {
	out := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		out[i] = h.attr(a, depth)
	}
	return out
}

func (h *handler) attr(a slog.Attr, depth int) slog.Attr {
	return slog.Attr{Key: h.text(a.Key), Value: h.value(a.Value.Resolve(), depth)}
}

func (h *handler) value(v slog.Value, depth int) slog.Value {
	switch v.Kind() {
	case slog.KindString:
		return slog.StringValue(h.text(v.String()))
	case slog.KindGroup:
		if depth >= maxDepth {
			return slog.StringValue("[too deep]")
		}
		return slog.GroupValue(h.attrs(v.Group(), depth+1)...)
	case slog.KindAny:
		return slog.StringValue(h.text(h.any(v.Any())))
	}
	return v // numbers, booleans, times and durations hold no text
}

// any writes a value as text. What panics while it describes itself is not worth a crash.
func (h *handler) any(v any) (text string) {
	defer func() {
		if recover() != nil {
			text = fmt.Sprintf("[%T]", v)
		}
	}()
	switch v := v.(type) {
	case nil:
		return "null"
	case error:
		return v.Error()
	case fmt.Stringer:
		return v.String()
	case []byte:
		return string(v)
	case json.RawMessage:
		return string(v)
	}
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprintf("[%T]", v)
	}
	return string(data)
}

// text cleans before it scrubs, so that a secret can't hide behind a character that is taken
// out, and scrubs before it cuts, so that no half of a secret remains.
func (h *handler) text(s string) string {
	s = h.scrubber.Scrub(s) // a secret may itself have more than one line
	s = h.scrubber.Scrub(Plain(s))
	if len(s) <= MaxLogText {
		return s
	}
	s = s[:MaxLogText]
	for !utf8.ValidString(s) {
		s = s[:len(s)-1]
	}
	return s + "…"
}

// Plain makes one line of a text: control characters become blanks, and characters that change
// the direction of text or have no width are left out.
func Plain(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsControl(r), r == '\u2028', r == '\u2029':
			return ' '
		case unicode.Is(unicode.Cf, r):
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}

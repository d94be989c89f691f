package engine

import (
	"context"
	"log/slog"
)

// about is a log that says which attempt a line is about. Most attempts log nothing, so the
// attributes are written when a line is, and not before.
type about struct {
	next  slog.Handler
	attrs [4]slog.Attr
}

func (h *about) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level)
}

func (h *about) Handle(ctx context.Context, r slog.Record) error { return h.plain().Handle(ctx, r) }

func (h *about) WithAttrs(attrs []slog.Attr) slog.Handler { return h.plain().WithAttrs(attrs) }

func (h *about) WithGroup(name string) slog.Handler { return h.plain().WithGroup(name) }

func (h *about) plain() slog.Handler { return h.next.WithAttrs(h.attrs[:]) }

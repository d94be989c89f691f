package daemon

import (
	"log/slog"
	"strings"

	"github.com/playbookd/playbookd/engine"
)

// logged tells the log what becomes of runs, counts it, and passes it on.
type logged struct {
	log  *slog.Logger
	c    *counts
	next engine.Observer // nil: nobody
}

func (l logged) RunStarted(r engine.Run) {
	l.c.moves()
	if l.next != nil {
		l.next.RunStarted(r)
	}
}

func (l logged) StepEnded(r engine.Run, e engine.Entry) {
	l.c.outcome(e)
	if l.next != nil {
		l.next.StepEnded(r, e)
	}
}

func (l logged) RunPaused(r engine.Run) {
	l.c.moves()
	switch {
	case r.State == engine.Parked:
		l.log.Error("run is parked: a person must decide", l.about(r)...)
	case strings.HasPrefix(r.Message, engine.WordPrefix):
		l.log.Error("run waits, and a person must decide", append(l.about(r), slog.Time("until", r.Wake))...)
	default:
		l.log.Info("run waits", append(l.about(r), slog.Time("until", r.Wake))...)
	}
	if l.next != nil {
		l.next.RunPaused(r)
	}
}

func (l logged) RunEnded(r engine.Run, history []engine.Entry) {
	l.c.runEnded(r)
	attrs := append(l.about(r), slog.Duration("took", r.Ended.Sub(r.Created)))
	if r.State == engine.Failed {
		l.log.Warn("run failed", attrs...)
	} else {
		l.log.Info("run ended", attrs...)
	}
	if l.next != nil {
		l.next.RunEnded(r, history)
	}
}

// about are the attributes of a run, alert text among them only as values.
func (l logged) about(r engine.Run) []any {
	attrs := []any{slog.String("run", string(r.ID)), slog.String("playbook", r.Playbook), slog.String("state", string(r.State)),
		slog.String("tenant", r.Tenant), slog.String("object", r.Object)}
	if r.Mode != "live" {
		attrs = append(attrs, slog.String("mode", string(r.Mode)))
	}
	if r.Message != "" {
		attrs = append(attrs, slog.String("why", r.Message))
	}
	return attrs
}

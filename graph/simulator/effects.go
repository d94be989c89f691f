package simulator

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"
)

// The operations an Effect can be.
const (
	OpAlertUpdate     = "alert.update"
	OpAlertComment    = "alert.comment"
	OpAlertMove       = "alert.move"
	OpIncidentUpdate  = "incident.update"
	OpIncidentComment = "incident.comment"
	OpIncidentMerge   = "incident.merge"
	OpDeviceIsolate   = "device.isolate"
	OpDeviceRelease   = "device.release"
)

// Effect is one change asked for through the API and performed, whether or not its answer arrived.
type Effect struct {
	Seq             int               `json:"seq"`
	Time            time.Time         `json:"time"`
	Tenant          string            `json:"tenant"`
	Client          string            `json:"client"`
	ClientRequestID string            `json:"client_request_id"`
	RequestID       string            `json:"request_id"`
	Method          string            `json:"method"`
	Path            string            `json:"path"` // without the version prefix
	Op              string            `json:"op"`
	Object          string            `json:"object"` // "alerts/ID", "incidents/ID" or "machines/ID"
	Body            json.RawMessage   `json:"body"`
	Changed         map[string]Change `json:"changed"`          // by field; other objects' fields as "alerts/ID.field"
	Answer          map[string]any    `json:"answer,omitempty"` // what the caller can only know from the answer
}

// Change is a field before and after an effect.
type Change struct {
	Old any `json:"old"`
	New any `json:"new"`
}

// effectLog keeps the effects and copies them to the writer. It is guarded by the server's lock.
type effectLog struct {
	out  io.Writer
	list []Effect
}

// add numbers the effect, remembers it and writes its line.
func (l *effectLog) add(e Effect) error {
	e.Seq = len(l.list) + 1
	l.list = append(l.list, e)
	if l.out == nil {
		return nil
	}
	var line bytes.Buffer
	enc := json.NewEncoder(&line)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(e); err != nil {
		return fmt.Errorf("encode effect %d: %w", e.Seq, err)
	}
	if _, err := l.out.Write(line.Bytes()); err != nil {
		return fmt.Errorf("write effect %d: %w", e.Seq, err)
	}
	if f, ok := l.out.(interface{ Flush() error }); ok {
		if err := f.Flush(); err != nil {
			return fmt.Errorf("flush effect %d: %w", e.Seq, err)
		}
	}
	return nil
}

// Effects returns what was done through the API so far, oldest first.
func (s *Server) Effects() []Effect {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.effects.list)
}

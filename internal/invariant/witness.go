package invariant

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/store"
)

// Witness looks, at the moment at which a request that may change something leaves, whether its
// intent is in the database: through a connection of its own, which sees only what is committed.
// Lay [Witness.Journal] and [Witness.Transport] around the daemon's.
type Witness struct {
	open func() (*store.Reader, error)

	mu         sync.Mutex
	reader     *store.Reader
	announced  map[string]engine.RunID // by request id, and by key
	violations []Violation
	looked     int
}

// NewWitness makes a witness of the database at path, which need not exist yet.
func NewWitness(path string) *Witness {
	return &Witness{announced: map[string]engine.RunID{}, open: func() (*store.Reader, error) {
		return store.OpenReader(context.Background(), path)
	}}
}

// Violations returns what was seen, and how many requests were looked at.
func (w *Witness) Violations() (seen []Violation, looked int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.violations), w.looked
}

// Close ends the witness's connection.
func (w *Witness) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.reader == nil {
		return nil
	}
	return w.reader.Close()
}

// Journal notes where to look: which run's history an intent is about to be written to.
func (w *Witness) Journal(next engine.Journal) engine.Journal { return overheard{next, w} }

type overheard struct {
	engine.Journal
	w *Witness
}

func (o overheard) Admit(ctx context.Context, a engine.Admission) (engine.Receipt, error) {
	o.w.planned(a)
	return o.Journal.Admit(ctx, a)
}

func (o overheard) Append(ctx context.Context, a engine.Append) error {
	o.w.announce(a.Run, a.Entries)
	return o.Journal.Append(ctx, a)
}

func (o overheard) End(ctx context.Context, a engine.Append, following engine.Admission) (engine.Receipt, error) {
	o.w.announce(a.Run, a.Entries)
	o.w.planned(following)
	return o.Journal.End(ctx, a, following)
}

// Load announces what a history holds already.
func (o overheard) Load(ctx context.Context, id engine.RunID) (engine.Loaded, error) {
	l, err := o.Journal.Load(ctx, id)
	o.w.announce(id, l.Entries)
	return l, err
}

// planned announces what the runs of an admission begin with.
func (w *Witness) planned(a engine.Admission) {
	for _, ev := range a.Events {
		for _, r := range ev.Runs {
			w.announce(r.Run.ID, r.Entries)
		}
	}
}

func (w *Witness) announce(run engine.RunID, entries []engine.Entry) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range entries {
		var d engine.IntentData
		if e.Kind == engine.Intent && json.Unmarshal(e.Data, &d) == nil {
			w.announced[d.RequestID], w.announced[d.Key] = run, run
		}
	}
}

// Transport looks before each request that may change something is sent.
func (w *Witness) Transport(next http.RoundTripper) http.RoundTripper {
	if next == nil {
		next = http.DefaultTransport
	}
	return watched{next, w}
}

type watched struct {
	next http.RoundTripper
	w    *Witness
}

func (t watched) RoundTrip(r *http.Request) (*http.Response, error) {
	// Asking for a token changes nothing, and reads may be repeated.
	if r.Method != http.MethodGet && r.Method != http.MethodHead && !strings.HasSuffix(r.URL.Path, "/oauth2/v2.0/token") {
		t.w.look(r)
	}
	return t.next.RoundTrip(r)
}

// look checks one request.
func (w *Witness) look(r *http.Request) {
	id := r.Header.Get("client-request-id")
	if id == "" {
		for name, values := range r.Header {
			if strings.EqualFold(name, "Idempotency-Key") && len(values) > 0 {
				id = values[0]
			}
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.looked++
	say := func(text string) {
		w.violations = append(w.violations, Violation{Code: NotDurable, About: "request " + id, Text: r.Method + " " + r.URL.Path + ": " + text})
	}
	run, ok := w.announced[id]
	if !ok {
		say("it left before anybody wanted to record an intent")
		return
	}
	var err error
	if w.reader == nil {
		if w.reader, err = w.open(); err != nil {
			w.reader = nil
			say("the database can't be read: " + err.Error())
			return
		}
	}
	l, err := w.reader.Load(context.Background(), run)
	if err != nil {
		say("the run is not in the database: " + err.Error())
		return
	}
	for _, e := range l.Entries {
		var d engine.IntentData
		if e.Kind == engine.Intent && json.Unmarshal(e.Data, &d) == nil && (d.RequestID == id || d.Key == id) {
			return
		}
	}
	say("it left before its intent was committed")
}

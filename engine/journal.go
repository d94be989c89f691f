package engine

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/playbooks"
)

// Errors of a journal.
var (
	// ErrNotFound means that the journal holds nothing by that name.
	ErrNotFound = errors.New("not found")
	// ErrCursorMoved means that a position is not where its source believed it to be. Nothing of
	// the batch was admitted.
	ErrCursorMoved = errors.New("the position was moved by somebody else")
	// ErrNotNew means that an event was taken for the first of its object and is not. Nothing of the
	// batch was admitted.
	ErrNotNew = errors.New("the object is known already")
	// ErrClockMoved means that a clock was changed in between. Nothing was admitted.
	ErrClockMoved = errors.New("the clock was changed by somebody else")
	// ErrOutOfOrder means that an entry does not follow the last one of its run. Nothing was
	// written.
	ErrOutOfOrder = errors.New("entry does not follow the run's history")
)

// Journal is what the engine needs to remember. Each writing method is one transaction: when it
// returns nil, all of it survives a loss of power; when it returns an error, nothing of it
// happened. All methods may be called concurrently. Package journaltest holds the promises as
// tests.
type Journal interface {
	// Admit stores new events with the decisions about them and the runs that they start, and
	// moves the source's position. An event whose ID is known counts as a duplicate, and nothing
	// that came with it is stored. A planned run whose dedupe key was used within its window is
	// not started: its decision is stored as skipped, with SkipDuplicate. One that would be beyond
	// its ceiling or its limit is not started either: it is stored as Hold makes it, unless the limit has
	// a note instead.
	Admit(ctx context.Context, a Admission) (Receipt, error)
	// Append adds entries to a run's history and sets where the run stands.
	Append(ctx context.Context, a Append) error
	// End is an Append that ends a run, and the Admit of what its end is to playbooks that wait for it.
	End(ctx context.Context, a Append, following Admission) (Receipt, error)

	// Ready returns runs that have something to do at now, oldest first: the oldest in state Ready,
	// and of those Waiting the ones whose Wake came first and is not after now. Of runs with the same playbook and
	// concurrency key only the oldest that is not over is returned.
	Ready(ctx context.Context, now time.Time, limit int) ([]Run, error)
	// NextWake returns the earliest Wake of a waiting run; zero if there is none.
	NextWake(ctx context.Context) (time.Time, error)
	// Load returns all that is needed to go on with a run.
	Load(ctx context.Context, id RunID) (Loaded, error)
	// Position returns a source's position, or "" if it has none yet.
	Position(ctx context.Context, source string) (string, error)
	// Known returns those of the IDs that belong to admitted events.
	Known(ctx context.Context, ids []string) (map[string]bool, error)
	// Latest returns the event of an object that was admitted last; ErrNotFound if there is none. Stages
	// of clocks are left out, here and in the check for ErrNotNew: they are no versions.
	Latest(ctx context.Context, tenant, object string) (Event, error)
	// Newest returns the event of an object that, of those that a source brought by itself, occurred last,
	// of several the one that was admitted last; ErrNotFound if there is none. What somebody brought by hand
	// (Event.By) says nothing about what the source has seen.
	Newest(ctx context.Context, tenant, object, source string) (Event, error)
	// Uses counts the uses with the tenant, playbook, action and mode of one, after a moment. A journal
	// remembers them at least for [playbooks.MaxRateWindow].
	Uses(ctx context.Context, like Use, after time.Time) (int, error)
	// Versions returns the version of each object that was admitted last, of those that a poll has read,
	// in the order of the objects.
	Versions(ctx context.Context, q VersionQuery) ([]Event, error)
	// Clocks returns the clocks of an object, in the order of the playbooks.
	Clocks(ctx context.Context, tenant, object string) ([]Clock, error)
	// DueClocks returns the clocks of a playbook that have a Due, the earliest first.
	DueClocks(ctx context.Context, tenant, playbook string, limit int) ([]Clock, error)
	// Seen says whether another event asked a playbook for a key before this event first did, and no longer before the
	// mark's time than its window. What came before what is the order of asking, which no clock can disturb.
	Seen(ctx context.Context, m Sighting) (bool, error)
	// State returns the value of a key of a playbook's state, nil if there is none that lasts beyond now.
	State(ctx context.Context, key StateKey, now time.Time) (json.RawMessage, error)
	// StateRoom says whether the key has a value, or fewer than MaxStateKeys others do.
	StateRoom(ctx context.Context, key StateKey, now time.Time) (bool, error)
	// History returns the objects that a query finds, at most Limit.
	History(ctx context.Context, q HistoryQuery) ([]string, error)
	// Loads returns how many open objects each of the people has.
	Loads(ctx context.Context, tenant string, people []string) (map[string]int, error)
	// Indexed returns the fields of which there is a complete index, in order.
	Indexed(ctx context.Context) ([]playbooks.HistoryField, error)
	// Index adds to the index of stored events.
	Index(ctx context.Context, x Indexed) error
	// Stored returns events in the order opposite to that of their admission: those before the event of an ID, ""
	// for the last ones.
	Stored(ctx context.Context, before string, limit int) ([]Event, error)
	// Writes returns what playbooks meant to write to an object since a time, oldest first.
	Writes(ctx context.Context, tenant, object string, since time.Time) ([]Write, error)
}

// VersionQuery chooses versions of objects.
type VersionQuery struct {
	Tenant string
	Source string // of the poll: "poll/alerts"
	Object string // only this one; "": all
	After  string // only objects behind this one
	Limit  int
}

// StateKey names a value of the state of a playbook.
type StateKey struct{ Tenant, Playbook, Key string }

// Admission is what Admit stores.
type Admission struct {
	Events []Planned
	// Clocks are stored whatever becomes of the events.
	Clocks []Clock
	Cursor *Cursor
	// Set names every playbook that was loaded. The decision for a playbook of the set without a
	// stored match follows from its screen and the facts: see [Decisions].
	Set PlaybookSet
	// Documents are contents by digest, for those that the journal may not hold yet: sources of
	// playbooks and watchlists.
	Documents map[string][]byte
}

// PlaybookSet is a loaded set of playbooks, in their order. Two sets with the same digest are the
// same: a journal looks at the members of one it does not know yet, and they are never changed.
type PlaybookSet struct {
	Digest  string
	Members []SetMember
}

// SetMember is one playbook of a set.
type SetMember struct {
	Name   string  `json:"name"`
	Digest string  `json:"digest"`
	Screen *Screen `json:"screen,omitempty"`
}

// Planned is an event with the decisions about it.
type Planned struct {
	// New says that the decisions take the event for the first of its object. If the journal holds
	// another one, Admit returns ErrNotNew.
	New     bool
	Event   Event
	Facts   *Facts
	Matches []Match
	// Sightings are left behind by the decisions. If one of them would be answered otherwise now, Admit
	// returns ErrMoved and stores nothing.
	Sightings []Sighting
	// Index is what is indexed of the event; nil for nothing.
	Index *IndexedEvent
	// Screened is how many playbooks listen to the event's source and have no match here: their
	// decisions follow from the facts. Nobody has to store it.
	Screened int
	Runs     []PlannedRun
	// Clocks are what the event makes of the clocks of its object. The Revision of each, here and in
	// Admission, is one more than that of the clock stored, or 1 if there is none; otherwise Admit
	// returns ErrClockMoved.
	Clocks []Clock
}

// PlannedRun is a run with the beginning of its history.
type PlannedRun struct {
	Run          Run
	DedupeKey    string // "": no dedupe
	DedupeWindow time.Duration
	// Ceiling is how many live runs of the same playbook, tenant and object may have been created
	// within a time before this one, held ones included.
	Ceiling Ceiling
	// Limit is how many runs of the same playbook, tenant and mode may have started within a time
	// before this one, held ones not included. A start that is counted is stored as a use.
	Limit   RunLimit
	Entries []Entry
	Writes  []Write
}

// Append is what Append stores. State, Message and Wake replace what the run had.
type Append struct {
	Run     RunID
	Entries []Entry
	State   RunState
	Message string
	Wake    time.Time
	Ended   time.Time
	Writes  []Write
	Uses    []Use // that limits count
	// Left is stored with the entries. If a mark would be answered otherwise now, or a value that was
	// read is another, Append returns ErrMoved and stores nothing.
	Left Left
}

// Loaded is a run with what it needs to go on.
type Loaded struct {
	Run     Run
	Event   Event
	Entries []Entry
	Source  []byte            // of the playbook
	Lists   map[string][]byte // watchlist name → content
}

// Write is a change that a run means to make, stored with the intent. One that names neither
// fields nor a comment takes the earlier ones of the same run and path back: they were refused.
type Write struct {
	Tenant   string
	Playbook string
	Run      RunID
	Path     string
	At       time.Time
	actions.Touch
}

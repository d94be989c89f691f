package engine

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/playbookd/playbookd/playbooks"
)

// Semantics is the version of the decision function's meaning. A run carries the version that
// it started under; a change that would decide a recorded history differently raises it.
const Semantics = 1

// RunID identifies a run. It is a hash of the playbook and the event, so that starting the same
// run twice is one run.
type RunID string

// NewRunID makes the ID of the run that an event starts at a playbook.
func NewRunID(playbook, event string) RunID {
	sum := sha256.Sum256([]byte("run\x00" + playbook + "\x00" + event))
	return RunID("r" + strings.ToLower(base32.HexEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:10])))
}

// runScheme begins the name of a run where other systems show it.
const runScheme = "playbookd:run/"

// URL is the run's name for other systems: what a comment or a ticket says to lead back to it. It
// depends on nothing but the ID, so that a run decided again says the same. `playbookd show` takes it.
func (id RunID) URL() string { return runScheme + string(id) }

// RunIDOf reads an ID that may be written as [RunID.URL].
func RunIDOf(text string) RunID { return RunID(strings.TrimPrefix(text, runScheme)) }

// RunState is where a run stands.
type RunState string

// The states of a run. The last three are final.
const (
	Ready     RunState = "ready"   // has something to do now
	Waiting   RunState = "waiting" // has something to do at Wake
	Parked    RunState = "parked"  // needs a person
	Succeeded RunState = "succeeded"
	Failed    RunState = "failed"
	Canceled  RunState = "canceled"
)

// Final says whether a run in this state is over.
func (s RunState) Final() bool { return s == Succeeded || s == Failed || s == Canceled }

// Run is one execution of a playbook for one event.
type Run struct {
	ID        RunID             `json:"id"`
	Playbook  string            `json:"playbook"`
	Digest    string            `json:"digest"`    // of the exact text that it runs
	Semantics int               `json:"semantics"` // of the decision function
	Event     string            `json:"event"`
	Tenant    string            `json:"tenant"`
	Object    string            `json:"object,omitempty"`
	Title     string            `json:"title,omitempty"`
	By        string            `json:"by,omitempty"` // who started it, if a person did
	Mode      playbooks.Mode    `json:"mode"`
	Lists     map[string]string `json:"lists,omitempty"` // watchlist name → digest of its content
	Key       string            `json:"key,omitempty"`   // concurrency key
	State     RunState          `json:"state"`
	Message   string            `json:"message,omitempty"` // why it stopped, failed or is parked
	Created   time.Time         `json:"created"`           // now() for its expressions
	Wake      time.Time         `json:"wake,omitzero"`
	Ended     time.Time         `json:"ended,omitzero"`
}

// EntryKind says what an entry of a run's history records.
type EntryKind string

// The kinds of entry. Each is a fact that deciding again must not work out anew, or an effect.
const (
	Began   EntryKind = "began"   // the run: the values of vars
	Chose   EntryKind = "chose"   // an if or a switch: which way; a wait: whether its condition holds
	Looped  EntryKind = "looped"  // a foreach: its items
	Assign  EntryKind = "assign"  // a set: the new values
	Intent  EntryKind = "intent"  // an attempt is about to be made
	Outcome EntryKind = "outcome" // an attempt has ended
	Resolve EntryKind = "resolve" // a person settled an uncertain step
	Timed   EntryKind = "timed"   // a wait: until when
	Woke    EntryKind = "woke"    // its time has come
	Asked   EntryKind = "asked"   // people: what they are shown
	Read    EntryKind = "read"    // what the world answered to what the next entry follows from
	Called  EntryKind = "called"  // another playbook, as a step: its inputs and variables
	Limited EntryKind = "limited" // a limit holds a step until a person releases the run
	Ended   EntryKind = "ended"   // the run is over

	Released  EntryKind = "released"  // a person let a held run go on, or called it off
	Answered  EntryKind = "answered"  // by a person
	Lapsed    EntryKind = "lapsed"    // nobody answered in time
	Returned  EntryKind = "returned"  // from the other playbook: its outputs
	Canceling EntryKind = "canceling" // somebody called the run off
)

// Entry is one line of a run's history. Seq counts from 1 within the run.
type Entry struct {
	Seq     int             `json:"seq"`
	Path    string          `json:"path"` // of the step, with ":part" for an attempt; "" for the run
	Kind    EntryKind       `json:"kind"`
	Attempt int             `json:"attempt,omitempty"`
	At      time.Time       `json:"at"`
	Data    json.RawMessage `json:"data,omitempty"`
}

// key is the idempotency key of a part of a step of a run: the same for all its attempts.
func key(run RunID, path string) string {
	sum := sha256.Sum256([]byte("key\x00" + string(run) + "\x00" + path))
	return hex.EncodeToString(sum[:12])
}

// requestID is a UUID (version 8, RFC 9562) made from a key and an attempt: it travels with the
// request, so that Graph's own records can be matched with the journal's.
func requestID(key string, attempt int) string {
	b := sha256.Sum256([]byte("request\x00" + key + "\x00" + strconv.Itoa(attempt)))
	b[6] = b[6]&0x0f | 0x80
	b[8] = b[8]&0x3f | 0x80
	var id []byte
	for i, part := range [][]byte{b[0:4], b[4:6], b[6:8], b[8:10], b[10:16]} {
		if i > 0 {
			id = append(id, '-')
		}
		id = hex.AppendEncode(id, part)
	}
	return string(id)
}

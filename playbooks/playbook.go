package playbooks

import (
	"time"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/internal/diag"
	"github.com/playbookd/playbookd/playbooks/expression"
)

// Playbook is a checked, compiled playbook. It is immutable and safe for concurrent use.
type Playbook struct {
	Name        string
	Description string
	Owner       string
	Reason      string
	Expires     time.Time // the first instant at which it no longer acts; zero: never
	Tags        []string
	Priority    int      // higher first
	Tenants     []string // empty: every tenant
	Mode        Mode
	Enabled     bool

	File   string
	Source []byte // the exact text
	Digest string // identifies Source in every run: "sha256:…"

	Subject     string          // the name of the event in scope: alert, incident or event
	SubjectType expression.Type // its static type, by which payloads are decoded

	Triggers    []Trigger
	When        *expression.Program // nil: every event matches
	Vars        []Binding           // evaluated in order when a run starts
	Lists       []string            // names of the watchlists that it reads, sorted
	Steps       []Step
	Concurrency *expression.Template // key: one run at a time for each; nil: no limit
	Dedupe      *Dedupe
}

// Mode says whether a playbook may act.
type Mode string

// The modes. Shadow decides and records like Live but performs only parts that read.
const (
	Live   Mode = "live"
	Shadow Mode = "shadow"
)

// Dedupe starts at most one run for each key within a window.
type Dedupe struct {
	Key    *expression.Template
	Window time.Duration
}

// Binding gives a value a name.
type Binding struct {
	Name  string
	Value Value
}

// TriggerKind names a kind of trigger as the language does.
type TriggerKind string

// The kinds of trigger.
const (
	PollTrigger     TriggerKind = "poll"
	WebhookTrigger  TriggerKind = "webhook"
	ScheduleTrigger TriggerKind = "schedule"
	ManualTrigger   TriggerKind = "manual"
)

// Trigger says which events concern a playbook. Exactly one of the pointers is set.
type Trigger struct {
	Kind TriggerKind
	Pos  diag.Position
	// Source is the name that events of this trigger carry: "poll/alerts", "webhook/edr",
	// "schedule/NAME/INDEX", "manual/NAME".
	Source string

	Poll     *Poll
	Webhook  *Webhook
	Schedule *Schedule
	Manual   *Manual
}

// Poll asks Graph for what changed. All playbooks of a tenant share one poll for each resource.
type Poll struct {
	Resource string // alerts or incidents
	Every    time.Duration
	Filter   *Filter // nil: everything
	Expand   bool    // incidents: with their alerts
	Created  bool    // the first version that we see of an object concerns this playbook
	Updated  bool    // later versions concern it
}

// Filter is an OData $filter: sent to Graph as text, and evaluated here on each event, because
// a poll shared by several playbooks asks for the union of what they need.
type Filter struct {
	Text    string
	Program *expression.Program
}

// Webhook takes events that somebody pushes.
type Webhook struct {
	Path   string // below /webhooks/
	HMAC   string // name of the secret, or ""
	APIKey string // name of the secret, or ""
	As     string // alert, incident or event
}

// Schedule makes an event at each slot of a cron expression.
type Schedule struct {
	Cron     string
	Timezone string
	Missed   string // skip or once: what to do with slots that passed while not running
}

// Manual is a run that a person starts.
type Manual struct {
	Inputs []Input
}

// Input is one typed input of a manual run.
type Input struct {
	Name        string
	Type        string // text, int, number, bool, list
	Description string
	Required    bool
	Default     any
	Enum        []string
}

// Step is one step of a playbook. Its path is made from the syntax tree alone, so that it is
// the same in every process that ever decides about a run: "steps/2/else/0".
type Step struct {
	ID      string
	Name    string
	Path    string
	Pos     diag.Position
	If      *expression.Program // nil: always
	Retry   *Retry              // nil: the engine's default
	Timeout time.Duration       // of one attempt; 0: the engine's default
	OnError OnError
	Body    Body
}

// OnError says what a failed step means for the run.
type OnError struct {
	Continue bool   // go on as if it had ended well; its status stays "failed"
	Steps    []Step // run these instead of failing; nil: fail
}

// Retry is a step's retry policy.
type Retry struct {
	Attempts int
	Backoff  string // exponential or constant
	Initial  time.Duration
	Max      time.Duration
}

// Body is what a step does: one of Act, Branch, Foreach, Assign, Stop and Fail.
type Body interface{ body() }

// Act calls an action.
type Act struct {
	Action actions.Action
	Spec   actions.Spec
	With   Value           // an object
	Output expression.Type // by which outputs are decoded for later expressions
}

// Branch runs one of two lists of steps.
type Branch struct {
	If   *expression.Program
	Then []Step
	Else []Step
}

// Foreach runs its steps once for each item of a list.
type Foreach struct {
	Items       *expression.Program
	As          string
	Concurrency int // 1: one after the other
	Continue    bool
	Do          []Step
}

// Assign gives variables new values (`set`).
type Assign struct{ Values []Binding }

// Stop ends the run well; Fail ends it as failed.
type (
	Stop struct{ Message *expression.Template }
	Fail struct{ Message *expression.Template }
)

func (*Act) body()     {}
func (*Branch) body()  {}
func (*Foreach) body() {}
func (*Assign) body()  {}
func (*Stop) body()    {}
func (*Fail) body()    {}

// Catalog is where the compiler finds actions.
type Catalog interface {
	Lookup(name string) (actions.Action, error)
}

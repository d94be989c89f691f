package playbooks

import (
	"strconv"
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

	File     string
	Source   []byte // the exact text
	Recorded []byte // Source, and the texts of the playbooks that it calls: see CompileRecorded
	Digest   string // identifies Recorded in every run: "sha256:…"

	Subject     string          // the name of the event in scope: alert, incident or event
	SubjectType expression.Type // its static type, by which payloads are decoded

	Triggers    []Trigger
	When        *expression.Program // nil: every event matches
	Vars        []Binding           // evaluated in order when a run starts
	Lists       []string            // names of the watchlists that it reads, sorted
	Calendars   []string            // names of the calendars that its expressions count by, sorted
	Asks        []string            // what it asks the world for, sorted: AskSeen …
	Histories   []HistoryField      // what it counts stored events by
	Steps       []Step
	OnFailure   []Step    // run when the steps failed, before Finally
	Finally     []Step    // run at every end: success, failure, cancellation
	Outputs     []Binding // what the run leaves behind when it ended well
	OutputTypes map[string]expression.Type
	Calls       map[string]*Playbook // every playbook that a step calls, directly or not
	Concurrency *expression.Template // key: one run at a time for each; nil: no limit
	Dedupe      *Dedupe
	Limits      Limits

	callDepth int // how many playbooks a run of this one may be inside of, itself included
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
	SLATrigger      TriggerKind = "sla"
	ManualTrigger   TriggerKind = "manual"
	ChangeTrigger   TriggerKind = "change"
	RunTrigger      TriggerKind = "run"
)

// Trigger says which events concern a playbook. Exactly one of the pointers is set, but that a Change
// comes with the Poll that brings the versions.
type Trigger struct {
	Kind TriggerKind
	Pos  diag.Position
	// Source is the name that events of this trigger carry: "poll/alerts", "webhook/edr",
	// "schedule/NAME/INDEX", "sla/NAME", "manual/NAME", "run".
	Source string

	Poll     *Poll
	Change   *Change
	Run      *EndOfRun
	Webhook  *Webhook
	Schedule *Schedule
	SLA      *SLA
	Manual   *Manual
}

// Filter is what the trigger itself asks of an event; nil: nothing.
func (t *Trigger) Filter() *Filter {
	switch {
	case t.Poll != nil:
		return t.Poll.Filter
	case t.Run != nil:
		return t.Run.Filter
	}
	return nil
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

// SLA keeps a clock for each object of a resource, and starts a run at each stage that a clock reaches.
// The clock runs from Start on, stands still while Pause holds, and ends while Stop holds.
type SLA struct {
	Resource string              // alerts or incidents
	Every    time.Duration       // how often the resource is polled
	Expand   bool                // incidents: with their alerts
	Start    *expression.Program // gives a time; nil values: the clock has not started
	Pause    *expression.Program // nil: never
	Stop     *expression.Program // nil: never
	Target   []Target            // the first whose condition holds counts
	Calendar string              // "": every hour counts
	Stages   []Stage             // in the order in which they are reached
}

// Target is how much time there is for objects of which a condition holds.
type Target struct {
	If     *expression.Program // nil: always
	Within time.Duration
}

// Stage is a moment of a clock, as a part of the target or as a time after the start.
type Stage struct {
	Name    string
	Percent int           // 0: After counts
	After   time.Duration // of business time
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

// handles says whether the run goes on after a failure of the step.
func (o OnError) handles() bool { return o.Continue || o.Steps != nil }

// Retry is a step's retry policy.
type Retry struct {
	Attempts int
	Backoff  string // exponential or constant
	Initial  time.Duration
	Max      time.Duration
}

// Body is what a step does: one of Act, Branch, Switch, Foreach, Parallel, Wait, Question, Call,
// Assign, Stop and Fail.
type Body interface{ body() }

// Act calls an action.
type Act struct {
	Action actions.Action
	Spec   actions.Spec
	Guard  *expression.Program // must hold when the step is about to act; nil: always
	With   Value               // an object
	Await  time.Duration       // wait this long for the end of what the action only starts; 0: don't
	Output expression.Type     // by which outputs are decoded for later expressions
}

// Branch runs one of two lists of steps.
type Branch struct {
	If   *expression.Program
	Then []Step
	Else []Step
}

// Switch runs the steps of the first case whose condition holds.
type Switch struct {
	Cases []Case
	Else  []Step
}

// Case is one way through a Switch.
type Case struct {
	If *expression.Program
	Do []Step
}

// Parallel runs its branches at the same time. With Any the first that ends well decides, and the
// others are canceled; else all of them must end well.
type Parallel struct {
	Branches [][]Step
	Any      bool
}

// Wait lets time pass. Exactly one of For, Until and Poll is set.
type Wait struct {
	For   time.Duration
	Until *expression.Program // gives a time
	Poll  *WaitPoll
}

// WaitPoll waits until a condition holds: it runs its steps, looks, and tries again.
type WaitPoll struct {
	Until  *expression.Program // sees the steps of the round
	Every  time.Duration
	Within time.Duration // beyond it the step fails
	Do     []Step
}

// Question asks people: for their approval, or for an answer.
type Question struct {
	Approve   bool
	Title     *expression.Template
	Details   *expression.Template   // nil: none
	By        []*expression.Template // who may answer: names of people, or role:NAME
	Count     int                    // how many different people must approve
	Within    time.Duration
	Otherwise string   // what silence means: approve, reject, fail, or one of Choices
	Choices   []string // of an answer
	Form      []Input  // of an answer, instead of Choices
	Notify    []Step   // tell the channels that somebody is asked
}

// Call runs another playbook as a step.
type Call struct {
	Name     string
	Playbook *Playbook
	With     Object
	Pass     bool // the called playbook sees the event of the caller
}

// Foreach runs its steps once for each item of a list.
type Foreach struct {
	Items       *expression.Program
	As          string
	Concurrency int // 1: one after the other
	Continue    bool
	Do          []Step
}

// Assign gives variables new values, and keys of the state (`set`).
type Assign struct {
	Values []Binding
	State  []StateWrite
}

// StateWrite gives a key of the playbook's state a value; nil forgets it.
type StateWrite struct {
	Key   *expression.Template
	Value Value
	For   time.Duration
}

// Stop ends the run well; Fail ends it as failed.
type (
	Stop struct{ Message *expression.Template }
	Fail struct{ Message *expression.Template }
)

func (*Act) body()      {}
func (*Branch) body()   {}
func (*Switch) body()   {}
func (*Parallel) body() {}
func (*Wait) body()     {}
func (*Call) body()     {}
func (*Question) body() {}
func (*Foreach) body()  {}
func (*Assign) body()   {}
func (*Stop) body()     {}
func (*Fail) body()     {}

// Nested gives every list of steps inside of the step, with the name under which its paths lie.
// Whoever walks a playbook uses it, so that no construct is forgotten anywhere.
func (s *Step) Nested(visit func(name string, steps []Step)) {
	give := func(name string, steps []Step) {
		if len(steps) > 0 {
			visit(name, steps)
		}
	}
	switch b := s.Body.(type) {
	case *Branch:
		give("then", b.Then)
		give("else", b.Else)
	case *Switch:
		for i := range b.Cases {
			give("case/"+strconv.Itoa(i), b.Cases[i].Do)
		}
		give("else", b.Else)
	case *Parallel:
		for i := range b.Branches {
			give("branch/"+strconv.Itoa(i), b.Branches[i])
		}
	case *Foreach:
		give("do", b.Do)
	case *Question:
		give("ask", b.Notify)
	case *Wait:
		if b.Poll != nil {
			give("do", b.Poll.Do)
		}
	}
	give("on_error", s.OnError.Steps)
}

// every visits all steps of the playbook, whenever they run, and those below them.
func (p *Playbook) every(visit func(*Step)) {
	var walk func(steps []Step)
	walk = func(steps []Step) {
		for i := range steps {
			visit(&steps[i])
			steps[i].Nested(func(_ string, inner []Step) { walk(inner) })
		}
	}
	for _, steps := range [][]Step{p.Steps, p.OnFailure, p.Finally} {
		walk(steps)
	}
}

// Catalog is where the compiler finds actions.
type Catalog interface {
	Lookup(name string) (actions.Action, error)
}

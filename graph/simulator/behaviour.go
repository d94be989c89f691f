package simulator

import "fmt"

// Behaviour holds the points the public contract leaves open. The zero value is what we hold most likely; a
// client worth trusting passes its tests with every knob in either position.
type Behaviour struct {
	// IgnoreUnknownFields lets a PATCH or comment carry fields outside the documented list, without effect.
	// Otherwise they are answered 400.
	IgnoreUnknownFields bool
	// AcceptPascalCase takes enum values such as "TruePositive", as some published examples send them.
	AcceptPascalCase bool
	// CommentKeepsUpdateTime leaves lastUpdateDateTime alone when a comment is added.
	CommentKeepsUpdateTime bool
	// RepeatKeepsUpdateTime leaves lastUpdateDateTime alone when a PATCH changes nothing.
	RepeatKeepsUpdateTime bool
	// CommentAuthor is the createdByDisplayName of an application's comments; empty: "API-App:" and its id.
	CommentAuthor string
	// NewestCommentFirst turns round the comment list of an answer.
	NewestCommentFirst bool
	// Forbidden chooses the 403 of a missing role.
	Forbidden Forbidden
	// ResolveIncidentWithAlerts resolves an incident once its last alert is resolved.
	ResolveIncidentWithAlerts bool
	// ResolveAlertsWithIncident resolves the alerts of an incident that is resolved.
	ResolveAlertsWithIncident bool
	// AlertChangesTouchIncident bumps the incident's lastUpdateDateTime when one of its alerts changes.
	AlertChangesTouchIncident bool
	// EmptiedIncident says what becomes of an incident whose last alert was moved away.
	EmptiedIncident EmptiedIncident
	// MergeSurvivor says which incident a merge keeps.
	MergeSurvivor MergeSurvivor
	// RefuseRedirected answers 400 to moves and merges that name a redirected incident; otherwise the
	// redirection is followed, which makes a repeated merge harmless.
	RefuseRedirected bool
	// MoveCommentsEveryAlert puts alertComment also on alerts that were in the target incident already.
	MoveCommentsEveryAlert bool
	// ShortUpdateTime has lists of machine actions say lastUpdateTimeUtc where one alone says lastUpdateDateTimeUtc.
	ShortUpdateTime bool
	// ActiveRequestCode is the code of the 400 for a machine action while one of its kind is under way; empty:
	// ActiveRequestAlreadyExists.
	ActiveRequestCode string
	// EchoPreference repeats an honoured Prefer header in Preference-Applied.
	EchoPreference bool
	// AllowAssertionReplay accepts a client assertion whose jti was seen before.
	AllowAssertionReplay bool
	// ShortPageEvery makes each n-th list page that has a successor half as long; 0: never.
	ShortPageEvery int
	// EmptyPageEvery makes each n-th list page that has a successor empty, next link kept; 0: never, else 2 or more.
	EmptyPageEvery int
	// MaxTop is the $top beyond which LiveLike clamps and Strict refuses; 0: MaxTop.
	MaxTop int
}

// Forbidden is the shape of a 403 for a missing role.
type Forbidden string

// The shapes of a 403 met in the wild.
const (
	ForbiddenPlain  Forbidden = ""                            // code Forbidden, message naming the roles
	ForbiddenSilent Forbidden = "UnknownError"                // code UnknownError, empty message
	ForbiddenDenied Forbidden = "Authorization_RequestDenied" // as the directory answers
)

// EmptiedIncident is the fate of an incident without alerts.
type EmptiedIncident string

// What may become of an emptied incident.
const (
	EmptiedStays     EmptiedIncident = ""         // it keeps its status and an empty alert list
	EmptiedResolves  EmptiedIncident = "resolve"  // it is resolved
	EmptiedRedirects EmptiedIncident = "redirect" // it is redirected to the target of the move
)

// MergeSurvivor is the rule by which a merge keeps one incident.
type MergeSurvivor string

// The rules of a merge.
const (
	SurvivorOldest MergeSurvivor = ""       // the incident created first
	SurvivorNewest MergeSurvivor = "newest" // the incident created last
	SurvivorFirst  MergeSurvivor = "first"  // the one the request names first
)

// check refuses knobs in positions they do not have.
func (b Behaviour) check() error {
	switch b.Forbidden {
	case ForbiddenPlain, ForbiddenSilent, ForbiddenDenied:
	default:
		return fmt.Errorf("behaviour forbidden is %q: use %q, %q or leave it empty", b.Forbidden, ForbiddenSilent, ForbiddenDenied)
	}
	switch b.EmptiedIncident {
	case EmptiedStays, EmptiedResolves, EmptiedRedirects:
	default:
		return fmt.Errorf("behaviour emptied incident is %q: use %q, %q or leave it empty", b.EmptiedIncident, EmptiedResolves, EmptiedRedirects)
	}
	switch b.MergeSurvivor {
	case SurvivorOldest, SurvivorNewest, SurvivorFirst:
	default:
		return fmt.Errorf("behaviour merge survivor is %q: use %q, %q or leave it empty", b.MergeSurvivor, SurvivorNewest, SurvivorFirst)
	}
	if b.EmptyPageEvery == 1 || b.EmptyPageEvery < 0 {
		return fmt.Errorf("behaviour empty page every is %d: use 2 or more, or 0 for never (1 would never end)", b.EmptyPageEvery)
	}
	if b.ShortPageEvery < 0 {
		return fmt.Errorf("behaviour short page every is %d: use 1 or more, or 0 for never", b.ShortPageEvery)
	}
	if b.MaxTop < 0 || b.MaxTop > MaxTop {
		return fmt.Errorf("behaviour max top is %d: choose between 1 and %d, or 0 for %d", b.MaxTop, MaxTop, MaxTop)
	}
	return nil
}

package graph

import "time"

// Limits of this package. Each is enforced where it is named and tested at and beyond its value.
const (
	// MaxAnswerBytes is how large an answer may be, after decompression. A page of 1000 alerts
	// with their evidence stays well below.
	MaxAnswerBytes = 64 << 20
	// MaxErrorBytes is how much of an error answer is read.
	MaxErrorBytes = 64 << 10
	// MaxRequestBytes is how large a request body may be.
	MaxRequestBytes = 1 << 20
	// MaxPages is how many pages one listing follows. Reaching it is an error, never a quiet end.
	MaxPages = 1000
	// MaxRepeats is how often in a row a listing may be sent to a page where it was before. It
	// happens by right only after an empty page, whose next link may name the same place.
	MaxRepeats = 10
	// MaxTop is the largest page that may be asked for: Graph clamps above it without a word.
	MaxTop = 1000
	// MaxExpandTop is the page size while alerts are expanded.
	MaxExpandTop = 50
	// MaxURLBytes is how long an address may be that we make ourselves.
	MaxURLBytes = 16 << 10
	// MaxNextLinkBytes is how long a next link may be. They are known to exceed 2 kB.
	MaxNextLinkBytes = 32 << 10
	// MaxIDLength is how long the id of an object may be.
	MaxIDLength = 256
	// MaxCommentLength is how many characters a comment may have. Graph documents no limit; this
	// one keeps a playbook from pasting a whole table of results.
	MaxCommentLength = 30_000
	// MaxMoved is how many alerts one move, or incidents one merge, may name.
	MaxMoved = 1000
	// MaxServerText is how much of a text from the other side an error repeats, in characters.
	MaxServerText = 300
	// MaxPauseWait is the longest pause of a class that a call waits out; beyond it fails at once.
	MaxPauseWait = 5 * time.Second
	// MaxBudgetWait is how long a call queues for the budget of its class.
	MaxBudgetWait = time.Minute
	// MaxRetryAfter is the longest pause that is believed. A broken header must not stop a
	// tenant for a year.
	MaxRetryAfter = time.Hour
	// MaxBackoff is the longest pause that we invent when Retry-After is missing.
	MaxBackoff = time.Minute
	// RequestTimeout is how long one exchange may take, whatever the caller's deadline.
	RequestTimeout = 2 * time.Minute
	// HuntingTimeout is the same for a hunting query, which Defender itself stops after three minutes.
	HuntingTimeout = 190 * time.Second
	// MaxQueryLength is how many characters a hunting query may have.
	MaxQueryLength = 64 << 10
	// MaxClaimsBytes is how large a claims challenge may be.
	MaxClaimsBytes = 16 << 10

	maxShown = 60 // characters of a mistaken input that an error repeats
)

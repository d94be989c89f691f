package expression

// Limits of an expression's text. The parser recurses once for each operator that stands before a value, so
// the length of the text is what protects the stack.
const (
	// MaxSource is the longest expression, in bytes.
	MaxSource = 4 << 10
	// MaxTemplate is the longest text with expressions in it, in bytes.
	MaxTemplate = 64 << 10
	// MaxNodes is how many names, constants, operators and calls an expression may have.
	MaxNodes = 500
	// MaxNesting is how deep they may be nested.
	MaxNesting = 200
	// MaxRange is how many numbers a range (1..n) may have; both ends must be written as numbers.
	MaxRange = 1000
	// MaxCost is the largest product of the sizes of nested loops, with assumedSize for what is not known.
	MaxCost = 1_000_000

	assumedSize = 100
)

// Limits of one evaluation. They hold for the whole program, all its terms together. A loop cannot be
// interrupted from outside, so it is counted from inside.
const (
	// MaxWork is how many steps an evaluation may take: items visited, and text read in pieces of 64 bytes.
	MaxWork = 2_000_000
	// MaxBytes is how much text an evaluation may produce.
	MaxBytes = 16 << 20
	// memoryBudget is how many list items and fields the machine may allocate, its own second line.
	memoryBudget = 200_000

	// loopCost is charged for starting a loop: the machine keeps about 160 bytes for each until the end of
	// the evaluation.
	loopCost = 10
	// bytesPerStep is how much text counts as one step.
	bytesPerStep = 64
	// maxResult is how many values the result of an evaluation may hold, shared parts counted each time.
	maxResult = 100_000
)

// Limits of a value that comes from outside.
const (
	// MaxPayload is the largest event, in bytes.
	MaxPayload = 1 << 20
	// MaxItems is how many items a list of an event may have.
	MaxItems = 1000
	// MaxDepth is how deep an event may be nested.
	MaxDepth = 32
)

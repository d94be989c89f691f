package engine

// crew runs functions on goroutines that stay for the next one: a new goroutine has a small stack,
// and what an attempt does down to the network makes it grow several times. There are never more
// than were busy at once, which the workers bound.
type crew struct{ jobs chan func() }

func newCrew() *crew { return &crew{jobs: make(chan func())} }

// do runs f beside the caller.
func (c *crew) do(f func()) {
	select {
	case c.jobs <- f:
	default:
		go c.serve(f)
	}
}

func (c *crew) serve(f func()) {
	f()
	for f := range c.jobs {
		f()
	}
}

// dismiss lets everybody go. Nothing may be given to the crew any more.
func (c *crew) dismiss() { close(c.jobs) }

package daemon

import "sync/atomic"

// Ballast is how much memory is claimed at the start and never touched, so that it costs an address
// and nothing else. The garbage collector runs when the heap has doubled: with a heap of a few
// megabytes that would be all the time, and with this in it every forty megabytes.
const Ballast = 32 << 20

// EaseCollection lets the garbage collector run less often. It is for a process that does nothing
// but run a daemon.
func EaseCollection() { ballast.Store(new([Ballast]byte)) }

// ballast is kept from being collected by being here.
var ballast atomic.Pointer[[Ballast]byte]

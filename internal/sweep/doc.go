// Package sweep holds the exhaustive kill sweep. It has no code of its own.
//
// One scenario with every effect class and every construct of the language runs in a real daemon, in
// a process of its own, against the simulator over HTTPS and a plain receiver; people answer what they
// are asked, let go on what a limit holds, and call a run off, through the API. A first pass lists
// the points at which it can die: before and after each write to the journal, and before each HTTP
// exchange, when it has taken effect, and when its answer was read. Then the process is killed with
// SIGKILL at each of them, one at a time, and once more at a random moment of the restart; it is
// started again until it has settled, and package invariant looks at what is left.
//
// What must hold: the same runs end in the same states as without a kill. The one exception is a
// step that may happen only once and was cut off: its run is parked, and when a person has said
// what the receiver's log says, it ends like the others.
package sweep

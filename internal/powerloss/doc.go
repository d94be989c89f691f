// Package powerloss lays a disk that can be watched and broken beneath a program that uses SQLite,
// and works out what a loss of power would have left of its files.
//
// The disk is a small C library, compiled with cc when a test asks for it and loaded into a child
// process with LD_PRELOAD. SQLite reaches its files through the C library, Go does not, so it sees
// the database and nothing else. It does two things:
//
//   - It keeps a [Trace]: every write, truncation, sync and name, with its bytes, in order. From it
//     a [Medium] makes the [Image] that a power cut at any moment could leave: what was synced, and
//     of the rest as much or as little as the disk happened to have written, torn where it likes.
//   - It can be broken while the program runs, see [Disk]: errors, a capacity, slowness.
//
// What is taken for granted is what SQLite takes for granted: bytes that are not written to are not
// changed, a sync that succeeded is true, and names change one after the other. The sync of a file does
// not keep its name: that needs a sync of the directory.
//
// It works on Linux only; elsewhere the package is empty.
package powerloss

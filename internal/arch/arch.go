// Package arch holds tests about the code itself: which package may import which, which of ours
// owns a third-party package, and that every package tells its story. It has no code of its own.
package arch

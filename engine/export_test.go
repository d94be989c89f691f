package engine

// EchoOf and Key let tests ask directly.
var (
	EchoOf = echoOf
	Key    = key
)

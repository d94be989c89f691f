package engine

// EchoOf lets tests ask directly.
var EchoOf = echoOf

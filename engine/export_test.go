package engine

// EchoOf and Key let tests ask directly.
var (
	EchoOf = echoOf
	Key    = key
)

// What encode_test.go compares with the standard library.
var (
	InputJSON = inputJSON
	Encode    = encode
)

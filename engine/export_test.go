package engine

import "errors"

// IsHistoryError says whether err means that a history does not belong to its playbook.
func IsHistoryError(err error) bool { return errors.Is(err, errNotFollowing) }

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

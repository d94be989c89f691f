package store

import sqlite3 "github.com/mattn/go-sqlite3"

// SQLiteVersion is the version of the SQLite that is built in.
func SQLiteVersion() string {
	version, _, _ := sqlite3.Version()
	return version
}

// SchemaVersion is the number of the newest schema that this program knows.
func SchemaVersion() int {
	known, err := migrations()
	if err != nil {
		return 0 // the scripts are built in: a test reads them all
	}
	return len(known)
}

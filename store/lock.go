package store

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
)

// holder is what the lock file says about the process that holds it.
type holder struct {
	PID  int    `json:"pid"`
	Host string `json:"host"`
}

// maxHolder is how much of a lock file is read.
const maxHolder = 1 << 10

// lock keeps other processes from writing to the database at path. The operating system gives
// the lock back when the process ends, so that a crash leaves nothing to clean up; the file stays
// because removing it would let two processes lock two files of the same name.
func lock(path string) (*os.File, error) {
	name := path + ".lock"
	f, err := openLock(name)
	if err != nil {
		return nil, fmt.Errorf("%w: check owner and permissions of its directory: %w", ErrReadOnly, err)
	}
	held, err := exclusive(f)
	if err == nil && held {
		err = sign(f)
	}
	if err == nil && held {
		return f, nil
	}
	if f != nil {
		_ = f.Close() // nothing was written that could be lost
	}
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", name, err)
	}
	return nil, fmt.Errorf("%w: %s has %s open: stop it or choose another data directory", ErrLocked, whoHolds(name), path)
}

// sign writes down who we are, for the message to whoever comes second.
func sign(f *os.File) error {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown host"
	}
	text, err := json.Marshal(holder{PID: os.Getpid(), Host: host})
	if err != nil {
		return err
	}
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err = f.WriteAt(append(text, '\n'), 0)
	return err
}

func whoHolds(name string) string {
	const somebody = "another process"
	f, err := os.Open(name)
	if err != nil {
		return somebody
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxHolder))
	var h holder
	if err != nil || json.Unmarshal(text, &h) != nil || h.PID <= 0 {
		return somebody
	}
	if h.PID == os.Getpid() {
		return "this process already"
	}
	return fmt.Sprintf("another playbookd (pid %d on %q)", h.PID, h.Host)
}

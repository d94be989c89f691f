//go:build linux

package powerloss

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// op is what was done to the disk.
type op uint32

const (
	opOpen op = iota + 1
	opWrite
	opTruncate
	opSync
	opUnlink
	opSyncDir
	opStart // of a process
)

// Step is one thing that was done to the disk.
type Step struct {
	op           op
	began, ended time.Time
	inode        uint64
	offset       int64 // of a write; the size of a truncation
	created      bool  // by an open
	name         string
	data         []byte
}

// Syncs says whether the step made something durable.
func (s Step) Syncs() bool { return s.op == opSync || s.op == opSyncDir }

// Ended is when the step was over: nothing that waited for it happened before.
func (s Step) Ended() time.Time { return s.ended }

// Trace is all that was done, in order.
type Trace []Step

const (
	stepMagic = 0x4b534944
	stepSize  = 56
)

// ReadTrace reads a log. A process that was killed may have left its last step unfinished: that one
// is left out.
func ReadTrace(file string) (Trace, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var t Trace
	for r := bytes.NewReader(text); ; {
		s, err := readStep(r)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return t, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s: step %d: %w", file, len(t), err)
		}
		t = append(t, s)
	}
}

func readStep(r io.Reader) (Step, error) {
	var b [stepSize]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return Step{}, err
	}
	u32 := func(at int) uint32 { return binary.NativeEndian.Uint32(b[at:]) }
	u64 := func(at int) uint64 { return binary.NativeEndian.Uint64(b[at:]) }
	if u32(0) != stepMagic {
		return Step{}, fmt.Errorf("no step begins here")
	}
	s := Step{
		op: op(u32(4)), began: time.Unix(0, int64(u64(8))), ended: time.Unix(0, int64(u64(16))),
		inode: u64(24), offset: int64(u64(32)), created: u32(40) != 0,
	}
	name, data := make([]byte, u32(44)), make([]byte, u32(48))
	if _, err := io.ReadFull(r, name); err != nil {
		return Step{}, io.ErrUnexpectedEOF
	}
	if _, err := io.ReadFull(r, data); err != nil {
		return Step{}, io.ErrUnexpectedEOF
	}
	if len(name) > 0 {
		s.name = filepath.Base(string(name))
	}
	s.data = data
	return s, nil
}

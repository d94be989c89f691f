//go:build linux

package powerloss

import (
	_ "embed"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

//go:embed shim/disk.c
var source []byte

// The names of the environment variables through which the library is told what to do.
const (
	envPrefix  = "PLAYBOOKD_DISK_PREFIX"
	envLog     = "PLAYBOOKD_DISK_LOG"
	envControl = "PLAYBOOKD_DISK_CONTROL"
)

// Call is what a program asks a disk to do.
type Call int

// The calls that can be broken.
const (
	Write Call = iota
	Sync
	Read
	Truncate
	Open
	calls
)

// Kind is a set of files.
type Kind int32

// The files of a database.
const (
	Database Kind = 1 << iota
	WAL
	SharedMemory
	Other // copies, rollback journals
	Directory
	Durable = Database | WAL | Other | Directory
)

// Fault is what happens to a call.
type Fault struct {
	Kinds Kind // of files; 0: Durable
	Error syscall.Errno
	Skip  int           // so many calls go well first
	Times int           // then so many fail; -1: all
	Delay time.Duration // of every call
}

// Disk is a disk for one database, used by one process at a time.
type Disk struct {
	database string
	library  string
	trace    string // path of the log; "": none is kept
	control  *os.File
}

// The layout of the control block, as in shim/disk.c.
const (
	atLimited   = 0
	atRoom      = 8
	atFaults    = 16
	faultSize   = 32
	controlSize = atFaults + int(calls)*faultSize
)

// New compiles the library into dir and makes a disk for the database at path.
func New(dir, path string) (*Disk, error) {
	d := &Disk{database: path, library: filepath.Join(dir, "disk.so")}
	src := filepath.Join(dir, "disk.c")
	if err := os.WriteFile(src, source, 0o600); err != nil {
		return nil, err
	}
	//nolint:gosec,noctx // it ends by itself, and whoever runs the tests chooses the compiler
	if out, err := exec.Command(compiler(), "-shared", "-fPIC", "-O1", "-o", d.library, src, "-ldl").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("compile the disk: %w: %s", err, out)
	}
	var err error
	if d.control, err = os.Create(filepath.Join(dir, "disk.control")); err != nil {
		return nil, err
	}
	return d, d.control.Truncate(int64(controlSize))
}

// compiler is the C compiler that cgo needs too.
func compiler() string {
	if cc := os.Getenv("CC"); cc != "" {
		return cc
	}
	if _, err := exec.LookPath("cc"); err != nil {
		return "gcc"
	}
	return "cc"
}

// Close lets go of the control block.
func (d *Disk) Close() error { return d.control.Close() }

// Keep has everything written down from the next process on.
func (d *Disk) Keep(file string) { d.trace = file }

// Env is what a process needs in its environment to use the disk.
func (d *Disk) Env() []string {
	env := []string{"LD_PRELOAD=" + d.library, envPrefix + "=" + d.database, envControl + "=" + d.control.Name()}
	if d.trace != "" {
		env = append(env, envLog+"="+d.trace)
	}
	return env
}

// Break has a call go wrong from now on. The zero fault mends it.
func (d *Disk) Break(c Call, f Fault) error {
	if f.Kinds == 0 {
		f.Kinds = Durable
	}
	var b [faultSize]byte
	for i, v := range []int32{int32(f.Kinds), int32(f.Error), int32(f.Skip), int32(f.Times), int32(f.Delay.Microseconds())} {
		binary.NativeEndian.PutUint32(b[4*i:], uint32(v))
	}
	_, err := d.control.WriteAt(b[:], atFaults+int64(c)*faultSize)
	return err
}

// Count tells how many calls of a broken kind were seen and how many failed.
func (d *Disk) Count(c Call) (seen, failed int, err error) {
	var b [faultSize]byte
	if _, err = d.control.ReadAt(b[:], atFaults+int64(c)*faultSize); err != nil {
		return 0, 0, err
	}
	return int(binary.NativeEndian.Uint32(b[20:])), int(binary.NativeEndian.Uint32(b[24:])), nil
}

// Limit lets the files grow by so many bytes together before the disk is full. What is truncated
// or removed makes room again.
func (d *Disk) Limit(room int64) error { return d.limit(1, room) }

// Unlimit gives the disk room for everything.
func (d *Disk) Unlimit() error { return d.limit(0, 0) }

func (d *Disk) limit(limited, room int64) error {
	var b [16]byte
	binary.NativeEndian.PutUint64(b[atLimited:], uint64(limited))
	binary.NativeEndian.PutUint64(b[atRoom:], uint64(room))
	_, err := d.control.WriteAt(b[:], 0)
	return err
}

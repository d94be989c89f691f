// Package capped tries inputs that could kill the process they are tried in: each goes to a child
// that may use little memory and has little time, and whatever the child does but answer is a
// failure that names the input.
//
// The child is the test binary itself. A package's TestMain calls [Main] with what is to be done with
// an input; its tests and fuzz targets call [Try]. Children live on from one input to the next and are
// fed over a pipe; one that died is replaced. A crash that no recover can catch, such as a stack without an end
// or an allocation of a terabyte, so fails one input and leaves the fuzzer, its corpus and the other tests alone.
package capped

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"
)

// Limits of a child.
const (
	// Memory is how much a child may allocate over what it needs to start.
	Memory = 512 << 20
	// Stack is how deep a goroutine of a child may recurse, in bytes. The runtime's own limit is sixteen times
	// this: what needs more than a sixteenth of it is on its way to the end.
	Stack = 64 << 20
	// Patience is how long a child may think about one input. It is far above what any input within the limits of
	// the language takes, on a busy machine too.
	Patience = 30 * time.Second

	soft     = 256 << 20 // where the collector begins to work hard
	maxInput = 8 << 20
	variable = "PLAYBOOKD_CAPPED"
)

// Do works on an input and says in a word or two how it ended. A panic ends the child.
type Do func(input []byte) string

// Main runs a package's tests, or is a child that works on inputs until its parent goes away.
func Main(m *testing.M, do map[string]Do) {
	name := os.Getenv(variable)
	if name == "" {
		os.Exit(m.Run())
	}
	debug.SetMemoryLimit(soft)
	debug.SetMaxStack(Stack)
	if err := limit(Memory); err != nil {
		fmt.Fprintln(os.Stderr, "capped:", err)
		os.Exit(2)
	}
	if err := serve(os.Stdin, os.Stdout, do[name]); err != nil {
		fmt.Fprintln(os.Stderr, "capped:", err)
		os.Exit(2)
	}
	os.Exit(0)
}

// serve answers inputs until there are no more.
func serve(in io.Reader, out io.Writer, do Do) error {
	if do == nil {
		return errors.New("the child does not know what to do")
	}
	r := bufio.NewReader(in)
	for {
		input, err := receive(r)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := send(out, []byte(do(input))); err != nil {
			return err
		}
	}
}

func send(w io.Writer, text []byte) error {
	_, err := w.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(text))), text...))
	return err
}

func receive(r io.Reader) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > maxInput {
		return nil, fmt.Errorf("a message of %d bytes", n)
	}
	text := make([]byte, n)
	_, err := io.ReadFull(r, text)
	return text, err
}

// child is a process that waits for an input.
type child struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Reader
	stderr *lament
}

// idle holds the children that wait, by what they do.
var idle = struct {
	sync.Mutex
	children map[string][]*child
}{children: map[string][]*child{}}

// Try gives an input to a child that does what Main was given under this name, and returns how it ended. A child
// that dies or thinks for too long fails the test.
func Try(t testing.TB, name string, input []byte) string {
	t.Helper()
	end, err := try(name, input, Patience)
	if err != nil {
		t.Fatalf("%s: %v\ninput of %d bytes: %.2000q", name, err, len(input), input)
	}
	return end
}

func try(name string, input []byte, patience time.Duration) (string, error) {
	c, err := take(name)
	if err != nil {
		return "", err
	}
	slow := time.AfterFunc(patience, func() { _ = c.cmd.Process.Kill() })
	err = send(c.in, input)
	var end []byte
	if err == nil {
		end, err = receive(c.out)
	}
	inTime := slow.Stop()
	if err != nil {
		return "", c.autopsy(inTime, patience)
	}
	if inTime {
		idle.Lock()
		defer idle.Unlock()
		idle.children[name] = append(idle.children[name], c)
	}
	return string(end), nil
}

// take finds a waiting child or starts one.
func take(name string) (*child, error) {
	idle.Lock()
	defer idle.Unlock()
	if waiting := idle.children[name]; len(waiting) > 0 {
		idle.children[name] = waiting[:len(waiting)-1]
		return waiting[len(waiting)-1], nil
	}
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &child{cmd: exec.Command(exe), stderr: &lament{}}
	c.cmd.Env = append(os.Environ(), variable+"="+name, "GOTRACEBACK=single")
	c.cmd.Stderr = c.stderr
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	c.out = bufio.NewReader(out)
	return c, c.cmd.Start()
}

// autopsy says what a child died of.
func (c *child) autopsy(inTime bool, patience time.Duration) error {
	_ = c.in.Close()
	_ = c.cmd.Process.Kill() // it may live on with a broken pipe
	err := c.cmd.Wait()
	if !inTime {
		return fmt.Errorf("no end within %v", patience)
	}
	return fmt.Errorf("the child died (%w): %s", err, c.stderr.first())
}

// lament keeps the beginning of what a dying process says.
type lament struct{ bytes.Buffer }

func (t *lament) Write(p []byte) (int, error) {
	if room := 4<<10 - t.Len(); room > 0 {
		t.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

func (t *lament) first() string { return strings.TrimSpace(t.String()) }

// Package testsite is what tests of the whole daemon begin with: a Graph simulator over HTTPS, and beside it a directory
// with a configuration, as package sandbox writes it for people. What a suite wants besides, it writes into the directory.
package testsite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/playbookd/playbookd/graph/simulator"
	"github.com/playbookd/playbookd/internal/sandbox"
)

// Site is a simulator with a daemon's directory.
type Site struct {
	Sim  *simulator.Server
	Dir  string
	File string // the configuration in it

	t testing.TB
}

// Options says what a site is like besides its simulator.
type Options struct {
	simulator.Options
	// Hasty makes playbooks look often: see [sandbox.Site].
	Hasty bool
	// Listen is the address of the daemon's listener; "": any that is free, which only the daemon knows.
	Listen string
}

// New makes a site that ends with the test.
func New(t testing.TB, o Options) *Site {
	t.Helper()
	s := &Site{t: t, Dir: t.TempDir()}
	var err error
	if s.Sim, err = simulator.New(o.Options); err != nil {
		t.Fatal(err)
	}
	l, err := s.Sim.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	s.File, err = sandbox.Write(s.Dir, sandbox.Site{URL: l.URL, CA: l.CA, Hasty: o.Hasty,
		Tenant: simulator.DefaultTenant, Client: simulator.DefaultClient, Secret: simulator.DefaultSecret})
	if err != nil {
		t.Fatal(err)
	}
	if o.Listen == "" {
		o.Listen = "127.0.0.1:0"
	}
	s.Edit(sandbox.ConfigName, "listen: 127.0.0.1:8484", "listen: "+o.Listen)
	return s
}

// Write writes a file of the directory.
func (s *Site) Write(name, text string) {
	s.t.Helper()
	if err := os.MkdirAll(filepath.Dir(filepath.Join(s.Dir, name)), 0o700); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.Dir, name), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// Edit replaces a text in a file, which must be there.
func (s *Site) Edit(name, old, with string) {
	s.t.Helper()
	text, err := os.ReadFile(filepath.Join(s.Dir, name))
	if err != nil || !strings.Contains(string(text), old) {
		s.t.Fatalf("%s does not hold %q (%v)", name, old, err)
	}
	s.Write(name, strings.Replace(string(text), old, with, 1))
}

// Configure puts lines in front of the configuration.
func (s *Site) Configure(lines string) {
	s.t.Helper()
	s.Edit(sandbox.ConfigName, "data: data\n", "data: data\n"+lines)
}

// Use replaces all playbooks.
func (s *Site) Use(playbooks ...string) {
	s.t.Helper()
	files, err := filepath.Glob(filepath.Join(s.Dir, "playbooks", "*.yaml"))
	if err != nil {
		s.t.Fatal(err)
	}
	for _, f := range files {
		if err := os.Remove(f); err != nil {
			s.t.Fatal(err)
		}
	}
	for i, text := range playbooks {
		s.Write(fmt.Sprintf("playbooks/p%d.yaml", i), text)
	}
}

// FreeAddr is an address that nobody listens on, and that nobody else is given until the test ends.
func FreeAddr(t testing.TB) string {
	t.Helper()
	addr, release, err := Reserve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	return addr
}

// Reserve is [FreeAddr] without a test. What holds the address is a connection that was accepted on it: no system gives its
// port to who asks for any, whoever names it can listen there, also again and again, and until then it is refused.
func Reserve(ctx context.Context) (addr string, release func(), err error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	defer l.Close()
	addr = l.Addr().String()
	near, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return "", nil, err
	}
	far, err := l.Accept()
	if err != nil {
		return "", nil, errors.Join(err, near.Close())
	}
	return addr, func() { _, _ = far.Close(), near.Close() }, nil
}

// Lines collects what a daemon says, from any goroutine.
type Lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write implements [io.Writer].
func (l *Lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

// String is all of it so far.
func (l *Lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

//go:build unix

package testsite_test

import (
	"context"
	"errors"
	"net"
	"syscall"
	"testing"

	"github.com/playbookd/playbookd/internal/testsite"
)

// asAny binds as the system does for who asks for any port: not where somebody else is.
var asAny = net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
	return errors.Join(c.Control(func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 0) }), err)
}}

func TestAFreeAddressIsNobodyElsesAndADaemonCanListenThereAgainAndAgain(t *testing.T) {
	t.Parallel()
	addr := testsite.FreeAddr(t)
	taken := func() {
		t.Helper()
		if l, err := asAny.Listen(context.Background(), "tcp", addr); !errors.Is(err, syscall.EADDRINUSE) {
			t.Fatalf("somebody else listens on it: %v, %v", l, err)
		}
	}
	for range 3 {
		taken()
		if _, err := net.Dial("tcp", addr); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Fatalf("nobody listens, and a connection says %v", err)
		}
		l, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = c.Close(), l.Close()
	}
	taken()
}

//go:build linux && !race

package capped

import (
	"fmt"
	"os"
	"strings"
	"syscall"
)

// limit caps the address space of this process at what it has now and n bytes more.
func limit(n uint64) error {
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return err
	}
	var pages uint64
	if _, err := fmt.Fscan(strings.NewReader(string(statm)), &pages); err != nil {
		return err
	}
	most := pages*uint64(os.Getpagesize()) + n
	return syscall.Setrlimit(syscall.RLIMIT_AS, &syscall.Rlimit{Cur: most, Max: most})
}

//go:build !linux || race

package capped

import (
	"fmt"
	"os"
	"runtime"
	"time"
)

// limit ends this process soon after it holds n bytes more than now: the race detector needs more address space
// than could be capped, and other systems have no such cap.
func limit(n uint64) error {
	held := func() uint64 {
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		return s.HeapAlloc + s.StackInuse
	}
	most := held() + n
	go func() {
		for range time.Tick(20 * time.Millisecond) {
			if held() > most {
				fmt.Fprintln(os.Stderr, "out of memory: the cap is reached")
				os.Exit(2)
			}
		}
	}()
	return nil
}

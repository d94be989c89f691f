package capped

import (
	"strings"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	Main(m, map[string]Do{"mixed": mixed})
}

// mixed does what it is told to, and most of that kills.
func mixed(input []byte) string {
	switch string(input) {
	case "memory":
		var all [][]byte
		for {
			all = append(all, make([]byte, 1<<20))
			all[0][0]++
		}
	case "at once":
		return string(make([]byte, len(input)<<40))
	case "stack":
		return string(make([]byte, dive(0)))
	case "think":
		time.Sleep(time.Hour)
	case "panic":
		panic("an odd input")
	}
	return "did " + string(input)
}

func dive(n int) int { return dive(n+1) + 1 } //nolint:staticcheck // on purpose: it shall kill the process

func TestAnInputThatKillsIsReportedAndKillsNobodyElse(t *testing.T) {
	t.Parallel()
	for input, want := range map[string]string{
		"memory": "out of memory", "at once": "out of", "stack": "stack", "panic": "an odd input",
	} {
		if end, err := try("mixed", []byte(input), Patience); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %q, %v", input, end, err)
		}
		if end, err := try("mixed", []byte("work"), Patience); err != nil || end != "did work" {
			t.Errorf("after %s: %q, %v", input, end, err)
		}
	}
}

func TestAnInputThatNeverEndsIsReported(t *testing.T) {
	t.Parallel()
	if _, err := try("mixed", []byte("think"), 200*time.Millisecond); err == nil || !strings.Contains(err.Error(), "no end within") {
		t.Error(err)
	}
}

func TestAChildWithNothingToDoSaysSo(t *testing.T) {
	t.Parallel()
	if _, err := try("nothing", []byte("x"), Patience); err == nil || !strings.Contains(err.Error(), "does not know") {
		t.Error(err)
	}
}

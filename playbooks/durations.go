package playbooks

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ParseDuration reads a duration as playbooks write it: whole numbers with a unit, the largest
// unit first and each unit once, as in 30s, 5m, 1h30m or 7d. It is stricter than Go's own
// notation: "0.5h", "-1m" and "90" are refused.
func ParseDuration(s string) (time.Duration, error) {
	if s == "" {
		return 0, fmt.Errorf("it is empty")
	}
	var (
		total time.Duration
		last  = time.Duration(1<<63 - 1)
		rest  = s
	)
	for rest != "" {
		digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
		if digits == 0 {
			return 0, fmt.Errorf("%q is not a whole number with a unit", s)
		}
		letters := len(rest[digits:]) - len(strings.TrimLeft(rest[digits:], "abcdefghijklmnopqrstuvwxyz"))
		unit, ok := durationUnit(rest[digits : digits+letters])
		if !ok {
			return 0, fmt.Errorf("%q has a number without a unit that is known (ms, s, m, h, d)", s)
		}
		if unit >= last {
			return 0, fmt.Errorf("the units of %q are not in order, from the largest to the smallest", s)
		}
		n, err := strconv.ParseInt(rest[:digits], 10, 64)
		if err != nil || n > int64(1<<63-1-total)/int64(unit) {
			return 0, fmt.Errorf("%q is too long a time", s)
		}
		total += time.Duration(n) * unit
		last, rest = unit, rest[digits+letters:]
	}
	return total, nil
}

func durationUnit(name string) (time.Duration, bool) {
	switch name {
	case "ms":
		return time.Millisecond, true
	case "s":
		return time.Second, true
	case "m":
		return time.Minute, true
	case "h":
		return time.Hour, true
	case "d":
		return 24 * time.Hour, true
	}
	return 0, false
}

// FormatDuration writes a duration so that ParseDuration reads it: "90s" is "1m30s", 48 hours
// are "2d".
func FormatDuration(d time.Duration) string {
	if d < time.Millisecond {
		return "0s"
	}
	var b strings.Builder
	for _, unit := range []string{"d", "h", "m", "s", "ms"} {
		size, _ := durationUnit(unit)
		if n := d / size; n > 0 {
			fmt.Fprintf(&b, "%d%s", n, unit)
			d -= n * size
		}
	}
	return b.String()
}

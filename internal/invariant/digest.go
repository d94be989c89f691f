package invariant

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/playbookd/playbookd/engine"
)

// Times says what a digest makes of times.
type Times bool

// With a simulated clock times are part of what must be the same. With the wall clock they are left
// out, and so is all that is made from them: the ids of runs, keys, request ids.
const (
	WithTimes    Times = true
	WithoutTimes Times = false
)

// Digest sums up a journal: events, decisions, runs and histories. Two journals with the same digest
// say the same. The order in which independent things were recorded makes no difference: neither
// that of events and runs, nor that of the steps of one run that were in progress together.
func Digest(ctx context.Context, j Journal, times Times) (string, error) {
	var sum [4]uint64 // sums of hashes, so that nothing has to be sorted or kept
	count := 0
	add := func(line string) {
		if times == WithoutTimes {
			line = timeless(line)
		}
		h := sha256.Sum256([]byte(line))
		for i := range sum {
			sum[i] += binary.LittleEndian.Uint64(h[8*i:])
		}
		count++
	}
	if err := Lines(ctx, j, add); err != nil {
		return "", err
	}
	h := sha256.New()
	fmt.Fprint(h, count, sum)
	return "sha256:" + hex.EncodeToString(h.Sum(nil)), nil
}

// Lines hands out what a digest is made of, a line for each event, decision and run, so that two
// journals that differ can be compared.
func Lines(ctx context.Context, j Journal, f func(line string)) error {
	err := j.EachEvent(ctx, func(ev engine.Event) error {
		decisions, err := j.Decisions(ctx, ev.ID)
		if err != nil {
			return err
		}
		f("event " + line(ev))
		for _, m := range decisions {
			f("decision " + line(ev.ID) + " " + line(m))
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("digest: %w", err)
	}
	err = j.EachRun(ctx, func(r engine.Run) error {
		l, err := j.Load(ctx, r.ID)
		if err != nil {
			return err
		}
		// Within a path the order stands; between paths it is left to who came first.
		slices.SortStableFunc(l.Entries, func(a, b engine.Entry) int { return cmp.Compare(a.Path, b.Path) })
		var b strings.Builder
		b.WriteString("run " + line(l.Run))
		for _, e := range l.Entries {
			e.Seq = 0
			b.WriteString("\n\t" + line(e))
		}
		f(b.String())
		return nil
	})
	if err != nil {
		return fmt.Errorf("digest: %w", err)
	}
	return nil
}

func line(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		return err.Error() // an entry that is not JSON differs from one that is
	}
	return string(raw)
}

var (
	moments = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)`)
	derived = regexp.MustCompile(`\br[0-9a-v]{16}\b|\b[0-9a-f]{24}\b|\b[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}\b|\[playbookd [0-9a-f]{12}\]`)
)

// timeless takes out times, and the ids of runs, keys, request ids and markers, which are made from
// the ids of events and so from times.
func timeless(line string) string {
	return derived.ReplaceAllString(moments.ReplaceAllString(line, "TIME"), "ID")
}

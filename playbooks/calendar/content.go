package calendar

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"
)

// content is a calendar written out: days as days since 1970, hours as seconds since midnight.
type content struct {
	Zone       string            `json:"timezone"`
	Week       [7][][2]int       `json:"week"` // from Sunday
	Holidays   []date            `json:"holidays,omitempty"`
	Exceptions map[date][][2]int `json:"exceptions,omitempty"` // JSON orders them
}

func pairsOf(list []span) [][2]int {
	pairs := make([][2]int, 0, len(list))
	for _, s := range list {
		pairs = append(pairs, [2]int{s.from, s.to})
	}
	return pairs
}

// seal gives a calendar its content and digest when all of it is known.
func (c *Calendar) seal() {
	out := content{Zone: c.Zone.String(), Holidays: slices.Sorted(maps.Keys(c.holidays))}
	for day, spans := range c.week {
		out.Week[day] = pairsOf(spans)
	}
	for day, spans := range c.own {
		if out.Exceptions == nil {
			out.Exceptions = map[date][][2]int{}
		}
		out.Exceptions[day] = pairsOf(spans)
	}
	c.content, _ = json.Marshal(out) // plain types of our own can't fail
	sum := sha256.Sum256(c.content)
	c.Digest = "sha256:" + hex.EncodeToString(sum[:])
}

// Content is the calendar written out, for [Restore]. It must not be changed.
func (c *Calendar) Content() []byte { return c.content }

// Restore makes a calendar of its content.
func Restore(name string, raw []byte) (*Calendar, error) {
	var in content
	if err := json.Unmarshal(raw, &in); err != nil {
		return nil, fmt.Errorf("recorded calendar %s: %w", name, err)
	}
	zone, err := time.LoadLocation(in.Zone)
	if err != nil {
		return nil, fmt.Errorf("recorded calendar %s: %w", name, err)
	}
	c := &Calendar{Name: name, Zone: zone, holidays: map[date]bool{}, own: map[date][]span{}}
	for day, pairs := range in.Week {
		if c.week[day], err = spansOf(pairs); err != nil {
			return nil, fmt.Errorf("recorded calendar %s: %w", name, err)
		}
	}
	for _, day := range in.Holidays {
		c.holidays[day] = true
	}
	for day, pairs := range in.Exceptions {
		if c.own[day], err = spansOf(pairs); err != nil {
			return nil, fmt.Errorf("recorded calendar %s: %w", name, err)
		}
	}
	c.seal()
	return c, nil
}

func spansOf(pairs [][2]int) ([]span, error) {
	var list []span
	last := 0
	for _, p := range pairs {
		if p[0] < last || p[1] <= p[0] || p[1] > secondsPerDay {
			return nil, fmt.Errorf("%d to %d are no hours of a day", p[0], p[1])
		}
		list, last = append(list, span{p[0], p[1]}), p[1]
	}
	return list, nil
}

package store

import (
	"math"
	"time"
)

// noMoment stands for the zero time, which is not within the range of nanoseconds.
const noMoment = math.MinInt64

// maxSeconds is where nanoseconds since 1970 end: in the years 1677 and 2262.
const maxSeconds = math.MaxInt64 / int64(time.Second)

// stamp is a time as it is stored. One outside of the range becomes the nearest that can be
// stored: a source that dates an alert to the year 9999 must not be able to block all others.
func stamp(t time.Time) int64 {
	switch s := t.Unix(); {
	case t.IsZero():
		return noMoment
	case s >= maxSeconds:
		return math.MaxInt64
	case s <= -maxSeconds:
		return noMoment + 1
	}
	return t.UnixNano()
}

// moment is the time that stamp stored.
func moment(n int64) time.Time {
	if n == noMoment {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}

// optional is a stamp for a column that is empty for the zero time.
func optional(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return stamp(t)
}

func optionalMoment(n *int64) time.Time {
	if n == nil {
		return time.Time{}
	}
	return moment(*n)
}

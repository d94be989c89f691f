package graph

import (
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Query chooses what a listing returns. The zero value asks for everything in pages of the
// service's own size.
type Query struct {
	Filter  string // $filter, OData; see [Literal] and [Timestamp]
	OrderBy string // $orderby; undocumented for alerts: don't rely on the order
	Top     int    // size of a page, at most MaxTop; 0 leaves it to the service
	Skip    int    // rows to leave out
	Expand  string // $expand; incidents know alerts
	Select  string // $select; id is added when it is missing

	OnPage func() // called for each page that arrived; nil: nobody wants to know
}

// check says what is wrong with a query.
func (q Query) check() string {
	switch {
	case q.Top < 0 || q.Top > MaxTop:
		return "top must be between 0 and " + strconv.Itoa(MaxTop)
	case q.Skip < 0:
		return "skip must not be negative"
	}
	return ""
}

// encode writes the query string: blanks as %20, the option names with their dollar sign.
func (q Query) encode() string {
	var parts []string
	add := func(name, value string) {
		if value != "" {
			parts = append(parts, name+"="+escape(value))
		}
	}
	add("$filter", q.Filter)
	add("$orderby", q.OrderBy)
	add("$select", withID(q.Select))
	add("$expand", q.Expand)
	if q.Top > 0 {
		add("$top", strconv.Itoa(q.Top))
	}
	if q.Skip > 0 {
		add("$skip", strconv.Itoa(q.Skip))
	}
	return strings.Join(parts, "&")
}

// withID adds the id to a selection: without it nobody could tell rows apart.
func withID(fields string) string {
	if fields == "" {
		return ""
	}
	for f := range strings.SplitSeq(fields, ",") {
		if strings.TrimSpace(f) == "id" {
			return fields
		}
	}
	return "id," + fields
}

func escape(value string) string {
	return strings.ReplaceAll(url.QueryEscape(value), "+", "%20")
}

// Literal writes a text as an OData literal: in single quotes, quotes inside doubled.
func Literal(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// Timestamp writes a time as an OData literal: bare, UTC, to the 100 nanoseconds that Graph knows.
func Timestamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.0000000Z") }

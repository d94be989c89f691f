package graph

import (
	"context"
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// HuntingQuery is a question to advanced hunting.
type HuntingQuery struct {
	Query string // KQL; text from outside has to be quoted before it is part of it
	// Timespan bounds the time that is looked at, in the forms of ISO 8601: start/end, P30D, start/duration,
	// duration/end. Empty: what the query says itself, at most 30 days.
	Timespan string
}

// HuntingColumn is a column of the answer.
type HuntingColumn struct {
	Name string `json:"name"`
	Type string `json:"type"` // String, DateTime, Long and so on, as Graph writes them
}

// HuntingResult is the answer to a query.
type HuntingResult struct {
	Schema []HuntingColumn
	Rows   []json.RawMessage // each an object, by the names of the columns
}

// RunHuntingQuery asks advanced hunting. It changes nothing. Everything that is wrong with a query is an
// [Error] of kind invalid with the words of the query engine: a syntax error, and an unknown table as well.
// An exhausted quota of computing time is a pause, like any other refusal for being too much.
func (c *Client) RunHuntingQuery(ctx context.Context, q HuntingQuery) (HuntingResult, error) {
	if wrong := q.check(); wrong != "" {
		return HuntingResult{}, c.invalid(opRunHunting, wrong)
	}
	body := map[string]any{"Query": q.Query}
	if q.Timespan != "" {
		body["Timespan"] = q.Timespan
	}
	call, err := c.newCall(opRunHunting, "", "", body)
	if err != nil {
		return HuntingResult{}, err
	}
	var answer struct {
		Schema  list[HuntingColumn] `json:"schema"`
		Results *[]json.RawMessage  `json:"results"`
	}
	if err := c.do(ctx, call, &answer); err != nil {
		return HuntingResult{}, err
	}
	if answer.Results == nil { // taking anything else for "nothing found" would hide a hit
		return HuntingResult{}, c.broken(opRunHunting, "the answer holds no results")
	}
	return HuntingResult{Schema: answer.Schema, Rows: *answer.Results}, nil
}

// check says what is wrong with a query, as far as that can be known here.
func (q HuntingQuery) check() string {
	switch {
	case strings.TrimSpace(q.Query) == "":
		return "the query is empty"
	case utf8.RuneCountInString(q.Query) > MaxQueryLength:
		return "the query is longer than 65536 characters: shorten it, or put less into its lists"
	}
	return ""
}

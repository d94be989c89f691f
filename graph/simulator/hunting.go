package simulator

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Limits of hunting.
const (
	huntingWindow   = time.Minute
	cpuWindow       = 15 * time.Minute
	maxHuntingBytes = 16 << 20
	maxHuntingRows  = 100_000 // of one answer, as the service has it
	maxAnswers      = 1000
)

// Hunting is what advanced hunting finds, and how much of it a tenant may ask for. Queries are not understood:
// the first answer whose Query occurs in the query that was asked is given, and none finds nothing.
type Hunting struct {
	Answers   []HuntingAnswer
	PerMinute int           // queries of a tenant in a minute; beyond them 429. 0: any number
	CPU       time.Duration // computing time of a tenant in a quarter of an hour; when it is used up, 429. 0: any
}

// HuntingAnswer is the answer to some queries.
type HuntingAnswer struct {
	Query  string // a part of them, without regard to case; empty: every query
	Schema []Column
	Rows   []Document
	Error  string        // instead of an answer: what the query engine complains of, as 400
	CPU    time.Duration // what it costs
}

// Column is a column of an answer.
type Column struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

func (h Hunting) check() error {
	if h.PerMinute < 0 || h.CPU < 0 {
		return errors.New("hunting: a quota is negative: use 0 for none")
	}
	if len(h.Answers) > maxAnswers {
		return fmt.Errorf("hunting: %d answers: at most %d are allowed", len(h.Answers), maxAnswers)
	}
	for i, a := range h.Answers {
		switch {
		case a.Error != "" && len(a.Rows)+len(a.Schema) > 0:
			return fmt.Errorf("hunting answer %d: an error has neither schema nor rows", i+1)
		case len(a.Rows) > maxHuntingRows:
			return fmt.Errorf("hunting answer %d: %d rows: the service gives at most %d", i+1, len(a.Rows), maxHuntingRows)
		case a.CPU < 0:
			return fmt.Errorf("hunting answer %d: cpu is negative", i+1)
		}
	}
	return nil
}

// answerFile is the JSON form of a HuntingAnswer.
type answerFile struct {
	Query  string     `json:"query"`
	Schema []Column   `json:"schema"`
	Rows   []Document `json:"rows"`
	Error  string     `json:"error"`
	CPU    string     `json:"cpu"`
}

// ParseHunting reads answers: a JSON array of objects with the fields of [HuntingAnswer] in camelCase, cpu as text
// such as "2s". A schema that is left out is made from the first row.
func ParseHunting(r io.Reader) ([]HuntingAnswer, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxHuntingBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read hunting answers: %w", err)
	}
	if len(data) > maxHuntingBytes {
		return nil, fmt.Errorf("the hunting answers are larger than %d bytes: give fewer rows", maxHuntingBytes)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	dec.UseNumber()
	var files []answerFile
	if err := dec.Decode(&files); err != nil {
		return nil, fmt.Errorf("hunting answers are a JSON array of objects with query, schema, rows, error, cpu: %w", jsonError(data, err))
	}
	h := Hunting{}
	for i, f := range files {
		a := HuntingAnswer{Query: f.Query, Schema: f.Schema, Rows: f.Rows, Error: f.Error}
		if f.CPU != "" {
			if a.CPU, err = time.ParseDuration(f.CPU); err != nil {
				return nil, fmt.Errorf("hunting answer %d: cpu %q is not a duration: write it like \"2s\"", i+1, f.CPU)
			}
		}
		h.Answers = append(h.Answers, a)
	}
	return h.Answers, h.check()
}

// columns are those of the answer, or what its first row shows.
func (a HuntingAnswer) columns() []Column {
	if a.Schema != nil || len(a.Rows) == 0 {
		return append([]Column{}, a.Schema...)
	}
	var out []Column
	for name, value := range a.Rows[0] {
		kind := "String"
		switch value.(type) {
		case bool:
			kind = "SByte" // as the service calls a truth value
		case json.Number, float64, int:
			kind = "Int64"
		case map[string]any, []any:
			kind = "Object"
		}
		if !strings.Contains(name, "@") {
			out = append(out, Column{name, kind})
		}
	}
	slices.SortFunc(out, func(a, b Column) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func runHuntingQuery(x *exchange) (reply, error) {
	if limit := x.s.opts.Hunting.PerMinute; limit > 0 {
		if err := x.count("hunting", limit, huntingWindow); err != nil {
			return reply{}, err
		}
	}
	query, err := x.huntingQuery()
	if err != nil {
		return reply{}, err
	}
	answer := x.s.hunted(query)
	if err := x.compute(answer.CPU); err != nil {
		return reply{}, err
	}
	if answer.Error != "" {
		return reply{}, refuse(http.StatusBadRequest, "%s", answer.Error)
	}
	rows := make([]any, len(answer.Rows))
	for i, row := range answer.Rows {
		rows[i] = row.clone()
	}
	return x.json(http.StatusOK, nil, map[string]any{
		"@odata.context": x.base() + "/$metadata#microsoft.graph.security.huntingQueryResults",
		"schema":         answer.columns(), "results": rows,
	}), nil
}

// huntingQuery reads the body. Capital letters are the published form; the others are said to work.
func (x *exchange) huntingQuery() (string, error) {
	body, err := x.bodyObject()
	if err != nil {
		return "", err
	}
	var query, span string
	for name, value := range body {
		text, isText := value.(string)
		switch strings.ToLower(name) {
		case "query":
			query = text
		case "timespan":
			span = text
		case "workspaceid": // one that nobody knows falls back to the default, without a word
		default:
			if err := x.unwanted(name); err != nil {
				return "", err
			}
		}
		if !isText && value != nil {
			return "", refuse(http.StatusBadRequest, "The value of '%s' must be a string.", name)
		}
	}
	if strings.TrimSpace(query) == "" {
		return "", refuse(http.StatusBadRequest, "The query is empty.")
	}
	if span != "" && !isTimespan(span) {
		return "", refuse(http.StatusBadRequest, "The timespan '%s' is not valid.", span)
	}
	return query, nil
}

var isoDuration = regexp.MustCompile(`^P(\d+W|(\d+D)?(T(\d+H)?(\d+M)?(\d+S)?)?)$`)

// isTimespan tells whether a text is one of the forms of a time span: start/end, a duration, both mixed, or a start.
func isTimespan(text string) bool {
	parts := strings.Split(text, "/")
	durations := 0
	for _, part := range parts {
		if isoDuration.MatchString(part) && strings.ContainsAny(part, "0123456789") {
			durations++
			continue
		}
		_, err := time.Parse(time.RFC3339Nano, part)
		if _, dateErr := time.Parse(time.DateOnly, part); err != nil && dateErr != nil {
			return false
		}
	}
	return len(parts) <= 2 && durations < 2
}

// hunted finds the answer to a query.
func (s *Server) hunted(query string) HuntingAnswer {
	for _, a := range s.opts.Hunting.Answers {
		if strings.Contains(strings.ToLower(query), strings.ToLower(a.Query)) {
			return a
		}
	}
	return HuntingAnswer{}
}

// compute charges computing time. What is used up stays so until the quarter of an hour is over.
func (x *exchange) compute(cost time.Duration) error {
	quota := x.s.opts.Hunting.CPU
	if quota == 0 {
		return nil
	}
	w := x.window("cpu", cpuWindow)
	if w.spent >= quota {
		return w.refuse(x.now, cpuWindow)
	}
	w.spent += cost
	return nil
}

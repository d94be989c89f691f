// Package hunting holds the action on advanced hunting: a question in KQL over what Defender has
// stored, and its answer as rows.
//
// Two promises beyond those of package actions: what does not fit into an output is left out
// visibly (more), never in silence; and a question that the query engine refuses fails the step
// with the engine's words, because an empty answer would look like good news.
package hunting

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/actions/security"
	"github.com/playbookd/playbookd/graph"
)

// Limits of an answer: an output is stored with the run.
const (
	DefaultRows  = 100
	MaxRows      = 1000
	MaxRowsBytes = 1 << 20 // of all rows together, as JSON
)

// Graph is what the action needs of a Graph client.
type Graph interface {
	RunHuntingQuery(ctx context.Context, q graph.HuntingQuery) (graph.HuntingResult, error)
}

// Open finds the client for a tenant.
type Open = security.Open[Graph]

// Actions lists the actions of this package. With a nil open they can be described and checked,
// and fail when they are done.
func Actions(open Open) []actions.Action { return []actions.Action{family{open}.run()} }

type family struct{ open Open }

// runInput is the input of hunting.run.
type runInput struct {
	Query    string `json:"query" play:"min=1;max=65536;format=kql;example=DeviceInfo | where DeviceName =~ 'ws-14' | take 10;doc=The question, in KQL. Text from outside must go through kql()."`
	Timespan string `json:"timespan,omitempty" play:"max=100;example=P7D;doc=The time that is looked at, in ISO 8601: P7D, PT12H, start/end, start/duration. Left out, what the query says, at most 30 days."`
	Top      int    `json:"top,omitempty" play:"min=1;max=1000;default=100;doc=How many rows at most. The query may have a limit of its own."`
}

// runOutput is the output of hunting.run.
type runOutput struct {
	Rows   []json.RawMessage `json:"rows" play:"doc=The rows, each an object by the names of the columns."`
	Schema []column          `json:"schema" play:"doc=The columns."`
	Count  int               `json:"count" play:"doc=How many rows there are in the list."`
	More   bool              `json:"more" play:"doc=Whether more rows were found than are in the list: top was reached, or 1 MiB."`
}

type column struct {
	Name string `json:"name" play:"doc=The name."`
	Type string `json:"type" play:"doc=The type, as Graph writes it: String, DateTime, Int64."`
}

func (f family) run() actions.Action {
	return actions.Define(actions.Spec{
		Name:    "hunting.run",
		Summary: "Asks advanced hunting a question in KQL.",
		Description: "It changes nothing, so a run that only watches asks as well. A query may take Defender three minutes: " +
			"give the step a timeout of 200s if it is a large one. The columns are known when the answer is there, " +
			"so expressions about rows are not checked against them at load.",
		Example: `- id: logons
  action: hunting.run
  with:
    query: >-
      DeviceLogonEvents
      | where DeviceName in~ (${{ kql(map(devices(alert), .name)) }})
      | summarize Logons = count() by AccountUpn
    timespan: P1D
  timeout: 200s`,
	}, actions.Doing[runInput, runOutput]{
		Part:    actions.Part{Name: "run", Effect: actions.Reads, Summary: "POST of the query.", Permissions: []string{security.Hunt}},
		Do:      f.do,
		Preview: func(runInput) runOutput { return runOutput{Rows: []json.RawMessage{}, Schema: []column{}} },
	})
}

func (f family) do(ctx context.Context, call actions.Call, in runInput) (runOutput, error) {
	g, err := f.open.For(call)
	if err != nil {
		return runOutput{}, err
	}
	found, err := g.RunHuntingQuery(security.Writing(ctx, call), graph.HuntingQuery{Query: in.Query, Timespan: in.Timespan})
	if err != nil {
		return runOutput{}, err
	}
	if in.Top == 0 {
		in.Top = DefaultRows
	}
	out := runOutput{Rows: []json.RawMessage{}, Schema: []column{}}
	for _, c := range found.Schema {
		out.Schema = append(out.Schema, column(c))
	}
	size := 0
	for _, raw := range found.Rows {
		row, err := plain(raw)
		if err != nil {
			return runOutput{}, err
		}
		if size += len(row); len(out.Rows) == in.Top || size > MaxRowsBytes {
			out.More = true
			break
		}
		out.Rows = append(out.Rows, row)
	}
	out.Count = len(out.Rows)
	return out, nil
}

// plain is a row without the notes about types that the service may put beside columns.
func plain(raw json.RawMessage) (json.RawMessage, error) {
	var row map[string]json.RawMessage
	if err := json.Unmarshal(raw, &row); err != nil || row == nil {
		return nil, actions.Failf(graph.CodeProtocol, "a row of the answer is not an object")
	}
	for name := range row {
		if strings.HasSuffix(name, "@odata.type") {
			delete(row, name)
		}
	}
	return json.Marshal(row)
}

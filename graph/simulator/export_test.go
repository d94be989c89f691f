package simulator

import (
	"io"
	"maps"
	"slices"
)

// Table is a resource as the contract tests compare it with the schema.
type Table struct {
	Segment    string
	Properties map[string][]string // enum members, nil for other properties
	Filterable []string
}

func Tables() map[string]Table {
	out := map[string]Table{}
	for kind, res := range map[string]*resource{"alert": alertResource(), "incident": incidentResource(),
		"machine": machineResource(), "machineAction": machineActionResource()} {
		table := Table{Segment: res.segment, Properties: map[string][]string{}}
		for _, name := range slices.Sorted(maps.Keys(res.properties)) {
			table.Properties[name] = res.properties[name].members
			if res.properties[name].filterable {
				table.Filterable = append(table.Filterable, name)
			}
		}
		out[kind] = table
	}
	return out
}

func Gated() map[string][]string { return gated }

func CorrelationReasons() []string { return correlationReasons }

type Route struct {
	Method, Path string
	Roles        []string
}

func Routes() []Route {
	var out []Route
	for _, r := range routes() {
		out = append(out, Route{r.method, r.path, r.roles})
	}
	return out
}

func Glob(pattern, text string) bool { return glob(pattern, text) }

// LoadWithin is Load with smaller limits.
func LoadWithin(r io.Reader, bytes int64, documents int) (Documents, error) {
	return load(r, loadLimits{bytes, documents})
}

const (
	MaxRequestLog  = maxRequestLog
	MaxClientReqID = maxClientReqID
	MaxTokenBytes  = maxTokenBytes
	MaxFaultBytes  = maxFaultBytes
	MaxFaults      = maxFaults
	MaxFaultDelay  = maxFaultDelay
	MaxBodyBytes   = maxBodyBytes
	MaxCorrelated  = maxCorrelated

	MaxHuntingBytes = maxHuntingBytes
	MaxHuntingRows  = maxHuntingRows
	MaxAnswers      = maxAnswers
)

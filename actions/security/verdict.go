package security

import (
	"slices"
	"strings"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/graph"
)

// CheckVerdict finds what is wrong with the classification and the determination of an input:
// retired values, and pairs that the portal would not let a person choose. Graph takes such a
// pair, and then reports and metrics disagree with what people see.
func CheckVerdict(input map[string]any) []actions.Violation {
	determination := written(input, "determination")
	if slices.Contains(graph.RetiredDeterminations(), determination) {
		return []actions.Violation{actions.Violationf("determination",
			"%q is retired: use one of %s", determination, strings.Join(current(), ", "))}
	}
	classification := written(input, "classification")
	if classification == "" || determination == "" || graph.SensiblePair(classification, determination) {
		return nil
	}
	return []actions.Violation{actions.Violationf("determination",
		"%q does not go with the classification %q: use one of %s", determination, classification,
		strings.Join(graph.SensiblePairs()[classification], ", "))}
}

// CheckChanges finds an input that names an object and no change to it.
func CheckChanges(input map[string]any, object string) []actions.Violation {
	for name := range input {
		if name != object {
			return nil
		}
	}
	return []actions.Violation{actions.Violationf("", "changes nothing: set at least one field beside %q", object)}
}

// Determination is the schema's name of a determination that may be an older alias.
func Determination(d string) string {
	if d == "" {
		return ""
	}
	if name, err := graph.NormalizeDetermination(d); err == nil {
		return name
	}
	return d
}

// current lists the determinations that a person would choose from.
func current() []string {
	return slices.DeleteFunc(graph.WritableDeterminations(), func(d string) bool { return d == "unknown" })
}

// written is a text of an input, or "" if it is not known yet.
func written(input map[string]any, field string) string {
	s, ok := input[field].(string)
	if !ok || actions.IsTemplate(s) {
		return ""
	}
	return s
}

package playtest

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// change sets a field of an event: "evidence[0].ipAddress". The last name may be new; everything
// before it must be there.
func change(fields map[string]any, place string, value any) error {
	var at any = fields
	steps := split(place)
	if len(steps) == 0 {
		return errors.New("the path is empty")
	}
	for i, step := range steps {
		last := i == len(steps)-1
		switch here := at.(type) {
		case map[string]any:
			if last {
				here[step] = value
				return nil
			}
			next, ok := here[step]
			if !ok {
				return fmt.Errorf("there is no %s", step)
			}
			at = next
		case []any:
			n, err := strconv.Atoi(step)
			if err != nil || n < 0 || n >= len(here) {
				return fmt.Errorf("there is no entry %s: the list has %d", step, len(here))
			}
			if last {
				here[n] = value
				return nil
			}
			at = here[n]
		default:
			return fmt.Errorf("%s is no object and no list", strings.Join(steps[:i], "."))
		}
	}
	return nil
}

// split reads a path: a.b[0].c is a, b, 0, c.
func split(place string) []string {
	return strings.FieldsFunc(place, func(r rune) bool { return r == '.' || r == '[' || r == ']' })
}

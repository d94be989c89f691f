package simulator

import (
	"net/http"
	"slices"

	"github.com/playbookd/playbookd/graph/simulator/odata"
)

// filter parses a $filter and refuses what the service could not make sense of.
func (x *exchange) filter(res *resource, text string) (*odata.Filter, error) {
	f, err := odata.Parse(text)
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "Invalid filter clause: %s.", err)
	}
	for _, c := range f.Comparisons() {
		if err := x.checkComparison(res, c); err != nil {
			return nil, err
		}
	}
	return f, nil
}

func (x *exchange) checkComparison(res *resource, c odata.Comparison) error {
	name := c.Path[0]
	if err := res.knows(name); err != nil {
		return err
	}
	p := res.properties[name]
	if x.s.opts.Mode == Strict {
		if !p.filterable {
			return refuse(http.StatusBadRequest, "Filtering by the property '%s' is not supported.", name)
		}
		if c.Op != "" && len(c.Literals) == 0 {
			return refuse(http.StatusBadRequest, "Comparing '%s' with another property is not supported.", name)
		}
	}
	if p.form == formOpaque || p.form == formOpen || p.form == formTexts {
		return nil // lists and objects, in lambdas or by a path into them: nothing is known of their insides
	}
	switch {
	case len(c.Path) > 1:
		return refuse(http.StatusBadRequest, "The property '%s' has no properties of its own.", name)
	case c.Op == "" || c.Op == "any" || c.Op == "all":
		return refuse(http.StatusBadRequest, "The property '%s' is not a condition: compare it with a value.", name)
	}
	for _, literal := range c.Literals {
		if err := p.comparable(name, c.Op, literal); err != nil {
			return err
		}
	}
	return nil
}

// comparable checks the kind of a literal, and the spelling of an enum member.
func (p property) comparable(name, op string, literal odata.Literal) error {
	want := odata.String
	switch p.form {
	case formTime:
		want = odata.Time
	case formNumber:
		want = odata.Number
	}
	if literal.Kind == odata.Null {
		return nil
	}
	if literal.Kind != want {
		return refuse(http.StatusBadRequest, "The property '%s' is compared with %s, and not with %s.", name, want, literal.Kind)
	}
	if p.form != formEnum {
		return nil
	}
	if op != "eq" && op != "ne" && op != "in" {
		return refuse(http.StatusBadRequest, "The property '%s' has named values: use eq, ne or in.", name)
	}
	if !slices.Contains(p.members, literal.Text) {
		return refuse(http.StatusBadRequest, "The string '%s' is not a valid value of '%s'.", literal.Text, name)
	}
	return nil
}

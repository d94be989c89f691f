package odata

import (
	"fmt"
	"strings"
)

// MaxOrder is the number of properties $orderby may name.
const MaxOrder = 8

// Order is a parsed $orderby.
type Order []Key

// Key is a property to order by.
type Key struct {
	Path       []string
	Descending bool
}

// ParseOrder reads an $orderby: properties separated by commas, each with an optional asc or desc.
func ParseOrder(s string) (Order, error) {
	if len(s) > MaxLength {
		return nil, &SyntaxError{MaxLength, fmt.Sprintf("$orderby is longer than %d bytes", MaxLength)}
	}
	var order Order
	offset := 0
	for part := range strings.SplitSeq(s, ",") {
		words := strings.Fields(part)
		switch {
		case len(order) >= MaxOrder:
			return nil, &SyntaxError{offset, fmt.Sprintf("$orderby names more than %d properties", MaxOrder)}
		case len(words) == 0 || len(words) > 2 || len(words) == 2 && words[1] != "asc" && words[1] != "desc":
			return nil, &SyntaxError{offset, "expected a property, then asc or desc"}
		}
		path := strings.Split(words[0], "/")
		for _, segment := range path {
			if nameForm.FindString(segment) != segment || segment == "" {
				return nil, &SyntaxError{offset, fmt.Sprintf("%q is not a property", words[0])}
			}
		}
		order = append(order, Key{Path: path, Descending: len(words) == 2 && words[1] == "desc"})
		offset += len(part) + 1
	}
	return order, nil
}

// Compare orders two documents; null comes first when ascending. Texts that are both times compare as times.
func (o Order) Compare(a, b map[string]any) int {
	for _, key := range o {
		c := compareValues(walk(a, key.Path), walk(b, key.Path))
		if key.Descending {
			c = -c
		}
		if c != 0 {
			return c
		}
	}
	return 0
}

func compareValues(a, b any) int {
	if a == nil || b == nil {
		return rank(a != nil) - rank(b != nil)
	}
	x, okx := a.(string)
	y, oky := b.(string)
	if okx && oky {
		s, errx := parseTime(x)
		t, erry := parseTime(y)
		if errx == nil && erry == nil {
			return s.Compare(t)
		}
	}
	c, _ := compare(a, b)
	return c
}

package odata

import (
	"fmt"
	"strings"
	"time"
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
func (o Order) Compare(a, b map[string]any) int { return o.ComparePlaces(o.Place(a), o.Place(b)) }

// Place is where a document stands in an order. Who sorts many documents works it out once for each.
type Place []sortKey

type sortKey struct {
	value  any
	at     time.Time
	isTime bool
}

// Place reads what the order looks at.
func (o Order) Place(doc map[string]any) Place {
	place := make(Place, len(o))
	for i, key := range o {
		k := sortKey{value: walk(doc, key.Path)}
		if text, ok := k.value.(string); ok {
			at, err := parseTime(text)
			k.at, k.isTime = at, err == nil
		}
		place[i] = k
	}
	return place
}

// ComparePlaces is Compare of the documents that the places are of.
func (o Order) ComparePlaces(a, b Place) int {
	for i, key := range o {
		c := a[i].compare(b[i])
		if key.Descending {
			c = -c
		}
		if c != 0 {
			return c
		}
	}
	return 0
}

func (k sortKey) compare(other sortKey) int {
	switch {
	case k.value == nil || other.value == nil:
		return rank(k.value != nil) - rank(other.value != nil)
	case k.isTime && other.isTime:
		return k.at.Compare(other.at)
	}
	c, _ := compare(k.value, other.value)
	return c
}

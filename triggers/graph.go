package triggers

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"

	"github.com/playbookd/playbookd/graph"
)

// GraphClient is what polling needs of a [graph.Client].
type GraphClient interface {
	Alerts(ctx context.Context, q graph.Query) iter.Seq2[graph.Alert, error]
	Incidents(ctx context.Context, q graph.Query) iter.Seq2[graph.Incident, error]
}

// FromGraph lists one resource of Graph for a poller: alerts or incidents.
func FromGraph(c GraphClient, resource string) (Lister, error) {
	switch resource {
	case "alerts":
		return listing[graph.Alert]{c.Alerts, func(a graph.Alert) Object {
			return Object{ID: a.ID, Title: a.Title, Updated: a.LastUpdateDateTime, Created: a.CreatedDateTime, Raw: a.Raw}
		}}, nil
	case "incidents":
		return listing[graph.Incident]{c.Incidents, func(i graph.Incident) Object {
			return Object{ID: i.ID, Title: i.DisplayName, Updated: i.LastUpdateDateTime, Created: i.CreatedDateTime, Raw: i.Raw}
		}}, nil
	}
	_, err := kindOf(resource)
	return nil, err
}

// listing turns one of Graph's listings into objects.
type listing[T any] struct {
	list   func(context.Context, graph.Query) iter.Seq2[T, error]
	object func(T) Object
}

// List implements [Lister].
func (l listing[T]) List(ctx context.Context, q Query) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		for v, err := range l.list(ctx, graph.Query{Filter: q.Filter, OrderBy: q.OrderBy, Top: q.Top, Expand: q.Expand, OnPage: q.OnPage}) {
			if err != nil {
				yield(Object{}, err)
				return
			}
			o := l.object(v)
			if len(o.Raw) == 0 || !json.Valid(o.Raw) {
				yield(Object{}, fmt.Errorf("graph returned an object without its document"))
				return
			}
			if !yield(o, nil) {
				return
			}
		}
	}
}

package simulator

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/playbookd/playbookd/graph/simulator/odata"
)

// listOptions are the query options of a list.
type listOptions struct {
	top     int // -1: not asked
	skip    int
	count   bool
	filter  *odata.Filter
	order   odata.Order
	selects []string
	alerts  bool // $expand=alerts
}

// undocumented options that live tenants were seen to accept.
func toleratedOptions() []string { return []string{"$orderby", "$select"} }

// options reads the query options; documented are those the documentation promises here.
func (x *exchange) options(res *resource, documented, tolerated []string) (listOptions, error) {
	o := listOptions{top: -1}
	for name, values := range x.query {
		if !strings.HasPrefix(name, "$") && x.s.opts.Mode == LiveLike {
			continue
		}
		known := slices.Contains(documented, name) || x.s.opts.Mode == LiveLike && slices.Contains(tolerated, name)
		if !known {
			return o, refuse(http.StatusBadRequest, "The query option '%s' is not supported here.", name)
		}
		if len(values) > 1 {
			return o, refuse(http.StatusBadRequest, "The query option '%s' is given more than once.", name)
		}
		if err := x.option(res, &o, name, values[0]); err != nil {
			return o, err
		}
	}
	return o, nil
}

func (x *exchange) option(res *resource, o *listOptions, name, value string) (err error) {
	switch name {
	case "$top":
		limit := orDefault(res.maxTop, orDefault(x.s.opts.Behaviour.MaxTop, MaxTop))
		if o.top, err = natural(name, value); err == nil && o.top > limit {
			if x.s.opts.Mode == Strict {
				return refuse(http.StatusBadRequest, "The limit of '%d' for Top query has been exceeded.", limit)
			}
			o.top = limit
		}
	case "$skip":
		o.skip, err = natural(name, value)
	case "$count":
		if value != "true" && value != "false" {
			return refuse(http.StatusBadRequest, "The value '%s' of $count is neither true nor false.", value)
		}
		o.count = value == "true"
	case "$filter":
		o.filter, err = x.filter(res, value)
	case "$orderby":
		if o.order, err = odata.ParseOrder(value); err != nil {
			return refuse(http.StatusBadRequest, "Invalid $orderby: %s.", err)
		}
		for _, key := range o.order {
			if err := res.knows(key.Path[0]); err != nil {
				return err
			}
		}
	case "$select":
		for field := range strings.SplitSeq(value, ",") {
			field = strings.TrimSpace(field)
			if err := res.knows(field); err != nil {
				return err
			}
			o.selects = append(o.selects, field)
		}
	case "$expand":
		if !res.expandable || value != "alerts" {
			return refuse(http.StatusBadRequest, "The navigation property '%s' cannot be expanded.", value)
		}
		o.alerts = true
	}
	return err
}

// natural reads a number of rows.
func natural(name, value string) (int, error) {
	n, err := strconv.Atoi(value)
	if err != nil || n < 0 {
		return 0, refuse(http.StatusBadRequest, "Invalid value '%s' for %s: the value must be a non-negative integer.", value, name)
	}
	return n, nil
}

func (res *resource) knows(name string) error {
	if _, ok := res.properties[name]; !ok {
		return refuse(http.StatusBadRequest, "Could not find a property named '%s' on type '%s'.", name, res.kind)
	}
	return nil
}

// page answers a list: filter, order, cut, next link. Each page is worked out anew, so rows shift under a
// reader when documents change meanwhile, as they do in life.
func (x *exchange) page(res *resource, rows []*entry, context string, documented []string) (reply, error) {
	tolerated := toleratedOptions()
	if documented == nil {
		tolerated = append(tolerated, res.documented...)
	}
	o, err := x.options(res, documented, tolerated)
	if err != nil {
		return reply{}, err
	}
	rows = o.choose(rows)
	total := len(rows)
	rows = rows[min(o.skip, total):]
	size := o.top
	if size < 0 {
		size = x.s.opts.PageSize
	}
	more := len(rows) > size && size > 0
	rows = rows[:min(size, len(rows))]
	if more = more && (o.top < 0 || !res.topEnds); more {
		rows = rows[:x.shorten(len(rows))]
	}
	body := map[string]any{"@odata.context": x.base() + "/$metadata#" + context}
	value := make([]any, len(rows))
	for i, row := range rows {
		value[i] = x.render(row, o)
	}
	body["value"] = value
	if o.count {
		body["@odata.count"] = total
	}
	if more {
		body["@odata.nextLink"] = x.next(o.skip + len(rows))
	}
	return x.json(http.StatusOK, nil, body), nil
}

// choose filters, then orders what is left: a poll for the latest few does not sort everything.
func (o listOptions) choose(rows []*entry) []*entry {
	if o.filter != nil {
		rows = slices.DeleteFunc(rows, func(e *entry) bool { return !o.filter.Match(e.doc) })
	}
	newestFirst(rows)
	if o.order != nil {
		type placed struct {
			*entry
			place odata.Place
		}
		places := make([]placed, len(rows))
		for i, e := range rows {
			places[i] = placed{e, o.order.Place(e.doc)}
		}
		slices.SortStableFunc(places, func(a, b placed) int { return o.order.ComparePlaces(a.place, b.place) })
		for i, p := range places {
			rows[i] = p.entry
		}
	}
	return rows
}

// shorten applies the knobs for short and empty pages to a page that has a successor.
func (x *exchange) shorten(length int) int {
	x.s.pages++
	b := x.s.opts.Behaviour
	switch {
	case b.EmptyPageEvery > 0 && x.s.pages%b.EmptyPageEvery == 0:
		return 0
	case b.ShortPageEvery > 0 && x.s.pages%b.ShortPageEvery == 0 && length > 1:
		return length / 2
	}
	return length
}

// base is the root of the surface as the caller sees it.
func (x *exchange) base() string {
	if x.surface == defenderSurface {
		return "https://" + x.r.Host + strings.TrimSuffix(defenderPrefix, "/")
	}
	return "https://" + x.r.Host + versionPrefix
}

// next is the address of the following page: the caller's own options with another $skip.
func (x *exchange) next(skip int) string {
	query := url.Values{}
	for name, values := range x.query {
		query[name] = values
	}
	query.Set("$skip", fmt.Sprint(skip))
	encoded := strings.NewReplacer("%24", "$", "+", "%20").Replace(query.Encode())
	return "https://" + x.r.Host + x.r.URL.EscapedPath() + "?" + encoded
}

// render copies a document for an answer.
func (x *exchange) render(e *entry, o listOptions) map[string]any {
	doc := e.doc.clone()
	if o.alerts {
		alerts := []any{}
		for _, alert := range x.s.store.alertsOf(e.doc.text("id"), x.now) {
			alerts = append(alerts, map[string]any(alert.doc.clone()))
		}
		doc["alerts"] = alerts
	}
	if o.selects != nil {
		for name := range doc {
			expanded := name == "alerts" && o.alerts
			if !slices.Contains(o.selects, name) && !strings.HasPrefix(name, "@") && !expanded {
				delete(doc, name)
			}
		}
	}
	if at, ok := doc["lastUpdateDateTimeUtc"]; ok && x.s.opts.Behaviour.ShortUpdateTime {
		doc["lastUpdateTimeUtc"] = at
		delete(doc, "lastUpdateDateTimeUtc")
	}
	if !x.allEnums {
		hideGated(map[string]any(doc))
	}
	return doc
}

// total answers a /$count path.
func (x *exchange) total(res *resource, rows []*entry) (reply, error) {
	o, err := x.options(res, []string{"$filter"}, nil)
	if err != nil {
		return reply{}, err
	}
	header := http.Header{"Content-Type": {"text/plain"}}
	return reply{status: http.StatusOK, header: header, body: []byte(strconv.Itoa(len(o.choose(rows))))}, nil
}

// single answers one entity.
func (x *exchange) single(res *resource, e *entry, o listOptions) (reply, error) {
	doc := x.render(e, o)
	doc["@odata.context"] = x.base() + "/$metadata#security/" + res.segment + "/$entity"
	return x.json(http.StatusOK, nil, doc), nil
}

package graph

import (
	"context"
	"encoding/json"
	"iter"
	"net/url"
	"strings"
)

// page is one answer of a listing.
type page struct {
	Value    *[]json.RawMessage `json:"value"`
	NextLink *string            `json:"@odata.nextLink"`
}

// rows lists the rows of all pages, one page at a time: a page is asked for when the rows before
// it were taken. The next link is followed as it came, and it alone decides about the end: pages
// may be short or empty. After an error nothing follows.
func (c *Client) rows(ctx context.Context, first call, onPage func()) iter.Seq2[json.RawMessage, error] {
	return func(yield func(json.RawMessage, error) bool) {
		seen, repeats := map[string]bool{}, 0
		for q := first; ; q.n++ {
			var p page
			if err := c.do(ctx, q, &p); err != nil {
				yield(nil, err)
				return
			}
			if onPage != nil {
				onPage()
			}
			if p.Value == nil { // no rows is an empty list; taking anything else for the end would lose alerts
				yield(nil, c.broken(q.op, "the answer is not a listing"))
				return
			}
			for _, row := range *p.Value {
				if !yield(row, nil) {
					return
				}
			}
			if p.NextLink == nil || *p.NextLink == "" {
				return
			}
			if len(*p.Value) > 0 {
				repeats = 0 // it goes on: a long listing may meet many empty pages, each a while after the last
			}
			next, wrong := checkNext(c.services[q.op.endpoint().API()].base, *p.NextLink)
			if seen[next] {
				repeats++
			}
			switch {
			case wrong != "":
			case seen[next] && (len(*p.Value) > 0 || repeats > MaxRepeats):
				wrong = "the next link leads in a circle"
			case q.n+1 >= MaxPages:
				wrong = "more than 1000 pages: narrow the filter or ask for larger pages"
			}
			if wrong != "" {
				yield(nil, c.broken(q.op, wrong))
				return
			}
			seen[next] = true
			q.url = next
		}
	}
}

// checkNext refuses a next link that would carry the token elsewhere. Hosts are compared without
// regard to case: services are known to change it.
func checkNext(base *url.URL, link string) (next, wrong string) {
	if len(link) > MaxNextLinkBytes {
		return "", "the next link is longer than 32 KiB"
	}
	u, err := url.Parse(link)
	switch {
	case err != nil:
		return "", "the next link is not an address"
	case !strings.EqualFold(u.Scheme, "https"):
		return "", "the next link is not https; the token is not sent there"
	case u.User != nil || !strings.EqualFold(hostPort(u), hostPort(base)):
		return "", "the next link leads to another host (" + clean(u.Host, maxShown) + "); the token is not sent there"
	}
	u.Fragment, u.RawFragment = "", ""
	u.RawQuery = strings.ReplaceAll(u.RawQuery, " ", "%20") // a blank would end the request line
	return u.String(), ""
}

// hostPort is the host with the port that https has when none is written.
func hostPort(u *url.URL) string {
	if u.Port() == "" {
		return u.Hostname() + ":443"
	}
	return u.Hostname() + ":" + u.Port()
}

// broken is an answer that is not what Graph promises.
func (c *Client) broken(op operation, message string) *Error {
	ep := op.endpoint()
	return &Error{
		Tenant: c.tenant, Kind: CodeProtocol, Method: ep.Method, Endpoint: ep.Path, Message: message,
		Sent: true, read: ep.reads(),
	}
}

// objects turns rows into objects. A row without an id is an error: it could be neither
// recognised again nor acted upon.
func objects[T any](c *Client, op operation, rows iter.Seq2[json.RawMessage, error], id func(T) string) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		for row, err := range rows {
			if err != nil {
				yield(none, err)
				return
			}
			var v T
			if err := json.Unmarshal(row, &v); err != nil || id(v) == "" {
				yield(none, c.broken(op, "a row of the listing is not an object with an id"))
				return
			}
			if !yield(v, nil) {
				return
			}
		}
	}
}

// failed is a listing that cannot begin.
func failed[T any](err error) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		yield(none, err)
	}
}

// listing starts a listing of the endpoint.
func listing[T any](ctx context.Context, c *Client, op operation, id string, q Query, key func(T) string) iter.Seq2[T, error] {
	if wrong := q.check(); wrong != "" {
		return failed[T](c.invalid(op, wrong))
	}
	first, err := c.newCall(op, id, q.encode(), nil)
	if err != nil {
		return failed[T](err)
	}
	return objects(c, op, c.rows(ctx, first, q.OnPage), key)
}

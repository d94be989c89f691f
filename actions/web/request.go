// Package web holds the action that calls any HTTP API: http.request. Package notify sends its
// messages through [Exchange], too.
//
// The promises: a request that is not repeatable is sent once, by this package and by the
// transport below it; it goes only where the guard's policy allows; and what is known about a
// request that failed is told with the failure, so that the engine repeats only what it may.
package web

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/playbookd/playbookd/actions"
)

// Deps are what the action needs. Without them it can be described and checked, and fails when
// it is done.
type Deps struct {
	HTTP    *http.Client // of package guard
	Secrets actions.Secrets
}

// Actions lists the actions of this package.
func Actions(d Deps) []actions.Action { return []actions.Action{d.request()} }

// requestInput is the input of http.request.
type requestInput struct {
	URL           string                       `json:"url" play:"min=1;max=4096;format=uri;example=https://api.contoso.example/tickets;doc=The address. Text from outside must go through url()."`
	Method        string                       `json:"method,omitempty" play:"enum=GET|HEAD|POST|PUT|PATCH|DELETE;default=GET;doc=The method."`
	Headers       map[string]actions.Scalar    `json:"headers,omitempty" play:"max=50;doc=Headers, by name. Credentials go into bearer or secretHeaders."`
	Query         map[string]actions.Scalar    `json:"query,omitempty" play:"max=50;doc=Parameters added to the address, escaped as needed."`
	Body          json.RawMessage              `json:"body,omitempty" play:"doc=A value sent as JSON."`
	Text          string                       `json:"text,omitempty" play:"max=1048576;doc=A text sent as it is, as text/plain unless headers say otherwise. Excludes body."`
	Bearer        actions.SecretRef            `json:"bearer,omitempty" play:"doc=A token for the Authorization header."`
	SecretHeaders map[string]actions.SecretRef `json:"secretHeaders,omitempty" play:"max=10;doc=Headers whose values are secrets, by name."`
	Repeatable    bool                         `json:"repeatable,omitempty" play:"doc=Set it if sending a POST or PATCH twice is the same as sending it once, for example because the other side honours Idempotency-Key. It is then repeated after a lost answer instead of waiting for a person."`
	ExpectStatus  []int                        `json:"expectStatus,omitempty" play:"max=20;example=[200, 404];doc=The statuses that count as success. Left out, every 2xx does."`
}

// effect is what sending it twice would do.
func (in requestInput) effect() actions.Effect {
	switch in.Method {
	case "", http.MethodGet, http.MethodHead:
		return actions.Reads
	case http.MethodPut, http.MethodDelete:
		return actions.Converges
	}
	if in.Repeatable {
		return actions.Converges
	}
	return actions.Once
}

// requestOutput is the output of http.request.
type requestOutput struct {
	Status    int               `json:"status" play:"doc=The HTTP status."`
	Headers   map[string]string `json:"headers" play:"doc=The answer's headers, names in lower case. Set-Cookie is left out."`
	Body      json.RawMessage   `json:"body,omitempty" play:"doc=The answer: a JSON value if it is one, otherwise text."`
	Truncated bool              `json:"truncated,omitempty" play:"doc=Whether the answer was longer than what is kept (256 KiB), or broke off."`
}

func (d Deps) request() actions.Action {
	part := func(name string, effect actions.Effect, summary string) actions.Doing[requestInput, requestOutput] {
		return actions.Doing[requestInput, requestOutput]{
			Part: actions.Part{Name: name, Effect: effect, Summary: summary},
			When: func(in requestInput) bool { return in.effect() == effect },
			Do:   d.do,
			Preview: func(in requestInput) requestOutput {
				out := requestOutput{Status: http.StatusOK, Headers: map[string]string{}}
				if len(in.ExpectStatus) > 0 {
					out.Status = in.ExpectStatus[0]
				}
				return out
			},
		}
	}
	return actions.Define(actions.Spec{
		Name:    "http.request",
		Summary: "Calls an HTTP API.",
		Description: "Every attempt carries the same Idempotency-Key header. Statuses 429 and 503 are waited out as " +
			"Retry-After says. Only hosts that the configuration allows can be reached.",
		Example: `- id: ticket
  action: http.request
  with:
    url: https://tickets.contoso.example/api/tickets
    method: POST
    bearer: ${{ secrets.tickets }}
    body: {title: "${{ alert.title }}", severity: "${{ alert.severity }}"}`,
		Rule: checkRequest,
	},
		part("read", actions.Reads, "GET or HEAD."),
		part("put", actions.Converges, "PUT or DELETE, or any other method with repeatable: true."),
		part("send", actions.Once, "POST or PATCH."),
	)
}

func (d Deps) do(ctx context.Context, call actions.Call, in requestInput) (requestOutput, error) {
	r := Request{Method: in.Method, Header: http.Header{}, Effect: in.effect(), Expect: in.ExpectStatus}
	if r.Method == "" {
		r.Method = http.MethodGet
	}
	var err error
	if r.URL, err = withQuery(in.URL, in.Query); err != nil {
		return requestOutput{}, err
	}
	switch {
	case len(in.Body) > 0 && string(in.Body) != "null":
		r.Body = in.Body
		r.Header.Set("Content-Type", "application/json")
	case in.Text != "":
		r.Body = []byte(in.Text)
		r.Header.Set("Content-Type", "text/plain; charset=utf-8")
	}
	for name, value := range in.Headers {
		r.Header.Set(name, string(value))
	}
	r.Header.Set("Idempotency-Key", call.Key)
	if err := d.addSecrets(&r, in); err != nil {
		return requestOutput{}, err
	}
	a, err := Exchange(ctx, d.HTTP, r)
	if err != nil {
		return requestOutput{}, err
	}
	return show(a), nil
}

// addSecrets is the last thing done before the request leaves.
func (d Deps) addSecrets(r *Request, in requestInput) error {
	add := func(name, prefix string, ref actions.SecretRef) error {
		v, err := actions.Resolve(d.Secrets, ref)
		if err != nil {
			return err
		}
		if strings.ContainsFunc(v.Reveal(), func(c rune) bool { return c < ' ' || c == 0x7f }) {
			return actions.Failf(actions.CodeSecret, "secret %q holds a line break or another control character: a header cannot carry it", ref.Name())
		}
		r.Header.Set(name, prefix+v.Reveal())
		r.Hidden = append(r.Hidden, v)
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(in.SecretHeaders)) {
		if err := add(name, "", in.SecretHeaders[name]); err != nil {
			return err
		}
	}
	if in.Bearer != "" {
		return add("Authorization", "Bearer ", in.Bearer)
	}
	return nil
}

// withQuery adds parameters to an address.
func withQuery(address string, query map[string]actions.Scalar) (string, error) {
	u, err := url.Parse(address)
	if err != nil {
		return "", actions.Failf(actions.CodeInput, "url: %v", withoutURL(err))
	}
	if len(query) == 0 {
		return u.String(), nil
	}
	values := u.Query()
	for name, value := range query {
		values.Set(name, string(value))
	}
	u.RawQuery = values.Encode()
	return u.String(), nil
}

// show makes the output of an answer.
func show(a Answer) requestOutput {
	out := requestOutput{Status: a.Status, Headers: map[string]string{}, Truncated: a.Truncated}
	for name, values := range a.Header {
		if name != "Set-Cookie" { // a session is a secret, too
			out.Headers[strings.ToLower(name)] = strings.ToValidUTF8(strings.Join(values, ", "), "\uFFFD")
		}
	}
	switch {
	case len(a.Body) == 0:
	case !a.Truncated && json.Valid(a.Body):
		out.Body = a.Body
	default:
		text, err := json.Marshal(strings.ToValidUTF8(string(a.Body), "\uFFFD"))
		if err == nil {
			out.Body = text
		}
	}
	return out
}

// checkRequest finds what the schema cannot say.
func checkRequest(input map[string]any) []actions.Violation {
	found := checkAddress(input["url"])
	_, body := input["body"]
	_, text := input["text"]
	method, _ := input["method"].(string)
	switch {
	case body && text:
		found = append(found, actions.Violationf("text", "excludes body: send one of them"))
	case (body || text) && (method == "" || method == http.MethodGet || method == http.MethodHead):
		found = append(found, actions.Violationf("method", "a GET or HEAD carries no body: set method to POST, PUT or PATCH"))
	}
	headers, _ := input["headers"].(map[string]any)
	secrets, _ := input["secretHeaders"].(map[string]any)
	_, bearer := input["bearer"]
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		if wrong := checkHeader(name, headers[name], false); wrong != "" {
			found = append(found, actions.Violation{Path: []string{"headers", name}, Message: wrong})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(secrets)) {
		wrong := checkHeader(name, nil, true)
		if bearer && strings.EqualFold(name, "Authorization") {
			wrong = "excludes bearer, which sets the same header: use one of them"
		}
		if wrong != "" {
			found = append(found, actions.Violation{Path: []string{"secretHeaders", name}, Message: wrong})
		}
	}
	return found
}

// checkAddress reads an address that is written out.
func checkAddress(v any) []actions.Violation {
	address, ok := v.(string)
	if !ok || actions.IsTemplate(address) || address == "" {
		return nil
	}
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return []actions.Violation{actions.Violationf("url", "is not an address: %v", withoutURL(err))}
	case u.Scheme != "https" && u.Scheme != "http" || u.Host == "":
		return []actions.Violation{actions.Violationf("url", "must begin with https:// and a host")}
	case u.User != nil:
		return []actions.Violation{actions.Violationf("url", "holds a user name or password: send them in secretHeaders")}
	}
	return nil
}

// checkHeader says what is wrong with a header.
func checkHeader(name string, value any, secret bool) string {
	const token = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	if name == "" || strings.Trim(name, token) != "" || strings.ContainsFunc(name, func(r rune) bool { return !strings.ContainsRune(token, r) }) {
		return fmt.Sprintf("%q is not the name of a header", name)
	}
	switch strings.ToLower(name) {
	case "host", "content-length", "transfer-encoding", "connection", "keep-alive", "te", "trailer", "upgrade", "expect":
		return "is set by the connection: leave it out"
	case "idempotency-key":
		return "is set for each step, the same for all its attempts: leave it out"
	case "authorization", "proxy-authorization", "cookie":
		if !secret {
			return "holds a credential: use bearer or secretHeaders, so that it stays out of the journal"
		}
	}
	if text, ok := value.(string); ok && strings.ContainsFunc(text, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
		return "holds a line break or another control character"
	}
	return ""
}

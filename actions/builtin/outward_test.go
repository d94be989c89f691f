package builtin_test

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/actions/builtin"
	"github.com/playbookd/playbookd/actions/effecttest"
	"github.com/playbookd/playbookd/actions/notify"
	"github.com/playbookd/playbookd/internal/guard"
	"github.com/playbookd/playbookd/internal/secret"
)

// outside is a server somewhere: PUT and DELETE replace, POST and PATCH append.
type outside struct {
	*httptest.Server
	deps builtin.Deps

	mu       sync.Mutex
	stored   map[string][]string
	requests []*http.Request
	bodies   []string
	lose     bool
	refuse   bool
	answer   http.HandlerFunc // in place of 200 and a small document
}

// secrets are secrets by name.
type secrets map[string]string

func (s secrets) Resolve(name string) (secret.Value, error) {
	if text, ok := s[name]; ok {
		return secret.New(text), nil
	}
	return secret.Value{}, io.EOF
}

// beyond starts a server behind real HTTPS, and a guarded client that may reach it.
func beyond(t *testing.T) *outside {
	t.Helper()
	o := &outside{stored: map[string][]string{}}
	o.Server = httptest.NewTLSServer(http.HandlerFunc(o.serve))
	t.Cleanup(o.Close)
	pool := x509.NewCertPool()
	pool.AddCert(o.Certificate())
	host := strings.TrimPrefix(o.URL, "https://")
	client := guard.Client(guard.Policy{AllowHosts: []string{host}, AllowPrivate: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, RootCAs: pool})
	t.Cleanup(client.CloseIdleConnections)
	o.deps = builtin.Deps{
		HTTP: client,
		Secrets: secrets{"token": "tok-5f2c9c1e7d", "teams_url": o.URL + "/teams/T0KENpart1", "slack_url": o.URL + "/slack/T0KENpart2",
			"hook_url": o.URL + "/hook/T0KENpart3", "broken": "no address", "lines": "one\ntwo"},
		Channels: []notify.Channel{
			{Name: "soc", Kind: notify.Teams, URL: actions.NewSecretRef("teams_url")},
			{Name: "chat", Kind: notify.Slack, URL: actions.NewSecretRef("slack_url")},
			{Name: "pager", Kind: notify.Webhook, URL: actions.NewSecretRef("hook_url")},
			{Name: "broken", Kind: notify.Webhook, URL: actions.NewSecretRef("broken")},
		},
	}
	return o
}

func (o *outside) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.requests, o.bodies = append(o.requests, r), append(o.bodies, string(body))
	if o.refuse {
		o.refuse = false
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(http.StatusTooManyRequests)
		return
	}
	switch r.Method {
	case http.MethodPut:
		o.stored[r.URL.Path] = []string{string(body)}
	case http.MethodDelete:
		delete(o.stored, r.URL.Path)
	case http.MethodPost, http.MethodPatch:
		// A server that honours the key: the same key is the same request.
		entry := r.Header.Get("Idempotency-Key") + " " + string(body)
		if !slices.Contains(o.stored[r.URL.Path], entry) {
			o.stored[r.URL.Path] = append(o.stored[r.URL.Path], entry)
		}
	}
	if o.lose {
		o.lose = false
		panic(http.ErrAbortHandler)
	}
	if o.answer != nil {
		o.answer(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"id": 12345678901234567890, "ok": true}`)
}

// State implements effecttest.World.
func (o *outside) State(*testing.T) any {
	o.mu.Lock()
	defer o.mu.Unlock()
	return maps.Clone(o.stored)
}

// Changes implements effecttest.World: nothing here is an object of Graph.
func (o *outside) Changes(*testing.T) []effecttest.Change { return nil }

// Requests implements effecttest.World.
func (o *outside) Requests() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.requests)
}

// LoseAnswer implements effecttest.World.
func (o *outside) LoseAnswer(*testing.T) { o.mu.Lock(); defer o.mu.Unlock(); o.lose = true }

// Refuse implements effecttest.World.
func (o *outside) Refuse(*testing.T) { o.mu.Lock(); defer o.mu.Unlock(); o.refuse = true }

// last is the last request that arrived.
func (o *outside) last(t *testing.T) (*http.Request, string) {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.requests) == 0 {
		t.Fatal("no request arrived")
	}
	return o.requests[len(o.requests)-1], o.bodies[len(o.bodies)-1]
}

// action finds an action that must exist.
func (o *outside) action(t *testing.T, name string) actions.Action {
	t.Helper()
	a, err := actions.NewRegistry(builtin.Actions(o.deps)...).Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// do performs an action.
func (o *outside) do(t *testing.T, name string, input map[string]any) (map[string]any, *actions.Fault) {
	t.Helper()
	out, f := perform(t, o.action(t, name), func(string) actions.Call { return actions.Call{Key: "k1", Tenant: "contoso"} }, input)
	if f != nil {
		return nil, f
	}
	var fields map[string]any
	if err := actions.DecodeStrict(out, &fields); err != nil {
		t.Fatal(err)
	}
	return fields, nil
}

// outwardCases are the actions that reach beyond Graph.
func outwardCases() map[string]func(o *outside) (action string, input map[string]any) {
	request := func(method string, more map[string]any) func(*outside) (string, map[string]any) {
		return func(o *outside) (string, map[string]any) {
			input := map[string]any{"url": o.URL + "/things/1", "method": method}
			maps.Copy(input, more)
			return "http.request", input
		}
	}
	fixed := func(action string, input map[string]any) func(*outside) (string, map[string]any) {
		return func(*outside) (string, map[string]any) { return action, input }
	}
	body := map[string]any{"body": map[string]any{"a": 1}}
	return map[string]func(o *outside) (string, map[string]any){
		"http.request GET":             request("GET", map[string]any{"bearer": "secret:token", "query": map[string]any{"top": 5}}),
		"http.request PUT":             request("PUT", body),
		"http.request DELETE":          request("DELETE", nil),
		"http.request POST":            request("POST", body),
		"http.request POST, no body":   request("POST", nil),
		"http.request PATCH":           request("PATCH", map[string]any{"text": "a=1", "headers": map[string]any{"Content-Type": "text/x"}}),
		"http.request POST repeatable": request("POST", map[string]any{"body": 1, "repeatable": true}),
		"notify.teams":                 fixed("notify.teams", map[string]any{"channel": "soc", "title": "t", "text": "x", "facts": map[string]any{"n": 1}}),
		"notify.slack":                 fixed("notify.slack", map[string]any{"channel": "chat", "title": "t", "text": "x", "facts": map[string]any{"n": true}}),
		"notify.send to Teams":         fixed("notify.send", map[string]any{"channel": "soc", "title": "t", "text": "x", "facts": map[string]any{"n": 1}}),
		"notify.send to Slack":         fixed("notify.send", map[string]any{"channel": "chat", "title": "t"}),
		"notify.send to a webhook":     fixed("notify.send", map[string]any{"channel": "pager", "title": "t", "text": "x", "facts": map[string]any{"n": 1}}),
		"notify.webhook":               fixed("notify.webhook", map[string]any{"channel": "pager", "payload": []any{1, "x"}}),
		"log":                          fixed("log", map[string]any{"message": "m", "fields": map[string]any{"n": 1}}),
	}
}

func TestActionsBeyondGraphKeepThePromisesOfTheirEffects(t *testing.T) {
	t.Parallel()
	for name, make := range outwardCases() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			effecttest.Run(t, func(t *testing.T) effecttest.Case {
				o := beyond(t)
				action, input := make(o)
				return effecttest.Case{Action: o.action(t, action), Input: input, World: o}
			})
		})
	}
}

func TestEveryActionThatShipsIsTestedForItsEffects(t *testing.T) {
	t.Parallel()
	tested := map[string]bool{}
	for name := range graphCases() {
		name, _, _ = strings.Cut(name, ",")
		tested[name] = true
	}
	o := beyond(t)
	for _, make := range outwardCases() {
		action, _ := make(o)
		tested[action] = true
	}
	for _, s := range actions.NewRegistry(builtin.Actions(builtin.Deps{})...).Specs() {
		if !tested[s.Name] {
			t.Errorf("%s is in no case: add it", s.Name)
		}
	}
}

func TestAnUnrepeatableRequestLeavesOnceEvenOnADeadConnection(t *testing.T) {
	t.Parallel()
	for _, input := range []map[string]any{{"method": "POST"}, {"method": "POST", "body": map[string]any{"a": 1}},
		{"method": "PATCH", "headers": map[string]any{"x-idempotency-key": "mine"}}} {
		o := beyond(t)
		input["url"] = o.URL + "/x"
		if _, f := o.do(t, "http.request", map[string]any{"url": o.URL + "/warm"}); f != nil { // a connection is kept now
			t.Fatal(f)
		}
		before := o.Requests()
		o.LoseAnswer(t)
		_, f := o.do(t, "http.request", input)
		if f == nil || !f.Unknown {
			t.Errorf("fault is %v, want one that leaves the outcome open", f)
		}
		if got := o.Requests() - before; got != 1 {
			t.Errorf("the request arrived %d times", got)
		}
		r, _ := o.last(t)
		if r.Header.Get("Idempotency-Key") != "k1" || len(r.TransferEncoding) > 0 { // some servers refuse chunks
			t.Errorf("it came with the key %q, encoded as %v", r.Header.Get("Idempotency-Key"), r.TransferEncoding)
		}
	}
}

func TestARequestThatNeverLeftIsCertain(t *testing.T) {
	t.Parallel()
	o := beyond(t)
	o.Close() // nobody listens any more
	for name, input := range map[string]map[string]any{
		"http.request":   {"url": o.URL + "/x", "method": "POST"},
		"notify.webhook": {"channel": "pager", "payload": 1},
	} {
		_, f := o.do(t, name, input)
		if f == nil || f.Unknown || !f.Retry {
			t.Errorf("%s: fault is %+v, want a certain one after which another attempt may help", name, f)
		}
	}
}

func TestWhatAStatusMeansForAnotherAttempt(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		status         int
		code           string
		retry, unknown bool
	}{
		{400, "status", false, false}, {401, "status", false, false}, {404, "status", false, false}, {408, "status", true, false},
		{429, "throttled", true, false}, {500, "unavailable", true, true}, {501, "unavailable", false, true},
		{503, "unavailable", true, true}, {302, "status", false, true},
	} {
		o := beyond(t)
		o.answer = func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "90")
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(c.status)
		}
		_, f := o.do(t, "http.request", map[string]any{"url": o.URL + "/x", "method": "POST", "body": 1})
		if f == nil || f.Code != c.code || f.Retry != c.retry || f.Unknown != c.unknown {
			t.Errorf("%d: fault is %+v, want code %s, retry %v, unknown %v", c.status, f, c.code, c.retry, c.unknown)
		} else if want := c.retry; (f.After.Seconds() == 90) != want {
			t.Errorf("%d: wait of %s", c.status, f.After)
		}
		if o.Requests() != 1 {
			t.Errorf("%d: %d requests arrived", c.status, o.Requests())
		}
		if _, f := o.do(t, "http.request", map[string]any{"url": o.URL + "/x"}); f != nil && f.Unknown {
			t.Errorf("%d: a read that failed is said to have an effect", c.status)
		}
	}
}

func TestAnExpectedStatusIsNoFault(t *testing.T) {
	t.Parallel()
	o := beyond(t)
	o.answer = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) }
	out, f := o.do(t, "http.request", map[string]any{"url": o.URL + "/x", "expectStatus": []int{200, 404}})
	if f != nil || out["status"] != json.Number("404") {
		t.Errorf("got %v, %v", out, f)
	}
	o.answer = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }
	if _, f := o.do(t, "http.request", map[string]any{"url": o.URL + "/x", "expectStatus": []int{200}}); f == nil {
		t.Error("a status that is not on the list was taken for success")
	}
}

func TestAnAnswerIsJSONIfItCanBeAndOtherwiseText(t *testing.T) {
	t.Parallel()
	o := beyond(t)
	out, f := o.do(t, "http.request", map[string]any{"url": o.URL + "/x"})
	if f != nil {
		t.Fatal(f)
	}
	if body, _ := out["body"].(map[string]any); body["id"] != json.Number("12345678901234567890") {
		t.Errorf("body is %v: digits were lost", out["body"])
	}
	o.answer = func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("plain \xff text")) }
	if out, f = o.do(t, "http.request", map[string]any{"url": o.URL + "/x"}); f != nil || out["body"] != "plain \uFFFD text" {
		t.Errorf("body is %v, %v", out["body"], f)
	}
	const max = 256 << 10
	for size, cut := range map[int]bool{max: false, max + 1: true} {
		o.answer = func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(bytes.Repeat([]byte("a"), size)) }
		out, f = o.do(t, "http.request", map[string]any{"url": o.URL + "/x", "method": "POST"})
		if f != nil {
			t.Fatal(f)
		}
		if text, _ := out["body"].(string); len(text) != max || (out["truncated"] == true) != cut {
			t.Errorf("of %d bytes %d are kept, truncated %v", size, len(text), out["truncated"])
		}
	}
}

func TestASecretReachesTheOtherSideAndNobodyElse(t *testing.T) {
	t.Parallel()
	o := beyond(t)
	const token = "tok-5f2c9c1e7d"
	o.answer = func(w http.ResponseWriter, r *http.Request) { // a server that repeats what it got
		w.Header().Set("X-Echo", r.Header.Get("Authorization"))
		w.Header().Set("Set-Cookie", "session=1")
		if r.URL.Path == "/bad" {
			w.WriteHeader(400)
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"seen": r.Header.Get("Authorization") + r.Header.Get("X-Key")})
	}
	var logged bytes.Buffer
	a := o.action(t, "http.request")
	for _, path := range []string{"/good", "/bad"} {
		input, err := json.Marshal(map[string]any{"url": o.URL + path, "bearer": "secret:token", "secretHeaders": map[string]string{"X-Key": "secret:token"}})
		if err != nil {
			t.Fatal(err)
		}
		out, err := a.Do(t.Context(), actions.Call{Key: "k", Part: "read", Input: input, Log: slog.New(slog.NewTextHandler(&logged, nil))})
		r, _ := o.last(t)
		if r.Header.Get("Authorization") != "Bearer "+token || r.Header.Get("X-Key") != token {
			t.Errorf("the other side got %v", r.Header)
		}
		shown := string(out) + logged.String()
		if err != nil {
			shown += err.Error()
		}
		if strings.Contains(shown, token) || strings.Contains(shown, "session=1") {
			t.Errorf("a secret shows in %s", shown)
		}
	}
	for _, ref := range []string{"secret:missing", "secret:lines"} {
		before := o.Requests()
		_, f := o.do(t, "http.request", map[string]any{"url": o.URL, "bearer": ref})
		if f == nil || f.Code != actions.CodeSecret || f.Unknown || strings.Contains(f.Message, "two") || o.Requests() != before {
			t.Errorf("%s: fault is %+v", ref, f)
		}
	}
}

func TestTheAddressOfAChannelNeverShows(t *testing.T) {
	t.Parallel()
	o := beyond(t)
	for _, answer := range []http.HandlerFunc{
		func(w http.ResponseWriter, r *http.Request) { http.Error(w, "no such hook "+r.URL.String(), 404) },
		func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		o.answer = answer
		_, f := o.do(t, "notify.webhook", map[string]any{"channel": "pager", "payload": 1})
		if f == nil || strings.Contains(f.Error(), "T0KEN") || !strings.Contains(f.Message, `channel "pager"`) {
			t.Errorf("fault is %v", f)
		}
	}
	o.Close()
	if _, f := o.do(t, "notify.webhook", map[string]any{"channel": "pager", "payload": 1}); f == nil || strings.Contains(f.Error(), "T0KEN") {
		t.Errorf("fault is %v", f)
	}
	if _, f := o.do(t, "notify.webhook", map[string]any{"channel": "broken", "payload": 1}); f == nil || strings.Contains(f.Error(), "no address") {
		t.Errorf("fault is %v", f)
	}
}

func TestAWrongChannelIsRefusedWithTheRightOne(t *testing.T) {
	t.Parallel()
	o := beyond(t)
	for _, c := range []struct{ action, channel, want string }{
		{"notify.slack", "soc", "use notify.teams"},
		{"notify.teams", "sco", `did you mean "soc"?`},
		{"notify.teams", "something-else", "soc, chat, pager, broken"},
	} {
		_, f := o.do(t, c.action, map[string]any{"channel": c.channel, "title": "t"})
		if f == nil || f.Unknown || !strings.Contains(f.Message, c.want) {
			t.Errorf("%s to %s: fault is %v, want %q", c.action, c.channel, f, c.want)
		}
	}
	if o.Requests() != 0 {
		t.Error("something was sent")
	}
}

func TestATeamsConnectorThatRefusesWithStatus200IsNotBelieved(t *testing.T) {
	t.Parallel()
	o := beyond(t)
	o.answer = func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 429")
	}
	if _, f := o.do(t, "notify.teams", map[string]any{"channel": "soc", "title": "t"}); f == nil || !f.Retry || f.Unknown {
		t.Errorf("fault is %+v", f)
	}
}

func TestWithoutDependenciesActionsCanBeDescribedAndFailClearly(t *testing.T) {
	t.Parallel()
	r := actions.NewRegistry(builtin.Actions(builtin.Deps{})...)
	for name, input := range map[string]string{
		"alert.get": `{"alert": "a"}`, "incident.update": `{"incident": "1", "status": "active"}`, "incident.comment": `{"incident": "1", "comment": "x"}`,
		"http.request": `{"url": "https://contoso.example"}`, "notify.slack": `{"channel": "c", "title": "t"}`,
	} {
		a, err := r.Lookup(name)
		if err != nil {
			t.Fatal(err)
		}
		plan, err := a.Plan([]byte(input))
		if err != nil {
			t.Fatal(err)
		}
		_, err = a.Do(t.Context(), actions.Call{Key: "k", Part: plan[0], Input: []byte(input), Tenant: "contoso"})
		if f := actions.FaultOf(err); err == nil || f.Unknown || f.Retry || f.Code != actions.CodeUnconfigured && f.Code != notify.CodeChannel {
			t.Errorf("%s: %v", name, err)
		}
	}
}

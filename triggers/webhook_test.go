package triggers

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/playbookd/playbookd/internal/secret"
	"github.com/playbookd/playbookd/playbooks"
)

const (
	oldKey = "old-key-0123456789"
	newKey = "new-key-0123456789"
	apiKey = "api-key-0123456789"
)

// keysOfTest resolves the secrets that tests use.
func keysOfTest(name string) (secret.Value, error) {
	keys := map[string]string{
		"edr": newKey, "edr_previous": oldKey, "api": apiKey, "short": "fifteen-bytes-!", "edge": "sixteen-bytes-!!",
		"encoded": "whsec_" + base64.StdEncoding.EncodeToString([]byte(newKey)), "garbled": "whsec_????????????????????",
	}
	if keys[name] == "" {
		return secret.Value{}, fmt.Errorf("no secret is named %s", name)
	}
	return secret.New(keys[name]), nil
}

// site is a webhook server with a sink that remembers.
type site struct {
	*httptest.Server
	hooks *Webhooks
	sink  *memory
	log   *syncBuffer
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}
func (s *syncBuffer) String() string { s.mu.Lock(); defer s.mu.Unlock(); return s.b.String() }

func newSite(t testing.TB, hooks ...Hook) *site {
	t.Helper()
	s := &site{sink: newMemory(), log: &syncBuffer{}}
	var err error
	s.hooks, err = NewWebhooks(WebhookOptions{Sink: s.sink, Resolve: keysOfTest, Log: slog.New(slog.NewTextHandler(s.log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	if hooks == nil {
		hooks = []Hook{
			{Path: "edr", As: "incident", Tenant: "contoso", Auth: AuthHMAC, Secrets: []string{"edr", "edr_previous"}},
			{Path: "scan", As: "alert", Tenant: "contoso", Auth: AuthAPIKey, Secrets: []string{"api"}},
		}
	}
	if err := s.hooks.SetHooks(hooks); err != nil {
		t.Fatal(err)
	}
	s.Server = httptest.NewServer(s.hooks)
	t.Cleanup(s.Close)
	return s
}

// post sends a body and returns the status and the answer.
func (s *site) post(t testing.TB, path, body string, head ...string) (int, string) {
	t.Helper()
	status, answer, _ := s.send(t, http.MethodPost, path, body, head...)
	return status, answer
}

func (s *site) send(t testing.TB, method, path, body string, head ...string) (int, string, http.Header) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(head); i += 2 {
		r.Header.Add(head[i], head[i+1])
	}
	res, err := s.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, strings.TrimSpace(string(answer)), res.Header
}

// signature makes the headers of a signed delivery.
func signature(key, id, body string, at time.Time) []string {
	stamp := strconv.FormatInt(at.Unix(), 10)
	return []string{headerID, id, headerTimestamp, stamp,
		headerSignature, "v1," + base64.StdEncoding.EncodeToString(sign([]byte(key), id, stamp, []byte(body)))}
}

func TestASignedDeliveryIsAdmittedOnceHoweverOftenItIsSent(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	body := `{"id":"17","displayName":"Ransomware","lastUpdateDateTime":"2026-11-22T02:02:32.1234567Z"}`
	for i, want := range []string{`{"accepted":1,"duplicates":0}`, `{"accepted":0,"duplicates":1}`} {
		status, answer := s.post(t, "/webhooks/edr", body, signature(newKey, "msg_1", body, time.Now())...)
		if status != http.StatusAccepted || answer != want {
			t.Errorf("delivery %d: %d %s", i+1, status, answer)
		}
	}
	if len(s.sink.events) != 1 {
		t.Fatalf("events are %v", s.sink.ids())
	}
	e := s.sink.events[0]
	if e.ID != "webhook/edr/msg_1/0" || e.Source != "webhook/edr" || e.Kind != "incident" || e.Object != "incidents/17" ||
		e.Title != "Ransomware" || e.Tenant != "contoso" || string(e.Payload) != body || e.Occurred.Nanosecond() != 123456700 {
		t.Errorf("event is %+v", e)
	}
}

func TestBothKeysAreAcceptedWhileKeysAreChanged(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for i, key := range []string{newKey, oldKey} {
		id := fmt.Sprint("m", i)
		if status, answer := s.post(t, "/webhooks/edr", `{}`, signature(key, id, `{}`, time.Now())...); status != http.StatusAccepted {
			t.Errorf("key %d: %d %s", i, status, answer)
		}
	}
	// A sender in the middle of a change signs with several keys.
	head := signature("a key that nobody knows", "m3", `{}`, time.Now())
	head[5] = "v1a,xyz v1,!! " + head[5] + " " + signature(newKey, "m3", `{}`, time.Now())[5]
	if status, answer := s.post(t, "/webhooks/edr", `{}`, head...); status != http.StatusAccepted {
		t.Errorf("several signatures: %d %s", status, answer)
	}
}

func TestAKeyInBase64IsUnderstood(t *testing.T) {
	t.Parallel()
	s := newSite(t, Hook{Path: "std", As: "event", Tenant: "contoso", Auth: AuthHMAC, Secrets: []string{"encoded"}})
	if status, answer := s.post(t, "/webhooks/std", `{}`, signature(newKey, "m", `{}`, time.Now())...); status != http.StatusAccepted {
		t.Errorf("%d %s", status, answer)
	}
}

func TestForgeriesLearnNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	now := time.Now()
	good := func() []string { return signature(newKey, "m", `{}`, now) }
	with := func(i int, v string) []string { h := good(); h[i] = v; return h }
	for name, tt := range map[string]struct {
		path string
		head []string
	}{
		"no headers":          {"edr", nil},
		"wrong key":           {"edr", signature("some-other-key-012345", "m", `{}`, now)},
		"empty key":           {"edr", signature("", "m", `{}`, now)},
		"another body":        {"edr", signature(newKey, "m", `{"a":1}`, now)},
		"another id":          {"edr", with(1, "other")},
		"another time":        {"edr", with(3, strconv.FormatInt(now.Unix()+1, 10))},
		"too old":             {"edr", signature(newKey, "m", `{}`, now.Add(-Tolerance-2*time.Second))},
		"too new":             {"edr", signature(newKey, "m", `{}`, now.Add(Tolerance+5*time.Second))},
		"no time":             {"edr", with(3, "soon")},
		"time overflows":      {"edr", with(3, "99999999999999999999")},
		"two ids":             {"edr", append(good(), headerID, "m2")},
		"two signatures":      {"edr", append(good(), headerSignature, good()[5])},
		"unknown version":     {"edr", with(5, strings.Replace(good()[5], "v1,", "v2,", 1))},
		"too many signatures": {"edr", with(5, strings.Repeat("v1,AAAA ", maxSignatures)+good()[5])},
		"huge header":         {"edr", with(5, strings.Repeat("x", maxHeader+1))},
		"API key at HMAC":     {"edr", []string{headerKey, newKey}},
		"no key":              {"scan", nil},
		"wrong API key":       {"scan", []string{headerKey, "api-key-0123456780"}},
		"part of the key":     {"scan", []string{headerKey, apiKey[:17]}},
		"basic":               {"scan", []string{"Authorization", "Basic " + apiKey}},
		"signature at key":    {"scan", signature(apiKey, "m", `{}`, now)},
	} {
		if status, answer := s.post(t, "/webhooks/"+tt.path, `{}`, tt.head...); status != http.StatusUnauthorized || answer != `{"error":"not authenticated"}` {
			t.Errorf("%s: %d %s", name, status, answer)
		}
	}
	if len(s.sink.batches) != 0 {
		t.Errorf("forgeries were admitted: %v", s.sink.ids())
	}
	for _, at := range []time.Duration{-Tolerance + 5*time.Second, Tolerance - 5*time.Second} {
		if status, _ := s.post(t, "/webhooks/edr", `{}`, signature(newKey, "edge", `{}`, now.Add(at))...); status != http.StatusAccepted {
			t.Errorf("a signature of %s from now is refused with %d", at, status)
		}
	}
}

func TestAnAPIKeyWorksInEitherHeaderAndIdenticalBodiesAreOneDelivery(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for i, head := range [][]string{{headerKey, apiKey}, {"Authorization", "Bearer " + apiKey}, {"authorization", "bearer  " + apiKey}} {
		status, answer := s.post(t, "/webhooks/scan", `{"id":"da1","title":"Scan"}`, head...)
		want := `{"accepted":0,"duplicates":1}`
		if i == 0 {
			want = `{"accepted":1,"duplicates":0}`
		}
		if status != http.StatusAccepted || answer != want {
			t.Errorf("%v: %d %s", head, status, answer)
		}
	}
	if status, answer := s.post(t, "/webhooks/scan", `{"id":"da1","title":"Scan"}`, headerKey, apiKey, headerID, "own-id"); status != 202 || answer != `{"accepted":1,"duplicates":0}` {
		t.Errorf("with an id of its own: %d %s", status, answer)
	}
	if e := s.sink.events[0]; e.Object != "alerts/da1" || e.Title != "Scan" || !strings.HasPrefix(e.ID, "webhook/scan/sha256:") {
		t.Errorf("event is %+v", e)
	}
}

func TestEveryFormOfBodyBecomesOneEventForEachObject(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for i, tt := range []struct {
		kind, body string
		want       []string
	}{
		{"application/json", `{"a":1}`, []string{`{"a":1}`}},
		{"application/json; charset=UTF-8", ` [{"a":1}, {"a":"]"} ] `, []string{`{"a":1}`, `{"a":"]"}`}},
		{"application/x-ndjson", "{\"a\":1}\r\n\n {\"a\":2}\n", []string{`{"a":1}`, `{"a":2}`}},
		{"application/json", "{\"a\":1}\n{\"a\":2}", []string{`{"a":1}`, `{"a":2}`}},
		{"", `{"a":1}`, []string{`{"a":1}`}},
		{"application/cloudevents+json", "\xEF\xBB\xBF{\"a\":1}", []string{`{"a":1}`}},
		{"application/json", "{\n \"a\":\n 1}", []string{"{\n \"a\":\n 1}"}},
		{"application/json", strings.Repeat(`{"a":`, MaxDepth) + "1" + strings.Repeat("}", MaxDepth), nil},
		{"application/json", "[" + strings.Repeat("{},", MaxItems-1) + "{}]", nil},
		{"application/x-ndjson", strings.Repeat("{}\n", MaxItems), nil},
		{"application/json", `{"a":"` + strings.Repeat("x", MaxBody-8) + `"}`, nil},
	} {
		before := len(s.sink.events)
		status, answer := s.post(t, "/webhooks/scan", tt.body, headerKey, apiKey, "Content-Type", tt.kind, headerID, fmt.Sprint("d", i))
		if status != http.StatusAccepted {
			t.Errorf("%s %.60q: %d %s", tt.kind, tt.body, status, answer)
			continue
		}
		var got []string
		for _, e := range s.sink.events[before:] {
			got = append(got, string(e.Payload))
		}
		if diff := cmp.Diff(tt.want, got); tt.want != nil && diff != "" {
			t.Errorf("%s %q (-want +got):\n%s", tt.kind, tt.body, diff)
		}
	}
}

func TestABodyThatCannotBeUsedIsRefusedWithItsPlace(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, tt := range []struct {
		kind, body string
		status     int
		message    string
	}{
		{"application/json", ``, 400, "holds no event"},
		{"application/json", `[]`, 400, "holds no event"},
		{"application/json", `{"a": x}`, 400, "line 1, column 7: not JSON"},
		{"application/json", "{\n  \"ä\": 1,\n  \"ö\"; 2\n}", 400, "line 3, column 6: not JSON"},
		{"application/json", `{"a": 1`, 400, "line 1, column 8: the JSON text ends too early"},
		{"application/json", "{\"a\":1}\n{\"a\":}", 400, "line 2, column 6: not JSON"},
		{"application/x-ndjson", "{}\n{}\nnope", 400, "line 3, column 2: not JSON"},
		{"application/json", "{\"a\":\"\xff\"}", 400, "line 1, column 7: not UTF-8"},
		{"application/json", `"text"`, 400, "event 1 of the body is not a JSON object"},
		{"application/json", `[{}, null]`, 400, "event 2 of the body is not a JSON object"},
		{"application/json", strings.Repeat("[", MaxDepth+1), 400, "line 1, column 65: nested deeper"},
		{"application/json", "[" + strings.Repeat("{},", MaxItems) + "{}]", 400, "more than 1000 events"},
		{"application/x-ndjson", strings.Repeat("{}\n", MaxItems+1), 400, "more than 1000 events"},
		{"application/json", `{"a":"` + strings.Repeat("x", MaxBody-7) + `"}`, 413, "larger than 1048576 bytes"},
		{"application/json; charset=utf-16", `{}`, 415, "UTF-8"},
		{"text/plain", `{}`, 415, "application/json"},
		{"application/x-www-form-urlencoded", `a=b`, 415, "application/json"},
		{";;;", `{}`, 415, "can't be read"},
	} {
		status, answer := s.post(t, "/webhooks/scan", tt.body, headerKey, apiKey, "Content-Type", tt.kind)
		if status != tt.status || !strings.Contains(answer, tt.message) {
			t.Errorf("%s %.60q: %d %s", tt.kind, tt.body, status, answer)
		}
	}
	if status, answer := s.post(t, "/webhooks/scan", `{}`, headerKey, apiKey, "Content-Encoding", "gzip"); status != 415 {
		t.Errorf("compressed: %d %s", status, answer)
	}
	for _, id := range []string{"a b", "a/b", strings.Repeat("x", MaxDeliveryID+1)} {
		if status, _ := s.post(t, "/webhooks/scan", `{}`, headerKey, apiKey, headerID, id); status != 400 {
			t.Errorf("delivery id %.20q: %d", id, status)
		}
	}
	if status, _ := s.post(t, "/webhooks/scan", `{}`, headerKey, apiKey, headerID, strings.Repeat("x", MaxDeliveryID)); status != 202 {
		t.Errorf("the longest delivery id: %d", status)
	}
	if len(s.sink.events) != 1 {
		t.Errorf("events are %v", s.sink.ids())
	}
}

func TestOnlyKnownPathsAndPostsAreServed(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, path := range []string{"/webhooks/nope", "/webhooks/", "/webhooks", "/edr", "/webhooks/edr/", "/webhooks/../edr"} {
		if status, _ := s.post(t, path, `{}`, headerKey, apiKey); status != http.StatusNotFound {
			t.Errorf("%s: %d", path, status)
		}
	}
	if status, _, head := s.send(t, http.MethodGet, "/webhooks/scan", "", headerKey, apiKey); status != 405 || head.Get("Allow") != "POST" {
		t.Errorf("GET: %d %v", status, head)
	}
}

func TestASenderIsAskedToComeBackWhenNothingIsDurable(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.sink.setFail(errors.New("disk full at /var/lib/playbookd"))
	status, answer, head := s.send(t, http.MethodPost, "/webhooks/scan", `{}`, headerKey, apiKey)
	if status != 503 || head.Get("Retry-After") == "" || strings.Contains(answer, "disk") {
		t.Errorf("%d %s %v", status, answer, head)
	}
	s.sink.setFail(nil)
	if status, answer := s.post(t, "/webhooks/scan", `{}`, headerKey, apiKey); status != 202 || answer != `{"accepted":1,"duplicates":0}` {
		t.Errorf("%d %s", status, answer)
	}
}

func TestAHookWithoutAUsableKeyAcceptsNobody(t *testing.T) {
	t.Parallel()
	hook := func(path string, secrets ...string) Hook {
		return Hook{Path: path, As: "event", Tenant: "contoso", Auth: AuthHMAC, Secrets: secrets}
	}
	s := newSite(t, hook("missing", "nope"), hook("short", "short"), hook("garbled", "garbled"), hook("edge", "edge"), hook("one", "nope", "edr"))
	for path, want := range map[string]struct {
		key    string
		status int
	}{"missing": {"", 503}, "short": {"fifteen-bytes-!", 503}, "garbled": {"", 503}, "edge": {"sixteen-bytes-!!", 202}, "one": {newKey, 202}} {
		if status, answer := s.post(t, "/webhooks/"+path, `{}`, signature(want.key, "m", `{}`, time.Now())...); status != want.status {
			t.Errorf("%s: %d %s", path, status, answer)
		}
	}
}

func TestOnlyListedNetworksMaySendAndForwardedAddressesNeedAKnownProxy(t *testing.T) {
	t.Parallel()
	hook := Hook{Path: "scan", As: "event", Tenant: "contoso", Auth: AuthAPIKey, Secrets: []string{"api"}, Allow: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}}
	for _, tt := range []struct {
		name    string
		proxies []netip.Prefix
		forward []string
		status  int
	}{
		{"a stranger", nil, nil, 403},
		{"a stranger who claims to be forwarded", nil, []string{"203.0.113.7"}, 403},
		{"behind the proxy", []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, []string{"203.0.113.7"}, 202},
		{"the last hop counts", []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, []string{"203.0.113.7, 198.51.100.1"}, 403},
		{"two headers", []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, []string{"198.51.100.1", "203.0.113.7"}, 202},
		{"garbage", []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, []string{"203.0.113.7, <script>"}, 403},
	} {
		s := newSite(t, hook)
		s.hooks.proxies = tt.proxies
		head := []string{headerKey, apiKey}
		for _, f := range tt.forward {
			head = append(head, "X-Forwarded-For", f)
		}
		if status, _ := s.post(t, "/webhooks/scan", `{}`, head...); status != tt.status {
			t.Errorf("%s: %d", tt.name, status)
		}
	}
}

func TestAHookTakesNoMoreThanItsRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, err := NewWebhooks(WebhookOptions{Sink: newMemory(), Resolve: keysOfTest})
		if err != nil {
			t.Fatal(err)
		}
		hooks := []Hook{{Path: "scan", As: "event", Tenant: "contoso", Auth: AuthAPIKey, Secrets: []string{"api"}}}
		if err := w.SetHooks(hooks); err != nil {
			t.Fatal(err)
		}
		send := func(key string) int {
			r := httptest.NewRequest(http.MethodPost, "/webhooks/scan", strings.NewReader(`{}`))
			r.Header.Set(headerKey, key)
			rec := httptest.NewRecorder()
			w.ServeHTTP(rec, r)
			return rec.Code
		}
		for range 10 * HookBurst { // strangers use up nothing
			send("wrong")
		}
		for i := range HookBurst {
			if status := send(apiKey); status != 202 {
				t.Fatalf("request %d: %d", i+1, status)
			}
		}
		if status := send(apiKey); status != 429 {
			t.Errorf("beyond the burst: %d", status)
		}
		if err := w.SetHooks(hooks); err != nil {
			t.Fatal(err)
		}
		if status := send(apiKey); status != 429 {
			t.Errorf("after a reload: %d", status)
		}
		time.Sleep(time.Second)
		for i := range HookRate {
			if status := send(apiKey); status != 202 {
				t.Fatalf("request %d of the next second: %d", i+1, status)
			}
		}
		if status := send(apiKey); status != 429 {
			t.Errorf("beyond the rate: %d", status)
		}
	})
}

func TestAHookThatSaysHowMuchItTakesTakesThat(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, err := NewWebhooks(WebhookOptions{Sink: newMemory(), Resolve: keysOfTest})
		if err != nil {
			t.Fatal(err)
		}
		use := func(l HookLimits) error {
			return w.SetHooks([]Hook{{Path: "scan", As: "event", Tenant: "contoso", Auth: AuthAPIKey, Secrets: []string{"api"}, Limits: l}})
		}
		taken := func() (n int) {
			for {
				r := httptest.NewRequest(http.MethodPost, "/webhooks/scan", strings.NewReader(`{}`))
				r.Header.Set(headerKey, apiKey)
				rec := httptest.NewRecorder()
				if w.ServeHTTP(rec, r); rec.Code == http.StatusTooManyRequests {
					return n
				}
				n++
			}
		}
		if err := use(HookLimits{Rate: 3, Burst: 7, Concurrent: 2}); err != nil {
			t.Fatal(err)
		}
		if n := taken(); n != 7 {
			t.Errorf("took %d at once, want 7", n)
		}
		time.Sleep(time.Second)
		if n := taken(); n != 3 {
			t.Errorf("took %d in a second, want 3", n)
		}
		if n := cap(w.hooks["scan"].places.free); n != 2 {
			t.Errorf("works on %d at once, want 2", n)
		}
		if err := use(HookLimits{Rate: 4}); err != nil {
			t.Fatal(err)
		}
		if n := taken(); n != 20 {
			t.Errorf("took %d at once, want five times the rate", n)
		}
		if n := cap(w.hooks["scan"].places.free); n != HookConcurrent {
			t.Errorf("works on %d at once, want %d", n, HookConcurrent)
		}
		if err := use(HookLimits{Concurrent: -1}); err == nil || !strings.Contains(err.Error(), "scan") {
			t.Errorf("a negative limit: %v", err)
		}
	})
}

func TestAHookWorksOnNoMoreThanSoManyRequestsAtOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.hooks.mu.RLock()
	h := s.hooks.hooks["scan"]
	s.hooks.mu.RUnlock()
	for range HookConcurrent - 1 {
		h.places.free <- struct{}{}
	}
	if status, _ := s.post(t, "/webhooks/scan", `{"n":1}`, headerKey, apiKey); status != 202 {
		t.Errorf("the last place: %d", status)
	}
	h.places.free <- struct{}{}
	if status, _ := s.post(t, "/webhooks/scan", `{"n":2}`, headerKey, apiKey); status != 429 {
		t.Errorf("one more: %d", status)
	}
	<-h.places.free
	if status, _ := s.post(t, "/webhooks/scan", `{"n":3}`, headerKey, apiKey); status != 202 {
		t.Errorf("a place is free again: %d", status)
	}
}

// Whether a delivery is signed shows only when its body is there, so anybody can begin one.
func TestStrangersWhoTrickleKeepNobodyOut(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	h := s.hooks.hooks["edr"]
	answers := make(chan string, HookConcurrent)
	for range HookConcurrent {
		conn, err := net.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "POST /webhooks/edr HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n%s: x\r\n%s: %d\r\n%s: v1,x\r\n\r\n{",
			headerID, headerTimestamp, time.Now().Unix(), headerSignature)
		go func() {
			line, _ := bufio.NewReader(conn).ReadString('\n')
			answers <- line
		}()
	}
	trickling := func() (n int) {
		h.places.mu.Lock()
		defer h.places.mu.Unlock()
		return len(h.places.reading)
	}
	for trickling() < HookConcurrent {
		time.Sleep(time.Millisecond)
	}
	body := `{"id":"i1"}`
	if status, _ := s.post(t, "/webhooks/edr", body, signature(newKey, "d1", body, time.Now())...); status != 429 {
		t.Errorf("while all bodies are young: %d, want 429", status)
	}
	h.places.mu.Lock()
	for r := range h.places.reading {
		r.since = r.since.Add(-SlowAfter)
	}
	h.places.mu.Unlock()
	for n := range HookConcurrent {
		id := fmt.Sprintf("d%d", n+1)
		if status, answer := s.post(t, "/webhooks/edr", body, signature(newKey, id, body, time.Now())...); status != 202 {
			t.Errorf("delivery %s: %d %s, want a place", id, status, answer)
		}
	}
	if line := <-answers; !strings.Contains(line, "408") {
		t.Errorf("the slow sender that gave way was answered %q, want 408", line)
	}
	if n := trickling(); n != HookConcurrent-1 {
		t.Errorf("%d slow senders are left, want all but the one that had to give way", n)
	}
}

func TestLogsHoldNoTextOfStrangersAndDoNotFlood(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for range 100 {
		s.post(t, "/webhooks/hostile-path", "hostile-body", "X-Hostile", "hostile-header", headerKey, apiKey)
		s.post(t, "/webhooks/scan", `{"a": hostile}`, headerKey, apiKey, headerID, "hostile id")
		s.post(t, "/webhooks/edr", `{}`, signature("hostile", "hostile", `{}`, time.Now())...)
	}
	text := s.log.String()
	if strings.Contains(text, "hostile") || strings.Contains(text, apiKey) {
		t.Errorf("the log repeats what was sent:\n%s", text)
	}
	if lines := strings.Count(text, "webhook refused"); lines == 0 || lines > 60 {
		t.Errorf("%d lines about 300 refusals", lines)
	}
}

func TestHooksThatCannotWorkAreRefused(t *testing.T) {
	t.Parallel()
	good := Hook{Path: "edr", As: "event", Tenant: "contoso", Auth: AuthHMAC, Secrets: []string{"edr"}}
	s := newSite(t, good)
	for name, spoil := range map[string]func(*Hook){
		"path":    func(h *Hook) { h.Path = "a/b" },
		"no path": func(h *Hook) { h.Path = "" },
		"as":      func(h *Hook) { h.As = "user" },
		"auth":    func(h *Hook) { h.Auth = "" },
		"secret":  func(h *Hook) { h.Secrets = nil },
		"secrets": func(h *Hook) { h.Secrets = []string{"a", "b", "c"} },
		"tenant":  func(h *Hook) { h.Tenant = "" },
	} {
		h := good
		spoil(&h)
		if err := s.hooks.SetHooks([]Hook{h}); err == nil {
			t.Errorf("a hook with a wrong %s was accepted", name)
		}
	}
	if err := s.hooks.SetHooks([]Hook{good, good}); err == nil {
		t.Error("the same path was accepted twice")
	}
	if status, _ := s.post(t, "/webhooks/edr", `{}`, signature(newKey, "m", `{}`, time.Now())...); status != 202 {
		t.Errorf("after refused reloads the old hook answers %d", status)
	}
}

func TestPlaybooksShareAHookIfTheyAgree(t *testing.T) {
	t.Parallel()
	book := func(name, path, key, as string) *playbooks.Playbook {
		return &playbooks.Playbook{Name: name, Triggers: []playbooks.Trigger{{Webhook: &playbooks.Webhook{Path: path, HMAC: key, As: as}}}}
	}
	tenant := func(string) string { return "contoso" }
	hooks, err := Hooks([]*playbooks.Playbook{book("a", "edr", "edr", "alert"), book("b", "edr", "edr", "alert")}, tenant, []string{"edr", "edr_previous"})
	want := []Hook{{Path: "edr", As: "alert", Tenant: "contoso", Auth: AuthHMAC, Secrets: []string{"edr", "edr_previous"}}}
	if diff := cmp.Diff(want, hooks); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if _, err := Hooks([]*playbooks.Playbook{book("a", "edr", "edr", "alert"), book("b", "edr", "other", "alert")}, tenant, nil); err == nil {
		t.Error("two playbooks with different keys share a hook")
	}
}

func FuzzWebhookBody(f *testing.F) {
	for _, body := range []string{`{}`, `[{},{}]`, "{}\n{}", `{"id":"x","title":1}`, `[`, "\xEF\xBB\xBF{}", `{"a":"\ud800"}`, strings.Repeat("[", 70), "{\"a\":\"x\n\"}", `{"id":{"id":[]}}`, "\n\n", "1 2", `"\`} {
		f.Add(body, "application/json")
		f.Add(body, "application/x-ndjson; charset=utf-8")
	}
	h := &hook{Hook: Hook{Path: "fuzz", As: "alert", Tenant: "contoso"}}
	f.Fuzz(func(t *testing.T, body, kind string) {
		r := &http.Request{Header: http.Header{"Content-Type": {kind}}}
		items, no := parseBody(r, []byte(body))
		if (items == nil) == (no == nil) {
			t.Fatalf("%d items and refusal %v", len(items), no)
		}
		if no != nil {
			if no.status < 400 || no.message == "" {
				t.Fatalf("refusal is %+v", no)
			}
			return
		}
		for _, e := range h.events(items, "d", time.Now()) {
			if !json.Valid(e.Payload) || e.Payload[0] != '{' || strings.ContainsAny(e.Object, "\n\x00 ") {
				t.Fatalf("event is %+v", e)
			}
		}
	})
}

func FuzzWebhookHeaders(f *testing.F) {
	f.Add("m", "1", "v1,AAAA", apiKey, "Bearer x")
	f.Add("", "-9223372036854775808", "v1, v1,, v1,=", "", "Bearer")
	f.Add("\x00", "1e9", strings.Repeat("v1,A ", 100), "\xff", " ")
	keys := [][]byte{[]byte(newKey), []byte(oldKey)}
	f.Fuzz(func(t *testing.T, id, stamp, sig, key, auth string) {
		r := &http.Request{Header: http.Header{headerID: {id}, headerTimestamp: {stamp}, headerSignature: {sig}, http.CanonicalHeaderKey(headerKey): {key}, "Authorization": {auth}}}
		now := time.Unix(1_800_000_000, 0)
		for _, h := range []*hook{{Hook: Hook{Auth: AuthHMAC}}, {Hook: Hook{Auth: AuthAPIKey}}} {
			no := checkHead(h, r, keys, now)
			if h.Auth == AuthAPIKey && no == nil && key != newKey && key != oldKey && !strings.Contains(auth, newKey) && !strings.Contains(auth, oldKey) {
				t.Fatalf("key %q was accepted", key)
			}
			if _, no := checkBody(h, r, keys, []byte("body")); h.Auth == AuthHMAC && no == nil {
				t.Fatalf("signature %q was accepted", sig)
			}
		}
	})
}

package triggers

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"
)

// The ways in which the fuzz target proves who it is.
const (
	byNobody = iota
	bySignature
	byOldSignature
	bySignatureOfAnother
	bySignatureOfAnotherBody
	byKey
	byBearer
	byKeyOfAnother
	ways
)

// proof adds to a request what shows that its sender knows a key, or does not.
func proof(r *http.Request, way int, id, body string, at time.Time) {
	var head []string
	switch way {
	case bySignature:
		head = signature(newKey, id, body, at)
	case byOldSignature:
		head = signature(oldKey, id, body, at)
	case bySignatureOfAnother:
		head = signature("some-other-key-0123456789", id, body, at)
	case bySignatureOfAnotherBody:
		head = signature(newKey, id, body+" ", at)
	case byKey:
		head = []string{headerKey, apiKey, headerID, id}
	case byBearer:
		head = []string{"Authorization", "bearer  " + apiKey, headerID, id}
	case byKeyOfAnother:
		head = []string{headerKey, newKey, headerID, id}
	default:
		head = []string{headerID, id}
	}
	for i := 0; i < len(head); i += 2 {
		r.Header[http.CanonicalHeaderKey(head[i])] = []string{head[i+1]}
	}
}

// FuzzWebhook sends whole requests, some with a good signature or key, most without. Nothing is accepted from somebody
// who did not prove who they are, and nothing is lost of what somebody sends who did: it becomes events that the engine
// can take, once however often it is sent. Refusals are short texts of ours.
func FuzzWebhook(f *testing.F) {
	for _, sample := range []string{"alerts_v2.get.composed.response.json", "changeNotificationCollection.json", "incidents.list.pascalcase.response.json", "lifecycleNotification.json"} {
		text, err := os.ReadFile(filepath.Join("..", "testdata", "graph", "samples", sample))
		if err != nil {
			f.Fatal(err)
		}
		for way := range ways {
			f.Add(way, "POST", "/webhooks/edr", string(text), "application/json", "msg_1", int64(0), "")
		}
	}
	for _, body := range []string{`{}`, `[{},{}]`, "{}\n{}", `{"id":"x","title":1}`, `[`, "\xEF\xBB\xBF{}", `{"a":"\ud800"}`, strings.Repeat("[", 70), strings.Repeat(`{"a":`, 100_000),
		"{\"a\":\"x\n\"}", `{"id":{"id":[]}}`, "\n\n", "1 2", `"\`, "", "null", "[null]", strings.Repeat("{}\n", 1001), `{"id":"` + strings.Repeat("x", 1<<20) + `"}`, "{\"a\": \"\x00\"}"} {
		f.Add(bySignature, "POST", "/webhooks/edr", body, "", "m", int64(0), "")
		f.Add(byKey, "POST", "/webhooks/scan", body, "application/x-ndjson; charset=utf-8", "", int64(0), "")
	}
	for _, extra := range []string{"Webhook-Signature: v1,AAAA", "Webhook-Timestamp: -9223372036854775808", "Content-Encoding: gzip", "X-Forwarded-For: ::1, 127.0.0.1", "Authorization: Bearer",
		"Content-Length: -1", "Transfer-Encoding: chunked", "X-Api-Key: \xff", "Webhook-Id: a b", "Webhook-Signature: " + strings.Repeat("v1,A ", 1000)} {
		for way := range ways {
			f.Add(way, "POST", "/webhooks/edr", `{}`, "", "m", int64(0), extra)
		}
	}
	for _, skew := range []int64{299, -299, 310, -310, 1 << 40, -1 << 40} {
		f.Add(bySignature, "POST", "/webhooks/edr", `{}`, "", "m", skew, "")
	}
	for _, path := range []string{"/webhooks/", "/webhooks/../webhooks/edr", "/webhooks/EDR", "/edr", "edr", "", "/webhooks//edr", "/webhooks/edr/"} {
		f.Add(bySignature, "POST", path, `{}`, "", "m", int64(0), "")
	}
	f.Add(bySignature, "GET", "/webhooks/edr", `{}`, "", "m", int64(0), "")
	f.Fuzz(func(t *testing.T, way int, method, path, body, kind, id string, skew int64, extra string) {
		way = (way%ways + ways) % ways
		sink, log := newMemory(), &syncBuffer{}
		hooks, err := NewWebhooks(WebhookOptions{Sink: sink, Resolve: keysOfTest, Log: slog.New(slog.NewTextHandler(log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		if err := hooks.SetHooks([]Hook{
			{Path: "edr", As: "incident", Tenant: "contoso", Auth: AuthHMAC, Secrets: []string{"edr", "edr_previous"}},
			{Path: "scan", As: "alert", Tenant: "contoso", Auth: AuthAPIKey, Secrets: []string{"api"}},
		}); err != nil {
			t.Fatal(err)
		}
		now := time.Now()
		send := func() *httptest.ResponseRecorder {
			r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
			r.Method, r.URL.Path, r.Header = method, path, http.Header{}
			if kind != "" {
				r.Header["Content-Type"] = []string{kind}
			}
			proof(r, way, id, body, now.Add(time.Duration(skew%1_000_000)*time.Second))
			if name, value, ok := strings.Cut(extra, ": "); ok {
				r.Header.Add(name, value)
			}
			w := httptest.NewRecorder()
			hooks.ServeHTTP(w, r)
			return w
		}
		w := send()
		var answer struct {
			Accepted   int
			Duplicates int
			Error      string
		}
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
			t.Fatalf("status %d with %q: %v", w.Code, w.Body, err)
		}
		known := path == "/webhooks/edr" && (way == bySignature || way == byOldSignature) && id != "" || path == "/webhooks/scan" && (way == byKey || way == byBearer)
		if w.Code != http.StatusAccepted {
			refusedWell(t, w, answer.Error, log.String())
			if len(sink.events) > 0 {
				t.Fatalf("refused with %d, and %d events are admitted", w.Code, len(sink.events))
			}
			plain := json.Valid([]byte(body)) && strings.HasPrefix(body, `{"`) && len(body) < 2000 && strings.Count(body, "{")+strings.Count(body, "[") < MaxDepth
			if known && plain && method == http.MethodPost && (kind == "" || kind == "application/json") && extra == "" && fit(id) && skew > -290 && skew < 290 && invalidUTF8([]byte(body)) < 0 {
				t.Fatalf("a good delivery is refused with %d: %s", w.Code, w.Body)
			}
			return
		}
		forged := extra != "" // may have brought a key along
		if !known && !forged || method != http.MethodPost || path == "/webhooks/edr" && (skew%1_000_000 > 310 || skew%1_000_000 < -310) && !forged {
			t.Fatalf("accepted from %d by %s %s with a skew of %d", way, method, path, skew)
		}
		if answer.Accepted != len(sink.events) || answer.Accepted == 0 || answer.Accepted > MaxItems {
			t.Fatalf("%d accepted, %d admitted", answer.Accepted, len(sink.events))
		}
		for _, e := range sink.events {
			if !json.Valid(e.Payload) || e.Payload[0] != '{' || strings.ContainsAny(e.Object, "\n\x00 ") || strings.ContainsFunc(e.ID, unicode.IsSpace) || len(e.Title) > MaxTitle || e.Tenant != "contoso" {
				t.Fatalf("event is %+v", e)
			}
		}
		n := answer.Accepted
		answer.Accepted, answer.Duplicates = 0, 0
		if w := send(); w.Code != http.StatusAccepted || json.Unmarshal(w.Body.Bytes(), &answer) != nil || answer.Accepted != 0 || answer.Duplicates != n {
			t.Fatalf("sent again, it is answered with %d %s", w.Code, w.Body)
		}
	})
}

// fit reports whether a delivery may be called so.
func fit(id string) bool {
	return len(id) <= MaxDeliveryID && !strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r > '~' || r == '/' })
}

// refusedWell fails the test unless a refusal is a short text of ours, and neither it nor the log tells a key.
func refusedWell(t *testing.T, w *httptest.ResponseRecorder, said, log string) {
	t.Helper()
	if w.Code < 400 || w.Code > 599 || w.Code == http.StatusInternalServerError || said == "" || len(said) > 200 || strings.ContainsFunc(said, unicode.IsControl) {
		t.Fatalf("refused with %d %q", w.Code, said)
	}
	for _, key := range []string{newKey, oldKey, apiKey} {
		if strings.Contains(log+said, key) {
			t.Fatalf("a key is told: %s %s", said, log)
		}
	}
}

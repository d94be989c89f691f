package triggers

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/playbookd/playbookd/internal/secret"
)

// The headers of a signed delivery, as Standard Webhooks names them.
const (
	headerID        = "Webhook-Id"
	headerTimestamp = "Webhook-Timestamp"
	headerSignature = "Webhook-Signature"
	headerKey       = "X-API-Key"
)

const (
	signatureVersion = "v1,"
	maxSignatures    = 10       // in one header
	maxHeader        = 4096     // bytes of a header that we look at
	encodedKey       = "whsec_" // begins a key that is written in base64
)

// unauthorized tells a stranger nothing.
func unauthorized(why string) *refusal {
	return &refusal{status: http.StatusUnauthorized, message: "not authenticated", why: why}
}

// KeyAge is how long the keys of a hook are good for once they were read. A key that is taken away
// is refused after that at the latest; one that is added is known at once, because a request that
// no key fits is looked at again with what is there now.
const KeyAge = secret.RecentAge

// keyring holds the keys of a hook as they were read last.
type keyring = secret.Recent[[][]byte]

// withKeys has a request checked with the keys that a hook accepts.
func (w *Webhooks) withKeys(ctx context.Context, h *hook, now time.Time, check func(keys [][]byte) *refusal) *refusal {
	keys, fresh, no := w.keys(ctx, h, now, false)
	if no == nil {
		no = check(keys)
	}
	if fresh || no == nil || no.status != http.StatusUnauthorized {
		return no
	}
	if keys, _, no = w.keys(ctx, h, now, true); no != nil {
		return no
	}
	return check(keys)
}

// keys are the keys that a hook accepts, and whether they were read just now.
func (w *Webhooks) keys(ctx context.Context, h *hook, now time.Time, again bool) (keys [][]byte, fresh bool, no *refusal) {
	keys, fresh = h.ring.Get(now, again, func() ([][]byte, bool) {
		read := w.readKeys(ctx, h)
		return read, len(read) > 0
	})
	if len(keys) == 0 {
		no = &refusal{status: http.StatusServiceUnavailable, message: "not accepted, come back later", after: 60, why: "no usable key"}
	}
	return keys, fresh, no
}

// readKeys reads the keys that a hook accepts now. One that can't be read while the other can is
// logged and left out: during a change of keys the old one may be gone already.
func (w *Webhooks) readKeys(ctx context.Context, h *hook) [][]byte {
	var keys [][]byte
	for _, name := range h.Secrets {
		v, err := w.resolve(name)
		if err != nil {
			w.log.ErrorContext(ctx, "the key of a webhook can't be read", "hook", h.Path, "secret", name, "err", err)
			continue
		}
		key := []byte(v.Reveal())
		if text, ok := strings.CutPrefix(v.Reveal(), encodedKey); ok && h.Auth == AuthHMAC {
			if key, err = base64.StdEncoding.DecodeString(text); err != nil {
				key = nil
			}
		}
		if len(key) < MinKey {
			w.log.ErrorContext(ctx, "the key of a webhook is too short or not base64 after whsec_; make a new one", "hook", h.Path, "secret", name, "bytes_needed", MinKey)
			continue
		}
		keys = append(keys, key)
	}
	return keys
}

// checkHead refuses what the headers alone show to be wrong, before a body is read.
func checkHead(h *hook, r *http.Request, keys [][]byte, now time.Time) *refusal {
	if h.Auth == AuthAPIKey {
		if !keyMatches(presented(r), keys) {
			return unauthorized("key")
		}
		return nil
	}
	for _, name := range []string{headerID, headerTimestamp, headerSignature} {
		if values := r.Header.Values(name); len(values) != 1 || values[0] == "" || len(values[0]) > maxHeader {
			return unauthorized("signature headers")
		}
	}
	seconds, err := strconv.ParseInt(r.Header.Get(headerTimestamp), 10, 64)
	if err != nil || seconds < now.Add(-Tolerance).Unix() || seconds > now.Add(Tolerance).Unix() {
		return unauthorized("timestamp")
	}
	return nil
}

// presented is the key that a request shows.
func presented(r *http.Request) string {
	if key := r.Header.Get(headerKey); key != "" {
		return key
	}
	scheme, key, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(key)
}

// keyMatches compares hashes, so that neither content nor length of a key shows in the time
// that it takes, and always compares with all keys.
func keyMatches(got string, keys [][]byte) bool {
	sum := sha256.Sum256([]byte(got))
	match := 0
	for _, key := range keys {
		want := sha256.Sum256(key)
		match |= subtle.ConstantTimeCompare(sum[:], want[:])
	}
	return match == 1 && got != ""
}

// checkBody verifies the signature and names the delivery: by what the sender calls it, or
// without that by the content. Identical bodies without an id are one delivery.
func checkBody(h *hook, r *http.Request, keys [][]byte, body []byte) (delivery string, no *refusal) {
	id := r.Header.Get(headerID)
	if h.Auth == AuthHMAC && !signed(r.Header, keys, body) {
		return "", unauthorized("signature")
	}
	if id == "" {
		sum := sha256.Sum256(body)
		return "sha256:" + hex.EncodeToString(sum[:]), nil
	}
	for _, c := range []byte(id) {
		if c <= ' ' || c > '~' || c == '/' {
			return "", badRequest("the header " + headerID + " must be letters, digits and signs without blanks and slashes")
		}
	}
	if len(id) > MaxDeliveryID {
		return "", badRequest("the header " + headerID + " is longer than " + strconv.Itoa(MaxDeliveryID) + " characters")
	}
	return id, nil
}

// signed verifies a signature over id, timestamp and the raw body: any of those sent with any
// of our keys.
func signed(head http.Header, keys [][]byte, body []byte) bool {
	match := 0
	signatures := strings.Fields(head.Get(headerSignature))
	for _, s := range signatures[:min(len(signatures), maxSignatures)] {
		text, ok := strings.CutPrefix(s, signatureVersion)
		if !ok {
			continue
		}
		got, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			continue
		}
		for _, key := range keys {
			match |= subtle.ConstantTimeCompare(got, sign(key, head.Get(headerID), head.Get(headerTimestamp), body))
		}
	}
	return match == 1
}

// sign is HMAC-SHA256 over "id.timestamp.body".
func sign(key []byte, id, timestamp string, body []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + timestamp + "."))
	mac.Write(body)
	return mac.Sum(nil)
}

func badRequest(message string) *refusal {
	return &refusal{status: http.StatusBadRequest, message: message, why: "body or header"}
}

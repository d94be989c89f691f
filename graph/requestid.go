package graph

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"strconv"
	"strings"
)

type requestIDKey struct{}

// WithRequestID sets the client-request-id of the next request made with the context, so that a
// journal entry and Graph's own log can be laid side by side. A listing that needs several
// requests derives the ids of the others from it, always the same ones.
func WithRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestIDKey{}, id)
}

// apart gives a part of a call, such as the second road of a listing, ids of its own.
func apart(ctx context.Context, part string) context.Context {
	if id, ok := ctx.Value(requestIDKey{}).(string); ok && id != "" {
		return WithRequestID(ctx, id+"/"+part)
	}
	return ctx
}

// requestID is the id of the n-th request of a call.
func requestID(ctx context.Context, n int) string {
	id, ok := ctx.Value(requestIDKey{}).(string)
	switch {
	case !ok || id == "":
		var b [16]byte
		_, _ = rand.Read(b[:]) // never fails, by its contract
		return asUUID(b[:])
	case n == 0 && fitsHeader(id):
		return id
	}
	sum := sha256.Sum256([]byte(id + "/" + strconv.Itoa(n)))
	return asUUID(sum[:16])
}

// fitsHeader says that an id may be sent as it is.
func fitsHeader(id string) bool {
	return len(id) <= 64 && !strings.ContainsFunc(id, func(r rune) bool {
		return r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
}

// asUUID writes 16 bytes in the form of a random UUID.
func asUUID(b []byte) string {
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:16])
}

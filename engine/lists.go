package engine

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"

	"github.com/playbookd/playbookd/playbooks/expression"
)

// listed is a watchlist as it was at one time.
type listed struct {
	values  []any
	content []byte
	digest  string
	set     map[any]struct{} // of the values that have the form of constants
	odd     bool             // there are others
}

func newListed(values []any, content []byte) *listed {
	sum := sha256.Sum256(content)
	l := &listed{values: values, content: content, digest: "sha256:" + hex.EncodeToString(sum[:]), set: make(map[any]struct{}, len(values))}
	for _, v := range values {
		if c, ok := expression.Constant(v); ok {
			l.set[c] = struct{}{}
		} else {
			l.odd = true
		}
	}
	return l
}

// has says whether "v in list" holds. c is v as a constant, if it has that form.
func (l *listed) has(v, c any, constant bool) bool {
	if l == nil {
		return false
	}
	if !constant {
		return expression.IsIn(v, l.values)
	}
	_, found := l.set[c]
	if _, text := c.(string); found || text {
		return found
	}
	return l.odd && expression.IsIn(v, l.values)
}

// list returns a watchlist as it is now, nil if there is none of that name. Lists are large and
// rarely change, so what was made of one is kept.
func (e *Engine) list(name string) *listed {
	if e.o.Lists == nil {
		return nil
	}
	values, content, ok := e.o.Lists.Get(name)
	if !ok {
		return nil
	}
	e.listsMu.Lock()
	defer e.listsMu.Unlock()
	if l := e.lists[name]; l != nil && sameBytes(l.content, content) {
		return l
	}
	l := newListed(values, content)
	e.lists[name] = l
	return l
}

// sameBytes is quick when a and b are one.
func sameBytes(a, b []byte) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0] || bytes.Equal(a, b))
}

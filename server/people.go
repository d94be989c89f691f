package server

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/playbookd/playbookd/internal/secret"
)

// OperatorRole is what a person needs to call runs off and to start playbooks.
const OperatorRole = "operator"

// MinToken is how many characters a person's token needs: fewer could be guessed.
const MinToken = 20

// Person is somebody who may ask things of the API.
type Person struct {
	Name  string
	Roles []string
	// Token is asked again and again, so that a changed token needs no restart.
	Token func() (secret.Value, error)
}

// Has says whether the person has a role.
func (p Person) Has(role string) bool { return slices.Contains(p.Roles, role) }

var errNobody = errors.New("the token is nobody's")

// credential is a person with what their token hashes to.
type credential struct {
	person Person
	sum    [sha256.Size]byte
}

// who finds the person whose token a request carries. Every token is compared, and each in the same
// time whatever it is, so that nothing can be learned from how long the answer takes. Tokens are read
// at most once in [secret.RecentAge], whoever asks how often.
func (d *desk) who(r *http.Request) (Person, error) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok || len(token) < MinToken {
		return Person{}, errNobody
	}
	known, _ := d.known.Get(time.Now(), false, d.credentials)
	given := sha256.Sum256([]byte(token))
	found := -1
	for i := range known {
		if subtle.ConstantTimeCompare(given[:], known[i].sum[:]) == 1 {
			found = i
		}
	}
	if found < 0 {
		return Person{}, errNobody
	}
	return known[found].person, nil
}

// credentials reads everybody's token. One that can't be used is left out, and logged.
func (d *desk) credentials() (list []credential, good bool) {
	for _, p := range d.s.o.People() {
		v, err := p.Token()
		if err != nil || len(v.Reveal()) < MinToken {
			d.s.log.Error("the token of a person can't be used: it can't be read, or is shorter than it must be", "person", p.Name, "err", err)
			continue
		}
		list = append(list, credential{person: p, sum: sha256.Sum256([]byte(v.Reveal()))})
	}
	return list, true
}

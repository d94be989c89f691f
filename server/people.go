package server

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"

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
	// Token is asked on every request, so that a changed token needs no restart.
	Token func() (secret.Value, error)
}

// Has says whether the person has a role.
func (p Person) Has(role string) bool { return slices.Contains(p.Roles, role) }

var errNobody = errors.New("the token is nobody's")

// who finds the person whose token a request carries. Every token is compared, and each in the same
// time whatever it is, so that nothing can be learned from how long the answer takes.
func who(people []Person, r *http.Request, log *slog.Logger) (Person, error) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok || len(token) < MinToken {
		return Person{}, errNobody
	}
	given := sha256.Sum256([]byte(token))
	found := -1
	for i, p := range people {
		v, err := p.Token()
		if err != nil || len(v.Reveal()) < MinToken {
			log.Error("the token of a person can't be used: it can't be read, or is shorter than it must be", "person", p.Name, "err", err)
			continue
		}
		want := sha256.Sum256([]byte(v.Reveal()))
		if subtle.ConstantTimeCompare(given[:], want[:]) == 1 {
			found = i
		}
	}
	if found < 0 {
		return Person{}, errNobody
	}
	return people[found], nil
}

package actions

import (
	"strings"

	"github.com/playbookd/playbookd/internal/secret"
)

// SecretRef is the input field of an action that needs a secret. It holds the secret's name, not
// the secret: its JSON is "secret:NAME", and that is what journals and dry runs see. The action
// exchanges it for the value at the last moment.
type SecretRef string

// SecretPrefix begins the JSON form of a SecretRef.
const SecretPrefix = "secret:"

// NewSecretRef makes the reference to the secret called name: what ${{ secrets.NAME }} becomes.
func NewSecretRef(name string) SecretRef { return SecretRef(SecretPrefix + name) }

// Name is the name of the secret.
func (r SecretRef) Name() string { return strings.TrimPrefix(string(r), SecretPrefix) }

func (SecretRef) describe() *Schema {
	return &Schema{
		Type:    "string",
		Format:  formatSecret,
		Pattern: `^` + SecretPrefix + `[A-Za-z0-9_][A-Za-z0-9_.-]*$`,
	}
}

// Secrets is where actions get the value of a secret. An error must not hold any of it.
type Secrets interface {
	Resolve(name string) (secret.Value, error)
}

// Resolve gives the value behind a reference. Its faults say that nothing was sent.
func Resolve(from Secrets, ref SecretRef) (secret.Value, error) {
	if from == nil {
		return secret.Value{}, Failf(CodeUnconfigured, "secret %q cannot be read: no secrets are configured", ref.Name())
	}
	v, err := from.Resolve(ref.Name())
	if err != nil {
		return secret.Value{}, Failf(CodeSecret, "secret %q: %v", ref.Name(), err)
	}
	if v.IsZero() || v.Reveal() == "" {
		return secret.Value{}, Failf(CodeSecret, "secret %q is empty", ref.Name())
	}
	return v, nil
}

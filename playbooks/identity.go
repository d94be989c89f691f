package playbooks

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/playbookd/playbookd/internal/document"
)

// identity reads what a playbook says about itself.
func (c *compiler) identity(b *block) {
	p := c.book
	if n, ok := b.need("name", "a name in kebab-case, such as close-scanner-alerts"); ok {
		p.Name = c.name(n)
	}
	p.Description = b.text("description", MaxTextLength)
	p.Owner = b.text("owner", MaxTextLength)
	p.Reason = b.text("reason", MaxTextLength)
	if n := b.get("expires"); n != nil {
		p.Expires = c.expires(n)
	}
	p.Tags = b.texts("tags", MaxTags)
	p.Tenants = b.texts("tenants", MaxTenants)
	p.Priority = b.number("priority", -MaxPriority, MaxPriority, 0)
	p.Mode = Mode(b.word("mode", string(Live), string(Live), string(Shadow)))
	p.Enabled = b.flag("enabled", true)
}

// name reads the playbook's name. It is part of paths, so it holds nothing but letters, digits
// and dashes.
func (c *compiler) name(n *document.Node) string {
	s := c.text(n, "name", MaxNameLength)
	if s != "" && !isKebab(s) {
		mend := "use lower-case letters, digits and single dashes, starting with a letter"
		if better := toKebab(s); isKebab(better) {
			mend = "write " + better
		}
		c.fail(n, codeName, mend, "%q is not in kebab-case", shorten(s))
		return ""
	}
	return s
}

func isKebab(s string) bool {
	if s == "" || s[0] < 'a' || s[0] > 'z' || strings.HasSuffix(s, "-") || strings.Contains(s, "--") {
		return false
	}
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// toKebab guesses the kebab-case form of a name.
func toKebab(s string) string {
	var b strings.Builder
	for i, r := range s {
		switch {
		case r >= 'A' && r <= 'Z':
			if i > 0 {
				b.WriteByte('-')
			}
			b.WriteRune(r - 'A' + 'a')
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
			b.WriteRune(r)
		default:
			b.WriteByte('-')
		}
	}
	return strings.Join(strings.FieldsFunc(b.String(), func(r rune) bool { return r == '-' }), "-")
}

// expires reads the day, or the instant, from which on the playbook no longer acts. Days begin at
// midnight UTC.
func (c *compiler) expires(n *document.Node) time.Time {
	s := c.text(n, "expires", MaxIdentifier)
	if s == "" {
		return time.Time{}
	}
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		t, err = time.Parse(time.RFC3339, s)
	}
	if err != nil {
		c.fail(n, codeDate, "write a day such as 2027-03-31, or a time such as 2027-03-31T18:00:00Z", "%q is not a date", shorten(s))
		return time.Time{}
	}
	c.judgeExpiry(n, t)
	return t.UTC()
}

func (c *compiler) judgeExpiry(n *document.Node, t time.Time) {
	now := c.o.Now
	switch {
	case now.IsZero():
	case !now.Before(t):
		c.warn(n, codeExpiry, "extend it if it is still needed, or remove the playbook",
			"this playbook expired on %s and no longer acts", t.UTC().Format(time.DateOnly))
	case t.Sub(now) <= ExpiresSoon:
		c.warn(n, codeExpiry, "extend it if it will still be needed",
			"this playbook expires in %s", days(t.Sub(now)))
	}
}

func days(d time.Duration) string {
	const day = 24 * time.Hour
	if n := int((d + day - 1) / day); n != 1 {
		return fmt.Sprintf("%d days", n)
	}
	return "1 day"
}

func sortedNames[V any](m map[string]V) []string {
	if len(m) == 0 {
		return nil
	}
	return slices.Sorted(maps.Keys(m))
}

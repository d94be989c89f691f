package triggers

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/playbookd/playbookd/playbooks"
)

// PreviousSuffix makes of a secret's name the name of the key that is still accepted after it
// was changed: with edr_key and edr_key_previous in the configuration both are valid.
const PreviousSuffix = "_previous"

// Polls says which resources of a tenant have to be polled, and how, so that every playbook
// gets what it asked for: as often as the most impatient wants it and with the union of all
// filters. A playbook without a filter makes all filters void; the engine applies each
// playbook's own to its events.
func Polls(books []*playbooks.Playbook, tenant string) map[string]PollSettings {
	polls := map[string]PollSettings{}
	filters := map[string][]string{}
	unfiltered := map[string]bool{}
	for _, b := range books {
		if !b.Enabled || !concerns(b, tenant) {
			continue
		}
		for _, t := range b.Triggers {
			p := pollOf(t)
			if p == nil {
				continue
			}
			s, ok := polls[p.Resource]
			if !ok || p.Every < s.Every {
				s.Every = p.Every
			}
			s.Expand = s.Expand || p.Expand
			polls[p.Resource] = s
			if p.Filter == nil {
				unfiltered[p.Resource] = true
				continue
			}
			filters[p.Resource] = append(filters[p.Resource], p.Filter.Text)
		}
	}
	for resource, s := range polls {
		if !unfiltered[resource] {
			s.Filter = union(filters[resource])
			polls[resource] = s
		}
	}
	return polls
}

// pollOf is the poll that a trigger needs; nil if it needs none. A clock is kept by all versions of all
// objects: one that a filter leaves out could be that which stops it.
func pollOf(t playbooks.Trigger) *playbooks.Poll {
	if t.SLA != nil {
		return &playbooks.Poll{Resource: t.SLA.Resource, Every: t.SLA.Every, Expand: t.SLA.Expand}
	}
	return t.Poll
}

// union joins filters so that each object that passes one of them passes. Sorted, so that the
// order of files does not change the question. A union that is too long is no filter at all.
func union(filters []string) string {
	filters = slices.Clone(filters)
	slices.Sort(filters)
	filters = slices.Compact(filters)
	if len(filters) == 1 {
		if len(filters[0]) > MaxFilter {
			return ""
		}
		return filters[0]
	}
	joined := "(" + strings.Join(filters, ") or (") + ")"
	if len(joined) > MaxFilter {
		return ""
	}
	return joined
}

// Slots lists the schedule triggers of playbooks, each with those of the tenants that it
// concerns. A disabled playbook keeps its slots: the journal says that they were skipped and
// why, and none of them counts as missed when it is enabled again.
func Slots(books []*playbooks.Playbook, tenants []string) ([]Slot, error) {
	var slots []Slot
	var wrong []error
	for _, b := range books {
		for _, t := range b.Triggers {
			if t.Schedule == nil {
				continue
			}
			schedule, err := ParseSchedule(t.Schedule.Cron, t.Schedule.Timezone)
			if err != nil {
				wrong = append(wrong, fmt.Errorf("%s: %w", t.Source, err))
				continue
			}
			slot := Slot{Source: t.Source, Playbook: b.Name, Schedule: schedule, Missed: t.Schedule.Missed}
			for _, tenant := range tenants {
				if concerns(b, tenant) {
					slot.Tenants = append(slot.Tenants, tenant)
				}
			}
			slots = append(slots, slot)
		}
	}
	return slots, errors.Join(wrong...)
}

// Hooks lists the webhooks that playbooks ask for. Several playbooks may share one if they agree
// about it. Events belong to the tenant that tenantOf names for a path. known lists the secrets
// of the configuration, see PreviousSuffix.
func Hooks(books []*playbooks.Playbook, tenantOf func(path string) string, known []string) ([]Hook, error) {
	var hooks []Hook
	var wrong []error
	owner := map[string]string{}
	for _, b := range books {
		for _, t := range b.Triggers {
			if t.Webhook == nil {
				continue
			}
			h := Hook{Path: t.Webhook.Path, As: t.Webhook.As, Tenant: tenantOf(t.Webhook.Path)}
			h.Auth, h.Secrets = AuthHMAC, []string{t.Webhook.HMAC}
			if t.Webhook.HMAC == "" {
				h.Auth, h.Secrets = AuthAPIKey, []string{t.Webhook.APIKey}
			}
			if previous := h.Secrets[0] + PreviousSuffix; slices.Contains(known, previous) {
				h.Secrets = append(h.Secrets, previous)
			}
			at := slices.IndexFunc(hooks, func(o Hook) bool { return o.Path == h.Path })
			switch {
			case at < 0:
				hooks = append(hooks, h)
				owner[h.Path] = b.Name
			case hooks[at].As != h.As || hooks[at].Auth != h.Auth || hooks[at].Secrets[0] != h.Secrets[0]:
				wrong = append(wrong, fmt.Errorf("playbooks %s and %s disagree about webhook %s: give both the same auth and as, or another path",
					owner[h.Path], b.Name, h.Path))
			}
		}
	}
	return hooks, errors.Join(wrong...)
}

// concerns says whether a playbook applies to a tenant.
func concerns(b *playbooks.Playbook, tenant string) bool {
	return len(b.Tenants) == 0 || slices.Contains(b.Tenants, tenant)
}

package playbooks

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/internal/document"
	"github.com/playbookd/playbookd/playbooks/expression"
)

// triggers reads the list of triggers and settles what the event in scope is called.
func (c *compiler) triggers(b *block) {
	c.book.Subject, c.book.SubjectType = eventSubject, expression.Any
	n, ok := b.need("triggers", "a list of what starts the playbook")
	if !ok || !c.isList(n, "triggers") {
		return
	}
	switch {
	case len(n.Items) == 0:
		c.fail(n, codeMissing, "add one, for example - poll: {resource: alerts}", "triggers is empty, so nothing starts this playbook")
		return
	case len(n.Items) > MaxTriggers:
		c.fail(n.Items[MaxTriggers], codeLimit, "split the playbook", "there are more than %d triggers", MaxTriggers)
		return
	}
	first := ""
	for i, item := range n.Items {
		t, subject, ok := c.trigger(item, i)
		if !ok {
			continue
		}
		c.book.Triggers = append(c.book.Triggers, t)
		switch {
		case subject == "":
		case first == "":
			first = subject
			c.book.Subject, c.book.SubjectType = subject, c.subjectType(t, subject)
		case first != subject:
			c.fail(item, codeSubject, "make two playbooks of it",
				"this trigger brings an %s, but the ones above bring an %s", subject, first)
		case subject == eventSubject && slices.ContainsFunc(c.book.Triggers, func(t Trigger) bool { return t.Run == nil }):
			c.book.SubjectType = expression.Any // events of several triggers have no common shape
		}
	}
	c.sources(n)
}

func (c *compiler) subjectType(t Trigger, subject string) expression.Type {
	switch t.Kind {
	case ScheduleTrigger:
		return scheduledType()
	case RunTrigger:
		return endedType()
	}
	return SubjectTypeOf(subject)
}

// bringsAlerts says whether no trigger brings incidents without their alerts.
func bringsAlerts(triggers []Trigger) bool {
	return !slices.ContainsFunc(triggers, func(t Trigger) bool {
		return t.Poll != nil && t.Poll.Resource == incidentsResource && !t.Poll.Expand ||
			t.SLA != nil && t.SLA.Resource == incidentsResource && !t.SLA.Expand
	})
}

// sources refuses two webhooks with one path, and two ways to start by hand: nobody could tell
// which of them is meant. Several polls of one resource are fine, each with its own filter, and so are
// several triggers that wait for runs.
func (c *compiler) sources(n *document.Node) {
	seen := map[string]bool{}
	for _, t := range c.book.Triggers {
		if t.Poll != nil || t.Run != nil {
			continue
		}
		if seen[t.Source] {
			at := slices.IndexFunc(n.Items, func(i *document.Node) bool { return i.Pos == t.Pos })
			c.fail(n.Items[at], codeDuplicate, "join the two into one", "another trigger listens to %s already", t.Source)
		}
		seen[t.Source] = true
	}
}

// trigger reads one entry of triggers. subject is empty for a trigger that fits any.
func (c *compiler) trigger(n *document.Node, index int) (t Trigger, subject string, ok bool) {
	if n.Kind == document.String && n.Text == string(ManualTrigger) { // "- manual" is all there is to say
		return Trigger{Kind: ManualTrigger, Pos: n.Pos, Source: "manual/" + c.book.Name, Manual: &Manual{}}, "", true
	}
	if !c.isMap(n, "a trigger") {
		return t, "", false
	}
	b, _ := c.block(n, "a trigger", triggerKinds(), laterTriggerKinds())
	var kinds []string
	for _, k := range triggerKinds() {
		if b.get(k) != nil {
			kinds = append(kinds, k)
		}
	}
	switch {
	case len(kinds) > 1:
		c.fail(n.Pair(kinds[1]).Key, codeConflict, `start a new entry with "- "`, "one trigger cannot be both %s and %s", kinds[0], kinds[1])
		return t, "", false
	case len(kinds) == 0:
		if len(n.Pairs) == 0 {
			c.fail(n, codeMissing, "write poll, change, webhook, schedule, sla, run or manual", "this trigger is empty")
		}
		return t, "", false
	}
	t = Trigger{Kind: TriggerKind(kinds[0]), Pos: n.Pos}
	body := b.get(kinds[0])
	before := len(c.findings)
	switch t.Kind {
	case PollTrigger:
		if t.Poll, subject = c.poll(body); subject == "" {
			subject = meantSubject(body)
		}
		t.Source = "poll/" + t.pollResource()
	case ChangeTrigger:
		if t.Poll, t.Change, subject = c.change(body); subject == "" {
			subject = meantSubject(body)
		}
		t.Source = "poll/" + t.pollResource()
	case RunTrigger:
		t.Run = c.ended(body)
		t.Source, subject = RunSource, eventSubject
	case WebhookTrigger:
		t.Webhook, subject = c.webhook(body)
		t.Source = "webhook/" + t.webhookPath()
	case ScheduleTrigger:
		t.Schedule = c.schedule(body)
		t.Source, subject = fmt.Sprintf("schedule/%s/%d", c.book.Name, index), eventSubject
	case SLATrigger:
		if t.SLA, subject = c.sla(body); subject == "" {
			subject = meantSubject(body)
		}
		t.Source = SLASource(c.book.Name)
	case ManualTrigger:
		t.Manual = c.manual(body)
		t.Source = "manual/" + c.book.Name
	}
	return t, subject, !c.findings[before:].HasErrors() || subject != ""
}

// SLASource is the source of the events of a playbook's clocks.
func SLASource(playbook string) string { return "sla/" + playbook }

// meantSubject is what a poll with a misspelt resource was probably meant to bring, so that one
// slip is one finding and not one for each use of the alert.
func meantSubject(trigger *document.Node) string {
	resource := trigger.Get("resource")
	if resource == nil {
		return ""
	}
	switch actions.Closest(resource.Text, []string{alertsResource, incidentsResource}) {
	case alertsResource:
		return alertSubject
	case incidentsResource:
		return incidentSubject
	}
	return ""
}

func (t Trigger) pollResource() string {
	if t.Poll == nil {
		return ""
	}
	return t.Poll.Resource
}

func (t Trigger) webhookPath() string {
	if t.Webhook == nil {
		return ""
	}
	return t.Webhook.Path
}

// poll reads a poll. The subject comes first: the filter and everything below depend on it.
func (c *compiler) poll(n *document.Node) (*Poll, string) {
	b, ok := c.block(n, "poll", pollKeys(), nil)
	if !ok {
		return nil, ""
	}
	p := &Poll{Every: b.duration("every", MinPollEvery, MaxPollEvery, DefaultPollEvery)}
	subject := c.polled(b, p)
	if subject == "" {
		return p, ""
	}
	p.Created, p.Updated = c.versions(b.get("on"))
	if f := b.get("filter"); f != nil {
		p.Filter = c.filter(f, p.Resource, subject)
		c.filters[p] = f
	}
	return p, subject
}

// polled reads what a poll asks for, and names what it brings; "" if that can't be told.
func (c *compiler) polled(b *block, p *Poll) (subject string) {
	resource, ok := b.need("resource", "alerts or incidents")
	if !ok {
		return ""
	}
	if p.Resource, ok = c.oneOf(resource, "resource", []string{alertsResource, incidentsResource}); !ok {
		return ""
	}
	subject = subjectOf(p.Resource)
	p.Expand = c.expand(b.get("expand"), p.Resource)
	return subject
}

// subjectOf is the name of an object of a resource.
func subjectOf(resource string) string {
	if resource == incidentsResource {
		return incidentSubject
	}
	return alertSubject
}

// expand reads whether incidents are to come with their alerts.
func (c *compiler) expand(n *document.Node, resource string) bool {
	if n == nil {
		return false
	}
	w, ok := c.oneOf(n, "expand", []string{alertsResource})
	if ok && resource != incidentsResource {
		c.fail(n, codeConflict, "remove it", "only incidents can be expanded with their %s", w)
	}
	return ok && resource == incidentsResource
}

// versions reads which versions of an object concern a playbook. The default is both: a playbook
// that closes alerts must also see those that only later get the evidence it looks for.
func (c *compiler) versions(n *document.Node) (created, updated bool) {
	if n == nil {
		return true, true
	}
	words := []string{"created", "updated"}
	items := []*document.Node{n}
	if n.Kind == document.List {
		items = n.Items
	}
	if len(items) == 0 {
		c.fail(n, codeMissing, "write created, updated or [created, updated]", "on is empty, so nothing would start this playbook")
	}
	for _, item := range items {
		w, _ := c.oneOf(item, "on", words)
		created = created || w == "created"
		updated = updated || w == "updated"
	}
	return created, updated
}

// filter translates and compiles a poll's filter.
func (c *compiler) filter(n *document.Node, resource, subject string) *Filter {
	text := c.text(n, "filter", MaxFilterLength)
	if text == "" {
		return nil
	}
	source, problems := translateFilter(text, resource, subject)
	for _, p := range problems {
		c.report(n.ErrorIn(characters(text, p.offset), characters(text[p.offset:], p.length), p.code, p.message, p.mend))
	}
	if len(problems) > 0 {
		return nil
	}
	env := &expression.Env{Vars: map[string]expression.Type{subject: SubjectTypeOf(subject)}}
	program, problem := expression.Compile(source, env, expression.WantBool)
	if problem != nil {
		c.fail(n, codeFilterSyntax, "write it shorter", "the filter cannot be evaluated here: %s", problem.Message)
		return nil
	}
	return &Filter{Text: oneLine(text), Program: program}
}

// characters counts the characters of the first n bytes of s.
func characters(s string, n int) int { return len([]rune(s[:min(n, len(s))])) }

// webhook reads a webhook. Without proof of who sends, anybody could start playbooks, so auth is
// required.
func (c *compiler) webhook(n *document.Node) (*Webhook, string) {
	b, ok := c.block(n, "webhook", webhookKeys(), nil)
	if !ok {
		return nil, ""
	}
	subjects := []string{alertSubject, incidentSubject, eventSubject}
	w := &Webhook{As: b.word("as", eventSubject, subjects...)}
	if p, ok := b.need("path", "the last part of its address, below /webhooks/"); ok {
		w.Path = c.webhookName(p)
	}
	auth, ok := b.need("auth", "{hmac: name of a secret} or {apiKey: name of a secret}")
	if !ok {
		return w, w.As
	}
	ab, ok := c.block(auth, "auth", authKeys(), nil)
	if !ok {
		return w, w.As
	}
	w.HMAC, w.APIKey = c.secretName(ab, "hmac"), c.secretName(ab, "apiKey")
	switch {
	case ab.get("hmac") != nil && ab.get("apiKey") != nil:
		c.fail(auth.Pair("apiKey").Key, codeConflict, "keep one of them; hmac is the stronger", "auth is either hmac or apiKey")
	case ab.get("hmac") == nil && ab.get("apiKey") == nil:
		c.fail(auth, codeMissing, "add hmac: or apiKey: and the name of a secret", "auth names no secret")
	}
	return w, w.As
}

// webhookName reads the path of a webhook: one segment of a URL.
func (c *compiler) webhookName(n *document.Node) string {
	s := c.text(n, "path", MaxWebhookPath)
	if s != "" && !isKebab(s) {
		c.fail(n, codeName, "use lower-case letters, digits and single dashes, starting with a letter", "%q cannot be a webhook's path", shorten(s))
		return ""
	}
	return s
}

// secretName reads the name of a secret where the language expects nothing else.
func (c *compiler) secretName(b *block, key string) string {
	n := b.get(key)
	if n == nil {
		return ""
	}
	if strings.Contains(n.Text, "secrets.") {
		c.fail(n, codeSecret, "write only the name, as in "+key+": edr_key", "%s takes the name of a secret, without ${{ }}", key)
		return ""
	}
	s := c.text(n, key, MaxIdentifier)
	if s != "" && !isSecretName(s) {
		c.fail(n, codeName, "use letters, digits, _ and -", "%q cannot be the name of a secret", shorten(s))
		return ""
	}
	return s
}

func isSecretName(s string) bool {
	return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == "" &&
		s[0] != '-' && len(s) <= MaxIdentifier
}

// schedule reads a schedule. What is a cron expression is for whoever runs it to say.
func (c *compiler) schedule(n *document.Node) *Schedule {
	b, ok := c.block(n, "schedule", scheduleKeys(), nil)
	if !ok {
		return nil
	}
	s := &Schedule{Timezone: "UTC", Missed: b.word("missed", "skip", "skip", "once")}
	if z := b.get("timezone"); z != nil {
		s.Timezone = c.timezone(z)
	}
	cron, ok := b.need("cron", `when, as minute hour day month weekday: "0 8 * * 1-5"`)
	if !ok {
		return s
	}
	if s.Cron = c.text(cron, "cron", MaxIdentifier); s.Cron == "" || s.Timezone == "" || c.o.Schedule == nil {
		return s
	}
	if err := c.o.Schedule(s.Cron, s.Timezone); err != nil {
		c.fail(cron, codeSchedule, `write minute hour day month weekday, as in "0 8 * * 1-5"`, "%q is not a schedule: %v", shorten(s.Cron), err)
	}
	return s
}

func (c *compiler) timezone(n *document.Node) string {
	s := c.text(n, "timezone", MaxIdentifier)
	if s == "" {
		return ""
	}
	if _, err := time.LoadLocation(s); err != nil || s == "Local" {
		c.fail(n, codeSchedule, "use a name of the time zone database, such as Europe/Berlin or UTC", "%q is not a time zone", shorten(s))
		return ""
	}
	return s
}

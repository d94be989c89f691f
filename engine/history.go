package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/playbookd/playbookd/playbooks"
	"github.com/playbookd/playbookd/playbooks/expression"
)

// history() counts, and leastLoaded() compares, by what stored events hold. A journal keeps an index of it, of
// those fields only that some loaded playbook asks about: who asks for nothing has nothing indexed. When a
// playbook begins to ask about a field, [Engine.Prepare] indexes what is stored already.

// Limits of the index.
const (
	// MaxTraits is how many values of an event are indexed.
	MaxTraits = 200
	// MaxHistoryScan is how many objects that have one of the values asked for history() looks at, the newest first,
	// for whether they have the others.
	MaxHistoryScan = 5_000
	// MaxBackfill is how many stored events are indexed when a playbook begins to ask, the newest first.
	MaxBackfill = 100_000

	backfillPage = 500
)

// assignedField is indexed for leastLoaded(): who has which open object.
const assignedField = "assigned"

// Trait is what an event holds in a field that is indexed.
type Trait struct {
	Kind, Field, Value string
}

// Load says who an object is assigned to. Nobody has it if Who is empty: it is resolved, or not assigned.
type Load struct {
	Tenant, Object, Who string
	At                  time.Time // since when
}

// HistoryQuery asks which objects have, in each of the fields, one of the values, since when somebody saw them
// with one of the values of the first field.
type HistoryQuery struct {
	Tenant string
	Kind   string
	Where  []HistoryTerm
	From   time.Time // from and to included
	To     time.Time
	Except string // an object that does not count
	Limit  int
}

// HistoryTerm is a field with the values of which one has to fit.
type HistoryTerm struct {
	Field  string
	Values []string
}

// Indexed is stored events with what is indexed of them.
type Indexed struct {
	Events []IndexedEvent
	// Fields are those that are complete with this, and all that are kept up from now on; nil: it goes on.
	Fields []playbooks.HistoryField
	// Anew says that who has what is learnt from the beginning.
	Anew bool
}

// IndexedEvent is what is indexed of an event.
type IndexedEvent struct {
	Tenant, Object string
	Seen           time.Time
	Traits         []Trait
	Loads          []Load
}

// folded is a value as it is compared.
func folded(s string) string { return strings.ToLower(strings.TrimSpace(s)) }

// wanted is which fields are indexed, by kind of event.
type wanted map[string][]string

func wantedBy(fields []playbooks.HistoryField) wanted {
	w := wanted{}
	for _, f := range fields {
		w[f.Kind] = append(w[f.Kind], f.Field)
	}
	return w
}

// asksOf are the fields that a set of playbooks asks about, in order.
func asksOf(set *playbooks.Set) []playbooks.HistoryField {
	var list []playbooks.HistoryField
	for _, p := range set.Playbooks {
		list = append(list, p.Histories...)
		if slices.Contains(p.Asks, playbooks.AskLeastLoaded) {
			for _, kind := range []string{"alert", "incident"} {
				list = append(list, playbooks.HistoryField{Kind: kind, Field: assignedField})
			}
		}
	}
	return distinct(list)
}

func distinct(list []playbooks.HistoryField) []playbooks.HistoryField {
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b playbooks.HistoryField) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Field, b.Field))
	})
	return slices.Compact(list)
}

// Prepare indexes what the playbooks of a set ask about and the journal has no index of yet. Nothing is
// delivered meanwhile, so that no event is missed; without new fields that is a moment. Call it before Use. With
// keep, what others ask about stays indexed, too.
func (e *Engine) Prepare(ctx context.Context, set *playbooks.Set, keep bool) error {
	need := asksOf(set)
	if len(need) == 0 && e.indexed.Load() == nil && keep {
		return nil
	}
	e.indexing.Lock()
	defer e.indexing.Unlock()
	have, err := e.o.Journal.Indexed(ctx)
	if err != nil {
		return fmt.Errorf("what is indexed: %w", err)
	}
	all := need
	if keep {
		all = distinct(append(all, have...))
	}
	missing := slices.DeleteFunc(slices.Clone(all), func(f playbooks.HistoryField) bool { return slices.Contains(have, f) })
	if len(missing) > 0 {
		e.log.Info("stored events are indexed for history() and leastLoaded()", "fields", len(missing))
		if err := e.backfill(ctx, missing); err != nil {
			return fmt.Errorf("index of stored events: %w", err)
		}
	}
	if !slices.Equal(distinct(have), all) {
		if err := e.o.Journal.Index(ctx, Indexed{Fields: orEmpty(all)}); err != nil {
			return fmt.Errorf("index of stored events: %w", err)
		}
	}
	if len(all) == 0 {
		e.indexed.Store(nil)
		return nil
	}
	w := wantedBy(all)
	e.indexed.Store(&w)
	return nil
}

func orEmpty(list []playbooks.HistoryField) []playbooks.HistoryField {
	if list == nil {
		return []playbooks.HistoryField{}
	}
	return list
}

// backfill indexes stored events, newest first.
func (e *Engine) backfill(ctx context.Context, fields []playbooks.HistoryField) error {
	want := wantedBy(fields)
	anew := slices.ContainsFunc(fields, func(f playbooks.HistoryField) bool { return f.Field == assignedField })
	if anew {
		if err := e.o.Journal.Index(ctx, Indexed{Anew: true}); err != nil {
			return err
		}
	}
	met := map[[2]string]bool{} // objects whose newest version was met
	for at, n := "", 0; n < MaxBackfill; {
		page, err := e.o.Journal.Stored(ctx, at, backfillPage)
		if err != nil || len(page) == 0 {
			return err
		}
		var list []IndexedEvent
		for _, ev := range page {
			object := [2]string{ev.Tenant, ev.Object}
			x := want.of(ev)
			if met[object] {
				x.Loads = nil
			}
			met[object] = true
			if len(x.Traits)+len(x.Loads) > 0 {
				list = append(list, x)
			}
		}
		if err := e.o.Journal.Index(ctx, Indexed{Events: list}); err != nil {
			return err
		}
		at, n = page[len(page)-1].ID, n+len(page)
	}
	return nil
}

// of is what is indexed of an event that a source has brought: a stage of a clock, or what somebody brings by hand, may
// be of an old version.
func (w wanted) of(ev Event) IndexedEvent {
	x := IndexedEvent{Tenant: ev.Tenant, Object: ev.Object, Seen: ev.Seen}
	fields := w[ev.Kind]
	brought := strings.HasPrefix(ev.Source, "poll/") || strings.HasPrefix(ev.Source, "webhook/")
	if len(fields) == 0 || ev.Object == "" || !brought {
		return x
	}
	subject, err := expression.Decode(ev.Payload, playbooks.SubjectTypeOf(ev.Kind))
	if err != nil {
		return x // it has no decision either
	}
	object, ok := subject.(map[string]any)
	if !ok {
		return x
	}
	for _, field := range fields {
		if field == assignedField {
			x.Loads = []Load{loadOf(ev, object)}
			continue
		}
		for _, v := range traitsIn(ev.Kind, field, object) {
			if len(x.Traits) == MaxTraits {
				return x
			}
			x.Traits = append(x.Traits, Trait{Kind: ev.Kind, Field: field, Value: v})
		}
	}
	return x
}

// loadOf says who has the object of an event.
func loadOf(ev Event, object map[string]any) Load {
	l := Load{Tenant: ev.Tenant, Object: ev.Object, At: ev.Seen}
	status, _ := object["status"].(string)
	if who, ok := object["assignedTo"].(string); ok && !closed(status) {
		l.Who = folded(who)
	}
	return l
}

func closed(status string) bool { return status == "resolved" || status == "redirected" }

// loadsOf says whom writes give objects to, if some playbook asks for leastLoaded(). Of one that was refused, the object is
// whose it was when it was read last.
func (e *Engine) loadsOf(ctx context.Context, writes []Write) ([]Load, error) {
	w := e.indexed.Load()
	if w == nil || !slices.Contains((*w)["alert"], assignedField) {
		return nil, nil
	}
	var list []Load
	for _, write := range writes {
		if write.refused() {
			last, err := e.o.Journal.Latest(ctx, write.Tenant, write.Object)
			if err != nil && !errors.Is(err, ErrNotFound) {
				return nil, fmt.Errorf("who has %s: %w", write.Object, err)
			}
			list = append(list, w.of(last).Loads...) // of nothing there are none
			continue
		}
		status, _ := write.Fields["status"].(string)
		who, assigns := write.Fields["assignedTo"].(string)
		if !assigns && !closed(status) {
			continue
		}
		l := Load{Tenant: write.Tenant, Object: write.Object, At: write.At}
		if !closed(status) {
			l.Who = folded(who)
		}
		list = append(list, l)
	}
	return list, nil
}

// traitFields says where the values of a field stand in what an expression gives.
type traitFields struct {
	source string   // an expression of the subject x
	keys   []string // of each item; none: the items themselves
}

// traitSources says what the fields of history() hold. Evidence is read by the same functions as playbooks use.
func traitSources(kind, field string) traitFields {
	switch field {
	case "title":
		if kind == "incident" {
			return traitFields{source: `[x["displayName"]]`}
		}
		return traitFields{source: `[x["title"]]`}
	case "category", "severity":
		return traitFields{source: fmt.Sprintf("[x[%q]]", field)}
	case "detector":
		return traitFields{source: `[x["detectorId"]]`}
	case "service":
		return traitFields{source: `[x["serviceSource"]]`}
	case "technique":
		return traitFields{source: `x["mitreTechniques"]`}
	case "user":
		return traitFields{`users(x)`, []string{"userPrincipalName", "azureAdUserId", "userSid"}}
	case "device":
		return traitFields{`devices(x)`, []string{"deviceDnsName", "mdeDeviceId", "azureAdDeviceId", "name"}}
	case "file":
		return traitFields{`files(x)`, []string{"sha256", "sha1", "md5"}}
	case "ip":
		return traitFields{source: `ips(x)`}
	case "url":
		return traitFields{source: `urls(x)`}
	}
	return traitFields{source: "[]"}
}

// traitPrograms are compiled once for each kind and field.
var traitPrograms sync.Map

func traitProgram(kind, field string) (*expression.Program, []string) {
	t := traitSources(kind, field)
	if p, ok := traitPrograms.Load(t.source); ok {
		return p.(*expression.Program), t.keys
	}
	env := &expression.Env{Vars: map[string]expression.Type{"x": expression.Any}}
	p, problem := expression.Compile(t.source, env, expression.WantAny)
	if problem != nil {
		panic("history: " + t.source + ": " + problem.Error()) // the texts are constants, and a test compiles them all
	}
	traitPrograms.Store(t.source, p)
	return p, t.keys
}

// traitsIn are the values that an object has in a field.
func traitsIn(kind, field string, object map[string]any) []string {
	p, keys := traitProgram(kind, field)
	v, err := p.Eval(map[string]any{"x": object}, time.Time{})
	if err != nil {
		return nil
	}
	items, _ := v.([]any)
	var list []string
	add := func(v any) {
		if key, ok, err := keyOf(v); err == nil && ok {
			if key = folded(key); key != "" && !slices.Contains(list, key) {
				list = append(list, key)
			}
		}
	}
	for _, item := range items {
		fields, ok := item.(map[string]any)
		if !ok {
			add(item)
			continue
		}
		for _, k := range keys {
			add(fields[k])
		}
	}
	return list
}

// selectivity orders fields by how few objects share a value, so that the first one leads to few.
func selectivity() []string {
	return []string{"file", "url", "device", "user", "ip", "detector", "title", "technique", "category", "service", "severity"}
}

// queryOf is what history() asks a journal.
func queryOf(a Asker, arg map[string]any) HistoryQuery {
	seconds, _ := arg["window"].(float64)
	kind := "alert"
	if arg["resource"] == "incidents" {
		kind = "incident"
	}
	q := HistoryQuery{Tenant: a.Tenant, Kind: kind, To: a.Now, Except: a.Object, Limit: playbooks.MaxHistory,
		From: a.Now.Add(-time.Duration(seconds * float64(time.Second)))}
	for _, field := range selectivity() {
		values, ok := arg[field].([]any)
		if !ok {
			continue
		}
		term := HistoryTerm{Field: field}
		for _, v := range values {
			if text, ok := v.(string); ok {
				term.Values = append(term.Values, text)
			}
		}
		q.Where = append(q.Where, term)
	}
	return q
}

// fits says whether an event of the same batch is among what is asked.
func (q HistoryQuery) fits(x IndexedEvent) bool {
	if x.Tenant != q.Tenant || x.Object == q.Except {
		return false
	}
	for _, term := range q.Where {
		if !slices.ContainsFunc(x.Traits, func(t Trait) bool {
			return t.Kind == q.Kind && t.Field == term.Field && slices.Contains(term.Values, t.Value)
		}) {
			return false
		}
	}
	return true
}

// remember says what is indexed of an event that was considered: those after it in its batch find it.
func (pl *planner) remember(ev Event, w wanted) *IndexedEvent {
	if len(w[ev.Kind]) == 0 {
		return nil
	}
	x := w.of(ev)
	if len(x.Traits)+len(x.Loads) == 0 {
		return nil
	}
	pl.indexed = append(pl.indexed, x)
	return &x
}

// counted is the answer to history(): how many other objects.
func (o outside) counted(a Asker, arg map[string]any) (int64, error) {
	q := queryOf(a, arg)
	objects, err := o.e.o.Journal.History(o.ctx, q)
	if err != nil {
		return 0, err
	}
	if o.pl != nil {
		for _, x := range o.pl.indexed {
			if q.fits(x) && !slices.Contains(objects, x.Object) {
				objects = append(objects, x.Object)
			}
		}
	}
	return int64(min(len(objects), playbooks.MaxHistory)), nil
}

// leastLoaded is the answer to leastLoaded(): whoever has the fewest open objects. Of several, the one who is named first.
func (o outside) leastLoaded(a Asker, people []any) (any, error) {
	names := make([]string, len(people))
	for i, p := range people {
		names[i] = folded(fmt.Sprint(p))
	}
	loads, err := o.e.o.Journal.Loads(o.ctx, a.Tenant, names)
	if err != nil {
		return nil, err
	}
	least := 0
	for i := range names {
		if loads[names[i]] < loads[names[least]] {
			least = i
		}
	}
	return people[least], nil
}

package simulator

import (
	"cmp"
	"fmt"
	mathrand "math/rand/v2"
	"slices"
	"strings"
	"time"
)

// Fixed points of generated documents.
const (
	fullWeek        = 20   // alerts from which on every special case is present
	firstIncidentID = 4201 // incidents are numbered from here
	stepApart       = 17 * time.Minute
)

// Generation says what to invent.
type Generation struct {
	Seed   int64
	Start  time.Time     // "now" of the story
	Alerts int           // exactly so many
	Span   time.Duration // ordinary alerts are spread over this long before Start; zero: a week
	Ahead  time.Duration // and over this long after it
	Tenant string
}

// Generate invents the alerts and incidents of a security team's week. The same Generation gives the same
// documents. From twenty alerts on, each week holds:
//
//   - new low alerts raised by the organisation's own vulnerability scanner (all addresses in 10.9.0.0/16), and
//     look-alikes in which one address is not;
//   - an active high incident of credential dumping and encryption (T1003, T1486) on a device;
//   - new medium alerts within two hours, each an incident of its own, that share a device or a user;
//   - new high alerts that nobody has taken for hours.
func Generate(gen Generation) Documents {
	gen.Span, gen.Tenant = orDefault(gen.Span, DefaultSpan), orDefault(gen.Tenant, DefaultTenant)
	rng := mathrand.New(mathrand.NewPCG(uint64(gen.Seed), 0xa1e7))
	g := &generator{Generation: gen, rng: rng, world: newWorld(rng)}
	if gen.Alerts >= fullWeek {
		g.special()
	}
	g.ordinary(gen.Alerts - g.count)
	return g.documents()
}

// generator collects groups of alerts that become incidents.
type generator struct {
	Generation
	rng    *mathrand.Rand
	world  world
	groups []group
	count  int
}

// group is an incident to be.
type group struct {
	alerts []Document
	title  string // empty: that of the first alert
}

func (g *generator) add(title string, alerts ...Document) {
	g.groups = append(g.groups, group{alerts, title})
	g.count += len(alerts)
}

// ago is a moment between two distances before Start.
func (g *generator) ago(least, most time.Duration) time.Time {
	return g.Start.Add(-least - time.Duration(g.rng.Int64N(int64(most-least))))
}

func pick[T any](rng *mathrand.Rand, list []T) T { return list[rng.IntN(len(list))] }

// special adds what every full week holds, more of it in larger ones.
func (g *generator) special() {
	for i := range max(3, g.Alerts/10) {
		g.add("", g.scan(i, false))
	}
	for i := range max(1, g.Alerts/50) {
		g.add("", g.scan(i, true))
	}
	for range 1 + g.Alerts/200 {
		g.ransom()
	}
	for i := range 1 + g.Alerts/40 {
		g.related(i%2 == 0)
	}
	for range max(2, g.Alerts/50) {
		g.forgotten()
	}
}

// scan is an alert about a port scan: by our own scanner, or by something that only looks like it.
func (g *generator) scan(i int, foreign bool) Document {
	st := scanStory(scanTitles()[i%3], []string{"low", "informational"}[i%2])
	scanner := pick(g.rng, g.world.scanner)
	s := scene{at: g.ago(time.Hour, 48*time.Hour), where: scanner, ips: []string{scanner.ip}, verdict: "suspicious", remedy: "none"}
	if g.rng.IntN(2) == 0 {
		s.ips = append(s.ips, fmt.Sprintf("10.9.%d.%d", g.rng.IntN(256), 1+g.rng.IntN(254)))
	}
	if foreign {
		s.ips = append(s.ips, fmt.Sprintf("203.0.113.%d", 1+g.rng.IntN(254)))
	}
	return g.alert(st, s)
}

// ransom is one incident of several high alerts on a server.
func (g *generator) ransom() {
	servers := slices.DeleteFunc(slices.Clone(g.world.devices), func(d device) bool { return d.group != "Servers" })
	where, who, at := pick(g.rng, servers), pick(g.rng, g.world.people), g.ago(2*time.Hour, 20*time.Hour)
	var alerts []Document
	for i, st := range ransomStories() {
		s := g.scene(st, at.Add(time.Duration(i)*11*time.Minute))
		s.where, s.who, s.verdict, s.remedy = where, who, "malicious", "active"
		alerts = append(alerts, g.alert(st, s))
	}
	g.add("Multi-stage incident involving Credential access & Ransomware on one endpoint", alerts...)
}

// related are alerts that belong together, though the service did not notice: same device, or same user.
func (g *generator) related(byDevice bool) {
	var candidates []story
	for _, st := range ordinaryStories() {
		needed := "user"
		if byDevice {
			needed = "device"
		}
		if st.severity == "medium" && slices.Contains(st.kinds, needed) {
			candidates = append(candidates, st)
		}
	}
	where, who, at := pick(g.rng, g.world.devices), pick(g.rng, g.world.people), g.ago(3*time.Hour, 10*time.Hour)
	for range 3 {
		st := pick(g.rng, candidates)
		s := g.scene(st, at.Add(time.Duration(g.rng.Int64N(int64(110*time.Minute)))))
		if byDevice {
			s.where = where
		} else {
			s.who = who
		}
		g.add("", g.alert(st, s))
	}
}

// forgotten is a new high alert that nobody has taken.
func (g *generator) forgotten() {
	high := slices.DeleteFunc(ordinaryStories(), func(st story) bool { return st.severity != "high" })
	st := pick(g.rng, high)
	g.add("", g.alert(st, g.scene(st, g.ago(5*time.Hour, 30*time.Hour))))
}

// ordinary fills up with the week's other alerts: single ones, small incidents and repetitions.
func (g *generator) ordinary(n int) {
	stories := ordinaryStories()
	var last *story
	for n > 0 {
		st := pick(g.rng, stories)
		if last != nil && g.rng.IntN(8) == 0 {
			st = *last // the same again, somewhere else
		}
		size := 1
		if g.rng.IntN(4) == 0 {
			size = min(n, 2+g.rng.IntN(3))
		}
		at := g.Start.Add(-g.Span).Add(time.Duration(g.rng.Int64N(int64(g.Span + g.Ahead))))
		if end := g.Start.Add(g.Ahead - time.Duration(size)*stepApart); at.After(end) {
			at = end // the whole incident lies within the time asked for
		}
		g.incident(st, size, at)
		n -= size
		last = &st
	}
}

// incident adds alerts that the service has put together: one device, one user, a few hours.
func (g *generator) incident(first story, size int, at time.Time) {
	base := g.scene(first, at)
	var alerts []Document
	for i := range size {
		st := first
		if i > 0 {
			st = pick(g.rng, ordinaryStories())
		}
		s := g.scene(st, at.Add(time.Duration(i)*stepApart))
		s.who, s.where = base.who, base.where
		alerts = append(alerts, g.alert(st, s))
	}
	g.triage(alerts)
	title := ""
	if size > 1 {
		title = fmt.Sprintf("Multi-stage incident involving %s on one endpoint", first.category)
	}
	g.add(title, alerts...)
}

func (g *generator) scene(st story, at time.Time) scene {
	s := scene{at: at, who: pick(g.rng, g.world.people), where: pick(g.rng, g.world.devices), ips: []string{outsideIP(g.rng)},
		verdict: "suspicious", remedy: pick(g.rng, []string{"none", "none", "active", "remediated", "prevented"})}
	s.file, s.command, s.url = st.file, st.command, st.url
	return s
}

// triage lets people have worked on alerts of the past: taken, resolved, judged.
func (g *generator) triage(alerts []Document) {
	owner := pick(g.rng, g.world.people).upn
	state := g.rng.IntN(10)
	verdict := pick(g.rng, [][2]string{{"truePositive", "malware"}, {"truePositive", "phishing"}, {"falsePositive", "notMalicious"},
		{"falsePositive", "notEnoughDataToValidate"}, {"informationalExpectedActivity", "lineOfBusinessApplication"}})
	for _, alert := range alerts {
		done := alert.at("createdDateTime").Add(time.Hour + time.Duration(g.rng.Int64N(int64(8*time.Hour))))
		switch {
		case done.After(g.Start) || state < 3:
			// still new
		case state < 5:
			alert["status"], alert["assignedTo"], alert["lastUpdateDateTime"] = "inProgress", owner, formatTime(done)
		default:
			alert["status"], alert["assignedTo"], alert["lastUpdateDateTime"] = "resolved", owner, formatTime(done)
			alert["resolvedDateTime"], alert["classification"], alert["determination"] = formatTime(done), verdict[0], verdict[1]
		}
	}
}

// alert makes the document: new, unassigned, unjudged.
func (g *generator) alert(st story, s scene) Document {
	s.at = s.at.UTC().Truncate(time.Second).Add(time.Duration(g.rng.Int64N(int64(time.Second/tick))) * tick)
	id := g.alertID(st.source, s.at)
	evidence := []any{}
	for _, kind := range st.kinds {
		if kind == "ip" {
			evidence = append(evidence, g.ipEvidence(s)...)
			continue
		}
		evidence = append(evidence, g.evidence(kind, s))
	}
	techniques := make([]any, len(st.techniques))
	for i, technique := range st.techniques {
		techniques[i] = technique
	}
	return Document{
		"id": id, "providerAlertId": id, "tenantId": g.Tenant, "title": st.title, "description": st.text,
		"recommendedActions": "Find out what happened, contain it, then resolve the alert with a classification.",
		"category":           st.category, "categories": []any{st.category}, "severity": st.severity, "status": "new",
		"classification": "unknown", "determination": "unknown", "serviceSource": st.source, "detectionSource": st.detection,
		"productName": productName(st.source), "detectorId": detectorID(st.title), "alertPolicyId": nil, "assignedTo": nil,
		"alertWebUrl":      fmt.Sprintf("https://security.microsoft.com/alerts/%s?tid=%s", id, g.Tenant),
		"actorDisplayName": nil, "threatDisplayName": nil, "threatFamilyName": nil, "investigationState": nil,
		"mitreTechniques": techniques, "systemTags": []any{}, "customDetails": nil, "additionalData": nil,
		"createdDateTime": formatTime(s.at), "lastUpdateDateTime": formatTime(s.at.Add(time.Duration(1+g.rng.IntN(9)) * tick)), "resolvedDateTime": nil,
		"firstActivityDateTime": formatTime(s.at.Add(-15 * time.Minute)), "lastActivityDateTime": formatTime(s.at.Add(-time.Minute)),
		"comments": []any{}, "evidence": evidence,
	}
}

// alertID has the form of the product: ticks and a number for Defender, a GUID for others.
func (g *generator) alertID(source string, at time.Time) string {
	if source == sentinel || source == protection {
		return seededUUID(g.rng)
	}
	const ticksTo1970 = 621355968000000000
	return fmt.Sprintf("da%d_%d", ticksTo1970+at.UnixNano()/100, int32(g.rng.Uint32()))
}

// detectorID is the same for all alerts of one kind.
func detectorID(title string) string {
	rng := mathrand.New(mathrand.NewPCG(uint64(len(title)), 7))
	for _, r := range title {
		rng = mathrand.New(mathrand.NewPCG(rng.Uint64(), uint64(r)))
	}
	return seededUUID(rng)
}

// documents numbers the incidents by age and gives their alerts to them.
func (g *generator) documents() Documents {
	slices.SortStableFunc(g.groups, func(a, b group) int {
		return cmp.Compare(a.alerts[0].text("createdDateTime"), b.alerts[0].text("createdDateTime"))
	})
	var docs Documents
	for i, grp := range g.groups {
		incident := g.incidentOf(fmt.Sprint(firstIncidentID+i), grp)
		docs.Incidents = append(docs.Incidents, incident)
		for _, alert := range grp.alerts {
			alert["incidentId"], alert["incidentWebUrl"] = incident["id"], incident["incidentWebUrl"]
			docs.Alerts = append(docs.Alerts, alert)
		}
	}
	slices.SortStableFunc(docs.Alerts, func(a, b Document) int {
		return cmp.Compare(a.text("createdDateTime"), b.text("createdDateTime"))
	})
	return docs
}

// incidentOf describes a group: the worst severity, the state its alerts are in together.
func (g *generator) incidentOf(id string, grp group) Document {
	first := grp.alerts[0]
	severity, status, updated := "informational", "resolved", ""
	for _, alert := range grp.alerts {
		severity = worse(severity, alert.text("severity"))
		// An incident cannot know of alerts that are still to come: it is bumped when they appear.
		if at := alert.text("lastUpdateDateTime"); updated == "" || !alert.at("createdDateTime").After(g.Start) {
			updated = max(updated, at)
		}
		if alert.text("status") != "resolved" {
			status = "active"
		}
	}
	doc := incidentDocument(id, g.Tenant, orDefault(grp.title, first.text("title")), severity, first.text("createdDateTime"))
	doc["status"], doc["lastUpdateDateTime"], doc["assignedTo"] = status, updated, first["assignedTo"]
	if status == "resolved" {
		doc["classification"], doc["determination"] = first["classification"], first["determination"]
	}
	if strings.Contains(severity, "high") {
		doc["priorityScore"] = 90
	}
	return doc
}

package playbooks

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The kinds of property that a filter may compare.
type propertyKind int

const (
	textProperty propertyKind = iota
	enumProperty
	timeProperty
)

// property is one property that Graph documents as filterable.
type property struct {
	name    string
	kind    propertyKind
	members []string
}

// filterable lists the properties that Graph filters by. Anything else is answered with 400, or
// with everything, so it is refused here.
func filterable(resource string) []property {
	common := []property{
		{name: "assignedTo"},
		{name: "classification", kind: enumProperty, members: classifications()},
		{name: "determination", kind: enumProperty, members: append(determinations(), retiredDeterminations()...)},
		{name: "createdDateTime", kind: timeProperty},
		{name: "lastUpdateDateTime", kind: timeProperty},
		{name: "severity", kind: enumProperty, members: severities()},
	}
	if resource == incidentsResource {
		return append(common, property{name: "status", kind: enumProperty, members: incidentStatuses()})
	}
	return append(common,
		property{name: "status", kind: enumProperty, members: alertStatuses()},
		property{name: "serviceSource", kind: enumProperty, members: serviceSources()})
}

// translateFilter gives a filter the form of an expression over the subject. Comparisons follow
// OData: null equals only null, and nothing is before or after null.
func translateFilter(text, resource, subject string) (string, []*filterProblem) {
	node, problem := parseFilter(text)
	if problem != nil {
		return "", []*filterProblem{problem}
	}
	t := &filterTranslator{resource: resource, subject: subject, properties: filterable(resource)}
	out := t.node(node)
	return out, t.problems
}

type filterTranslator struct {
	resource   string
	subject    string
	properties []property
	problems   []*filterProblem
}

func (t *filterTranslator) fail(code string, at filterToken, message, mend string) {
	t.problems = append(t.problems, &filterProblem{code: code, offset: at.offset, length: max(len(at.text), 1),
		message: message, mend: mend})
}

func (t *filterTranslator) node(n *filterNode) string {
	switch n.op {
	case "and", "or":
		parts := make([]string, len(n.children))
		for i, child := range n.children {
			parts[i] = t.node(child)
		}
		return "(" + strings.Join(parts, " "+n.op+" ") + ")"
	case "not":
		return "not (" + t.node(n.children[0]) + ")"
	}
	p, ok := t.property(n.property)
	if !ok {
		return "false"
	}
	return t.comparison(n, p)
}

// property finds what a comparison is about, or says why it cannot be filtered by.
func (t *filterTranslator) property(at filterToken) (property, bool) {
	names := make([]string, len(t.properties))
	for i, p := range t.properties {
		if p.name == at.text {
			return p, true
		}
		names[i] = p.name
	}
	slices.Sort(names)
	for _, p := range t.properties {
		if strings.EqualFold(p.name, at.text) {
			t.fail(codeFilterProperty, at, fmt.Sprintf("Graph writes %s with other capitals", at.text), "write "+p.name)
			return property{}, false
		}
	}
	if slices.Contains(subjectProperties(t.resource), at.text) {
		t.fail(codeFilterProperty, at, fmt.Sprintf("Graph does not filter %s by %s", t.resource, at.text),
			"say it in when; filterable: "+strings.Join(names, ", "))
		return property{}, false
	}
	t.fail(codeFilterProperty, at, fmt.Sprintf("%s have no property %s", t.resource, at.text), didYouMean(at.text, names))
	return property{}, false
}

// comparison translates one comparison whose property is known.
func (t *filterTranslator) comparison(n *filterNode, p property) string {
	field := t.subject + "." + p.name
	ordered := n.op != "eq" && n.op != "ne" && n.op != "in"
	if ordered && p.kind != timeProperty {
		t.fail(codeFilterLiteral, n.operator, fmt.Sprintf("%s has no order that %s could use", p.name, n.op),
			"list the values: "+p.name+" in ('…', '…')")
		return "false"
	}
	values := make([]string, 0, len(n.literals))
	for _, literal := range n.literals {
		value, ok := t.literal(literal, p)
		if !ok {
			return "false"
		}
		if ordered && value == "nil" {
			t.fail(codeFilterLiteral, literal, "nothing is before or after null", "compare with a timestamp")
			return "false"
		}
		values = append(values, value)
	}
	switch {
	case n.op == "in":
		for i, v := range values {
			values[i] = field + " == " + v
		}
		return "(" + strings.Join(values, " or ") + ")"
	case ordered:
		op := map[string]string{"gt": ">", "ge": ">=", "lt": "<", "le": "<="}[n.op]
		return "(" + field + " != nil and " + field + " " + op + " " + values[0] + ")"
	case n.op == "ne":
		return field + " != " + values[0]
	}
	return field + " == " + values[0]
}

// literal checks a literal against its property and writes it as an expression.
func (t *filterTranslator) literal(at filterToken, p property) (string, bool) {
	if at.kind == filterWord && at.text == "null" {
		return "nil", true
	}
	switch p.kind {
	case timeProperty:
		when, ok := filterTime(at.text)
		if !ok || at.kind != filterNumber {
			t.fail(codeFilterLiteral, at, fmt.Sprintf("%s is compared with a timestamp, not with %s", p.name, at.text),
				"write it bare, in UTC: 2026-01-31T00:00:00Z")
			return "", false
		}
		return `date("` + when.UTC().Format(time.RFC3339Nano) + `")`, true
	case enumProperty:
		return t.member(at, p)
	}
	if at.kind != filterString {
		t.fail(codeFilterLiteral, at, fmt.Sprintf("%s is text, and %s is not", p.name, at.text), "write '"+at.text+"'")
		return "", false
	}
	return strconv.Quote(at.value), true
}

func (t *filterTranslator) member(at filterToken, p property) (string, bool) {
	if at.kind != filterString {
		t.fail(codeFilterLiteral, at, fmt.Sprintf("%s is compared with one of its values in single quotes", p.name),
			"write '"+at.text+"' in quotes; values: "+strings.Join(p.members, ", "))
		return "", false
	}
	if !slices.Contains(p.members, at.value) {
		t.fail(codeFilterLiteral, at, fmt.Sprintf("%s is never %q", p.name, at.value), enumMend(at.value, p.members))
		return "", false
	}
	return strconv.Quote(at.value), true
}

// enumMend says what Graph calls what somebody meant: names of the retired alert API, of the
// portal, and of other products.
func enumMend(value string, members []string) string {
	if name := otherName(value); name != "" && slices.Contains(members, name) {
		return "Graph calls it " + name
	}
	return didYouMean(value, members)
}

// otherName translates words that other interfaces use for Graph's enum values.
func otherName(value string) string {
	switch fold(value) {
	case "critical", "veryhigh", "urgent":
		return "high"
	case "moderate":
		return "medium"
	case "info":
		return "informational"
	case "newalert", "open", "unassigned":
		return "new"
	case "closed", "dismissed", "done":
		return "resolved"
	case "inprogress", "investigating", "ongoing":
		return "inProgress"
	case "compromiseduser":
		return "compromisedAccount"
	case "clean":
		return "notMalicious"
	case "insufficientdata", "notvalidated":
		return "notEnoughDataToValidate"
	case "confirmeduseractivity":
		return "confirmedActivity"
	case "benignpositive", "informational", "expectedactivity":
		return "informationalExpectedActivity"
	case "defenderforendpoint", "mde", "microsoftdefenderatp", "mdatp":
		return "microsoftDefenderForEndpoint"
	case "defenderforidentity", "mdi", "azureadvancedthreatprotection":
		return "microsoftDefenderForIdentity"
	case "defenderforoffice365", "mdo", "office365":
		return "microsoftDefenderForOffice365"
	case "sentinel", "azuresentinel":
		return "microsoftSentinel"
	}
	return ""
}

package odata_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/playbookd/playbookd/graph/simulator/odata"
	"github.com/playbookd/playbookd/internal/killer"
)

const document = `{
	"severity":"high","status":"new","assignedTo":null,"title":"it's","score":90,"big":9007199254740993,"open":true,
	"created":"2026-11-22T02:02:32.1234567Z","tags":["a","b"],"empty":[],
	"evidence":[{"@odata.type":"#x.ipEvidence","ip":"10.9.0.1","verdict":"suspicious"},
	            {"@odata.type":"#x.userEvidence","user":{"upn":"ann@y.example"},"verdict":"malicious"}]}`

func decoded(t testing.TB) map[string]any {
	dec := json.NewDecoder(strings.NewReader(document))
	dec.UseNumber()
	var doc map[string]any
	if err := dec.Decode(&doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestFilterMatches(t *testing.T) {
	t.Parallel()
	for filter, want := range map[string]bool{
		"severity eq 'high'": true, "severity ne 'high'": false, "severity eq 'High'": false, "'high' eq severity": true,
		"severity in ('low','high')": true, "severity in ('low')": false, "assignedTo in ('x',null)": true,
		"severity eq 'low' or status eq 'new' and title eq 'x'":   false,
		"(severity eq 'low' or status eq 'new') and title ne 'x'": true,
		"severity eq 'high' or status eq 'x' and title eq 'x'":    true,
		"not severity eq 'low'":                                   true,
		"not (severity eq 'high') or not not status eq 'new'":     true,
		"title eq 'it''s'":        true,
		"assignedTo eq null":      true,
		"assignedTo ne null":      false,
		"missing eq null":         true,
		"missing/deeper eq null":  true,
		"assignedTo ne 'x'":       true,
		"assignedTo gt 'a'":       false,
		"not (assignedTo gt 'a')": true,
		"null eq null":            true,
		"null gt null":            false,
		"score gt 89.5":           true,
		"score le 9e1":            true,
		"score lt -1":             false,
		"score eq '90'":           false,
		"big gt 1":                true,
		"open":                    true,
		"not open":                false,
		"open eq true and true":   true,
		"open ne false":           true,
		"false":                   false,
		"severity":                false,
		"created gt 2026-11-22T02:02:32.1234566Z":                         true,
		"created gt 2026-11-22T02:02:32.1234567Z":                         false,
		"created ge 2026-11-22T02:02:32.1234567Z":                         true,
		"created le 2026-11-22T03:02:33+01:00":                            true,
		"created gt 2026-11-22T03:02:33+01:00":                            false,
		"2026-11-22T02:02Z lt created":                                    true,
		"created gt 2026-11-22":                                           true,
		"2026-11-22 lt 2026-11-23":                                        true,
		"created eq 'x'":                                                  false,
		"severity gt 2026-11-22":                                          false,
		"tags/any(t:t eq 'b')":                                            true,
		"tags/all(t:t eq 'b')":                                            false,
		"tags/any()":                                                      true,
		"empty/any()":                                                     false,
		"empty/any(t:t eq t)":                                             false,
		"empty/all(t:t eq 'x')":                                           true,
		"missing/any(t:t eq 'x')":                                         false,
		"missing/all(t:t eq 'x')":                                         true,
		"severity/any(t:t eq 'x')":                                        false,
		"evidence/any(e:e/ip eq '10.9.0.1')":                              true,
		"evidence/any(e:e/x.userEvidence/user/upn eq 'ann@y.example')":    true,
		"evidence/any(e:e/x.ipEvidence/user/upn eq 'ann@y.example')":      false,
		"evidence/any(e:e/verdict eq 'malicious' and severity eq 'high')": true,
		"evidence/any(e:e/verdict eq 'malicious' and e/ip eq '10.9.0.1')": false,
		"evidence/any(e:tags/any(t:t eq 'a') and e/ip ne null)":           true,
		"tags/any(t:tags/any(u:u ne t))":                                  true,
		"tags/any(t:tags/all(t:t eq 'a'))":                                false,
		"  severity\teq 'high'  ":                                         true,
	} {
		f, err := odata.Parse(filter)
		if err != nil {
			t.Errorf("%s: %v", filter, err)
			continue
		}
		if got := f.Match(decoded(t)); got != want {
			t.Errorf("%s: %v, want %v", filter, got, want)
		}
	}
}

func TestFilterErrorsSayWhere(t *testing.T) {
	t.Parallel()
	for filter, offset := range map[string]int{
		"": 0, " ": 1, "eq 'x'": 3, "a eq": 4, "a eq 'x": 5, "a eq 'x' b": 9, "a = 'x'": 2, "(a eq 1": 7, "a eq 1)": 6, "a in 1": 5, "a in (": 6, "a in ()": 6,
		"a in (1": 7, "a in (b)": 6, "not": 3, "a/": 2, "/a": 0, "a eq 12x": 5, "a eq 2026-13-01": 5, "a eq 1e999": 5, "f(a)": 0, "a/f(b) eq 1": 2,
		"'x'": 3, "5": 1, "a/any(": 6, "a/any(t": 7, "a/any(t:": 8, "a/any(t:t eq 1": 14, "a/any(1:t)": 6, "a/all()": 6, "a/any(x.y:1 eq 1)": 6, "1 eq a/any()": 2, "a eq \x00": 5, "ü": 0,
	} {
		_, err := odata.Parse(filter)
		var syntax *odata.SyntaxError
		if !errors.As(err, &syntax) {
			t.Errorf("%q: %v", filter, err)
		} else if syntax.Offset != offset || !strings.Contains(err.Error(), fmt.Sprint(offset)) {
			t.Errorf("%q: %v, want position %d", filter, err, offset)
		}
	}
}

func TestFilterLimits(t *testing.T) {
	t.Parallel()
	terms := func(n int) string { return strings.Repeat("a eq 1 or ", n-1) + "a eq 1" }
	nested := func(n int) string { return strings.Repeat("(", n) + "a eq 1" + strings.Repeat(")", n) }
	nots := func(n int) string { return strings.Repeat("not ", n) + "a eq 1" }
	members := func(n int) string { return "a in (" + strings.Repeat("1,", n-1) + "1)" }
	lambdas := func(n int) string {
		return strings.Repeat("a/any(x:", n) + "a eq 1" + strings.Repeat(")", n)
	}
	length := func(n int) string { return "a eq '" + strings.Repeat("x", n-7) + "'" }
	for name, c := range map[string]struct {
		build func(int) string
		limit int
	}{
		"terms": {terms, odata.MaxTerms}, "parentheses": {nested, odata.MaxDepth}, "nots": {nots, odata.MaxDepth},
		"members": {members, odata.MaxTerms - 1}, "lambdas": {lambdas, odata.MaxDepth}, "length": {length, odata.MaxLength},
	} {
		if _, err := odata.Parse(c.build(c.limit)); err != nil {
			t.Errorf("%s at the limit: %v", name, err)
		}
		if _, err := odata.Parse(c.build(c.limit + 1)); err == nil {
			t.Errorf("%s beyond the limit are accepted", name)
		}
	}
}

func TestComparisonsNameWhatAFilterTouches(t *testing.T) {
	t.Parallel()
	f, err := odata.Parse("a eq 'x' and 5 lt b/c or d in (null,true) or e/any(v:v/f ge 2026-11-22 and v ne g) or h")
	if err != nil {
		t.Fatal(err)
	}
	want := []odata.Comparison{
		{Path: []string{"a"}, Op: "eq", Literals: []odata.Literal{{Kind: odata.String, Text: "x"}}},
		{Path: []string{"b", "c"}, Op: "lt", Literals: []odata.Literal{{Kind: odata.Number, Text: "5"}}},
		{Path: []string{"d"}, Op: "in", Literals: []odata.Literal{{Kind: odata.Null, Text: "null"}, {Kind: odata.Bool, Text: "true"}}},
		{Path: []string{"e"}, Op: "any"},
		{Path: []string{"e", "f"}, Op: "ge", Literals: []odata.Literal{{Kind: odata.Time, Text: "2026-11-22"}}},
		{Path: []string{"e"}, Op: "ne"}, {Path: []string{"g"}, Op: "ne"}, {Path: []string{"h"}},
	}
	if diff := cmp.Diff(want, f.Comparisons(), cmpopts.IgnoreUnexported(odata.Literal{})); diff != "" {
		t.Error(diff)
	}
}

func TestOrder(t *testing.T) {
	t.Parallel()
	docs := []map[string]any{
		{"id": "1", "t": "2026-11-22T01:00:00.5Z", "n": json.Number("10"), "o": map[string]any{"x": "b"}},
		{"id": "2", "t": "2026-11-22T02:00:00.25+01:00", "n": json.Number("9"), "o": map[string]any{"x": "a"}},
		{"id": "3", "t": nil, "n": json.Number("9")},
	}
	for by, want := range map[string]string{"t": "321", "t desc": "123", "n,id desc": "321", "n asc,id": "231", "o/x": "321", " id  desc ": "321"} {
		order, err := odata.ParseOrder(by)
		if err != nil {
			t.Errorf("%s: %v", by, err)
			continue
		}
		sorted := slices.Clone(docs)
		slices.SortStableFunc(sorted, order.Compare)
		got := ""
		for _, d := range sorted {
			got += d["id"].(string)
		}
		if got != want {
			t.Errorf("%s: %s, want %s", by, got, want)
		}
	}
	for _, by := range []string{"", ",", "a,", "a up", "a desc b", "a/", "/a", "a b/c d", "'x'", strings.Repeat("a,", odata.MaxOrder) + "a", strings.Repeat("a", odata.MaxLength+1)} {
		if _, err := odata.ParseOrder(by); err == nil {
			t.Errorf("%q is accepted", by)
		}
	}
	if _, err := odata.ParseOrder(strings.Repeat("a,", odata.MaxOrder-1) + "a"); err != nil {
		t.Error(err)
	}
}

// TestLogicHolds checks the laws of and, or and not on random comparisons.
func TestLogicHolds(t *testing.T) {
	t.Parallel()
	doc := decoded(t)
	atom := rapid.Custom(func(rt *rapid.T) string {
		property := rapid.SampledFrom([]string{"severity", "status", "assignedTo", "score", "created", "missing"}).Draw(rt, "property")
		op := rapid.SampledFrom([]string{"eq", "ne", "gt", "ge", "lt", "le"}).Draw(rt, "op")
		literal := rapid.SampledFrom([]string{"'high'", "'new'", "null", "90", "2026-11-22T02:02:32Z", "true"}).Draw(rt, "literal")
		return property + " " + op + " " + literal
	})
	match := func(rt *rapid.T, filter string) bool {
		f, err := odata.Parse(filter)
		if err != nil {
			rt.Fatalf("%s: %v", filter, err)
		}
		return f.Match(doc)
	}
	rapid.Check(t, func(rt *rapid.T) {
		a, b, c := atom.Draw(rt, "a"), atom.Draw(rt, "b"), atom.Draw(rt, "c")
		x, y, z := match(rt, a), match(rt, b), match(rt, c)
		for filter, want := range map[string]bool{
			a + " and " + b: x && y, a + " or " + b: x || y, "not (" + a + ")": !x, "not " + a: !x,
			a + " or " + b + " and " + c: x || y && z, "(" + a + " or " + b + ") and " + c: (x || y) && z,
			a + " and " + b + " or " + c: x && y || z,
		} {
			if got := match(rt, filter); got != want {
				rt.Fatalf("%s: %v, want %v", filter, got, want)
			}
		}
	})
}

// TestStringsSurviveQuoting checks that any text can be asked for once its quotes are doubled.
func TestStringsSurviveQuoting(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		text := rapid.StringN(0, 50, 200).Draw(rt, "text")
		f, err := odata.Parse("a eq '" + strings.ReplaceAll(text, "'", "''") + "'")
		if err != nil {
			rt.Fatal(err)
		}
		if !f.Match(map[string]any{"a": text}) || f.Match(map[string]any{"a": text + "x"}) {
			rt.Fatalf("%q is not found, or too much is", text)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"a eq 'it''s' and not (b gt 2026-11-22T02:02:32.1234567Z)", "e/any(x:x/y.z/a in (1,null,true))", "((((", "a/all(", "-1e5 lt a"} {
		f.Add(seed)
	}
	for _, k := range killer.Filters() {
		f.Add(k.Text)
	}
	f.Fuzz(func(t *testing.T, input string) {
		filter, err := odata.Parse(input)
		if err != nil {
			var syntax *odata.SyntaxError
			if !errors.As(err, &syntax) || syntax.Offset < 0 || syntax.Offset > max(len(input), odata.MaxLength) {
				t.Fatalf("%q: %v", input, err)
			}
			return
		}
		doc := decoded(t)
		first := filter.Match(doc)
		negated, err := odata.Parse("not (" + input + ")")
		if err == nil && negated.Match(doc) == first {
			t.Errorf("%q and its negation are both %v", input, first)
		}
		for _, c := range filter.Comparisons() {
			if len(c.Path) == 0 {
				t.Errorf("%q: a comparison without a path", input)
			}
		}
	})
}

func FuzzParseOrder(f *testing.F) {
	f.Add("lastUpdateDateTime asc,id desc")
	f.Fuzz(func(t *testing.T, input string) {
		order, err := odata.ParseOrder(input)
		if err != nil {
			return
		}
		a, b := decoded(t), map[string]any{}
		if order.Compare(a, b) != -order.Compare(b, a) || order.Compare(a, a) != 0 {
			t.Errorf("%q is no order", input)
		}
	})
}

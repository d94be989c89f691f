package graph

import (
	"slices"
	"strings"
	"testing"
)

func TestOlderNamesOfDeterminationsAreUnderstoodAndNeverSent(t *testing.T) {
	t.Parallel()
	for alias, want := range DeterminationAliases() {
		for _, in := range []string{alias, strings.ToUpper(alias), want} {
			if got, err := NormalizeDetermination(in); err != nil || got != want {
				t.Errorf("%s: %s, %v", in, got, err)
			}
		}
		if slices.Contains(Determinations(), alias) || !slices.Contains(Determinations(), want) {
			t.Errorf("%s -> %s", alias, want)
		}
	}
	for _, retired := range RetiredDeterminations() {
		if _, err := NormalizeDetermination(retired); err == nil {
			t.Errorf("%s may be written", retired)
		}
	}
	if _, err := NormalizeAlertStatus("newAlert"); err == nil || !strings.Contains(err.Error(), "inProgress") {
		t.Errorf("the error does not list what is possible: %v", err)
	}
}

func TestPairsThatThePortalRefusesAreRecognised(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		classification, determination string
		want                          bool
	}{
		{"truePositive", "malware", true}, {"truePositive", "notMalicious", false}, {"truePositive", "compromisedUser", true},
		{"falsePositive", "clean", true}, {"falsePositive", "phishing", false}, {"falsePositive", "other", true},
		{"informationalExpectedActivity", "securityTesting", true}, {"informationalExpectedActivity", "malware", false},
		{"unknown", "malware", true}, {"truePositive", "", true}, {"truePositive", "unknown", true}, {"", "malware", true},
	} {
		if got := SensiblePair(tc.classification, tc.determination); got != tc.want {
			t.Errorf("%s with %s: %v", tc.classification, tc.determination, got)
		}
	}
	for class, all := range SensiblePairs() {
		if !slices.Contains(Classifications(), class) {
			t.Errorf("%s is no classification", class)
		}
		for _, d := range all {
			if !slices.Contains(WritableDeterminations(), d) {
				t.Errorf("%s may not be written", d)
			}
		}
	}
}

func TestTagsAreMergedWithoutLosingThoseThatStay(t *testing.T) {
	t.Parallel()
	got := MergeTags([]string{"a", "b", "b", "c"}, []string{"d", "a"}, []string{"c"})
	if !slices.Equal(got, []string{"a", "b", "d"}) {
		t.Errorf("got %v", got)
	}
	if got := MergeTags(nil, nil, nil); got == nil || len(got) != 0 {
		t.Errorf("got %v", got)
	}
}

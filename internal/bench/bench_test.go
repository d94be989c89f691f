package main

import (
	"bytes"
	"strings"
	"testing"
)

// The bench itself fails if a run is missing in a journal, or if an alert got another number of
// PATCHes than its playbook has steps.
func TestBothProgramsOfTheBenchRecordEveryRunAndSendEachPatchOnce(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := run(t.Context(), smoke, "", &out); err != nil {
		t.Fatal(err)
	}
	for _, s := range scenarios {
		if !strings.Contains(out.String(), "| "+s.name+" |") {
			t.Errorf("%s was not measured", s.name)
		}
	}
}

func TestMediansAndPercentilesAreThoseOfTheValues(t *testing.T) {
	t.Parallel()
	if m := median([]float64{5, 1, 3}); m != 3 {
		t.Errorf("median of 1, 3, 5: %v", m)
	}
	if m := median([]float64{4, 1, 2, 3}); m != 2.5 {
		t.Errorf("median of 1 to 4: %v", m)
	}
	if r := ratio([]float64{1, 4, 3}, []float64{2, 4, 1}); r != 1 {
		t.Errorf("median of the ratios 0.5, 1 and 3: %v", r)
	}
	var hundred []float64
	for i := range 100 {
		hundred = append(hundred, float64(i+1))
	}
	if p := at(hundred, 99); p != 100 {
		t.Errorf("p99 of 1 to 100: %v", p)
	}
	if p := at([]float64{7}, 99); p != 7 {
		t.Errorf("p99 of one value: %v", p)
	}
}

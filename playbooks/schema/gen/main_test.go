package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCheckedInFilesAreWhatTheGeneratorWrites(t *testing.T) {
	t.Parallel()
	files, err := generate("../../../testdata/graph/openapi-security.json")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != 2 {
		t.Fatalf("generated %d files, want alert.json and incident.json", len(files))
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join("..", name))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s is out of date; run go generate ./playbooks/schema (-generated +checked in)\n%s", name, diff)
		}
	}
}

func TestRunWritesTheFilesAndRefusesABrokenDescription(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := run("../../../testdata/graph/openapi-security.json", dir); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"alert.json", "incident.json"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
	broken := filepath.Join(dir, "broken.json")
	if err := os.WriteFile(broken, []byte(`{"components":{"schemas":{}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run(broken, dir); err == nil {
		t.Error("a description without alerts was accepted")
	}
}

func TestMergingFieldsOfTwoKindsOfEvidenceKeepsOnlyWhatBothPromise(t *testing.T) {
	t.Parallel()
	text := field{Type: "text"}
	low, high := field{Type: "text", Name: "a", Enum: []string{"low"}}, field{Type: "text", Name: "b", Enum: []string{"low", "high"}}
	for _, test := range []struct {
		name    string
		a, b, m field
	}{
		{"equal", text, text, text},
		{"enumerations", low, high, field{Type: "text", Enum: []string{"low", "high"}}},
		{"enumeration and text", low, text, text},
		{"text and number", text, field{Type: "int"}, field{Type: "any"}},
		{"two objects", field{Type: "object", Ref: "a"}, field{Type: "object", Ref: "b"}, field{Type: "any"}},
		{"lists", field{Type: "list", Items: &low}, field{Type: "list", Items: &text}, field{Type: "list", Items: &text}},
	} {
		if diff := cmp.Diff(test.m, merge(test.a, test.b)); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", test.name, diff)
		}
	}
}

package diag

import (
	"encoding/json"
	"io"
	"net/url"
	"path/filepath"
	"slices"
)

// jsonFinding is a finding as other programs read it. The names are part of the interface.
type jsonFinding struct {
	Code     string   `json:"code"`
	Severity Severity `json:"severity"`
	File     string   `json:"file"`
	Line     int      `json:"line,omitempty"`
	Column   int      `json:"column,omitempty"`
	Length   int      `json:"length,omitempty"`
	Message  string   `json:"message"`
	Mend     string   `json:"mend,omitempty"`
	Excerpt  string   `json:"excerpt,omitempty"`
}

// MarshalJSON gives a finding the same flat form everywhere: files, API, command line.
func (f Finding) MarshalJSON() ([]byte, error) {
	return json.Marshal(jsonFinding{
		Code: f.Code, Severity: f.Severity, File: f.Pos.File, Line: f.Pos.Line, Column: f.Pos.Column,
		Length: f.Length, Message: f.Message, Mend: f.Mend, Excerpt: f.Excerpt,
	})
}

// JSON writes {"findings": […]}, one object for each finding; the list is empty, never null.
func JSON(w io.Writer, findings Findings) error {
	enc := json.NewEncoder(Escaped(w))
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	if findings == nil {
		findings = Findings{}
	}
	return enc.Encode(struct {
		Findings Findings `json:"findings"`
	}{findings})
}

// The parts of SARIF 2.1.0 that are used, after its schema.
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool       sarifTool     `json:"tool"`
		ColumnKind string        `json:"columnKind"`
		Results    []sarifResult `json:"results"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name    string      `json:"name"`
		Version string      `json:"version"`
		Rules   []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID       string      `json:"id"`
		Short    sarifText   `json:"shortDescription"`
		Help     *sarifHelp  `json:"help,omitempty"`
		Defaults sarifConfig `json:"defaultConfiguration"`
	}
	sarifText struct {
		Text string `json:"text"`
	}
	sarifHelp struct {
		Text     string `json:"text"`
		Markdown string `json:"markdown"`
	}
	sarifConfig struct {
		Level string `json:"level"`
	}
	sarifResult struct {
		RuleID    string          `json:"ruleId"`
		Level     string          `json:"level"`
		Message   sarifText       `json:"message"`
		Locations []sarifLocation `json:"locations"`
	}
	sarifLocation struct {
		Physical sarifPhysical `json:"physicalLocation"`
	}
	sarifPhysical struct {
		Artifact sarifArtifact `json:"artifactLocation"`
		Region   *sarifRegion  `json:"region,omitempty"`
	}
	sarifArtifact struct {
		URI string `json:"uri"`
	}
	sarifRegion struct {
		StartLine   int `json:"startLine"`
		StartColumn int `json:"startColumn,omitempty"`
		EndColumn   int `json:"endColumn,omitempty"`
	}
)

// SARIF writes findings in the Static Analysis Results Interchange Format 2.1.0, which code hosts show beside
// the lines of a pull request. Rules are described for the codes that occur.
func SARIF(w io.Writer, findings Findings, toolVersion string, codes []Code) error {
	run := sarifRun{
		Tool:       sarifTool{sarifDriver{Name: "playbookd", Version: toolVersion, Rules: sarifRules(findings, codes)}},
		ColumnKind: "unicodeCodePoints",
		Results:    []sarifResult{},
	}
	for _, f := range findings {
		run.Results = append(run.Results, sarifOf(f))
	}
	enc := json.NewEncoder(Escaped(w))
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(sarifLog{
		Schema:  "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
		Version: "2.1.0",
		Runs:    []sarifRun{run},
	})
}

// sarifRules describes each code that occurs, once, in order of the code.
func sarifRules(findings Findings, codes []Code) []sarifRule {
	names := make([]string, 0, len(findings))
	for _, f := range findings {
		names = append(names, f.Code)
	}
	slices.Sort(names)
	rules := []sarifRule{}
	for _, name := range slices.Compact(names) {
		rule := sarifRule{ID: name, Short: sarifText{name}, Defaults: sarifConfig{string(Error)}}
		if c, ok := Lookup(codes, name); ok {
			rule.Short = sarifText{c.Title}
			rule.Help = &sarifHelp{Text: c.Help, Markdown: c.Help}
			rule.Defaults = sarifConfig{string(c.Severity)}
		}
		rules = append(rules, rule)
	}
	return rules
}

// sarifOf translates one finding. SARIF has no field for advice, so the mend follows the message.
func sarifOf(f Finding) sarifResult {
	text := plain(f.Message)
	if f.Mend != "" {
		text += "\n" + plain(f.Mend)
	}
	place := sarifPhysical{Artifact: sarifArtifact{URI: (&url.URL{Path: filepath.ToSlash(f.Pos.File)}).String()}}
	if f.Pos.Line > 0 {
		region := &sarifRegion{StartLine: f.Pos.Line, StartColumn: f.Pos.Column}
		if f.Pos.Column > 0 {
			region.EndColumn = f.Pos.Column + max(f.Length, 1)
		}
		place.Region = region
	}
	return sarifResult{
		RuleID:    f.Code,
		Level:     string(f.Severity),
		Message:   sarifText{text},
		Locations: []sarifLocation{{place}},
	}
}

package docs_test

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/playbookd/playbookd/internal/document"
	"github.com/playbookd/playbookd/server"
)

// expressions are the PromQL of the examples, by where it stands.
func expressions(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	text, err := os.ReadFile("../examples/monitoring/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	doc, findings := document.Read("alerts.yaml", text)
	if err := findings.Err(); err != nil {
		t.Fatal(err)
	}
	for _, group := range doc.Root.Get("groups").Items {
		for _, rule := range group.Get("rules").Items {
			name := rule.Get("alert").Text
			if rule.Get("labels").Get("severity") == nil || rule.Get("annotations").Get("summary") == nil {
				t.Errorf("rule %s has no severity or no summary", name)
			}
			all["rule "+name] = rule.Get("expr").Text
		}
	}
	var dashboard struct {
		Panels []struct {
			ID      int
			Title   string
			GridPos struct{ X, Y, W, H int }
			Targets []struct{ Expr string }
		}
	}
	if text, err = os.ReadFile("../examples/monitoring/dashboard.json"); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	seen := map[int]bool{}
	for _, p := range dashboard.Panels {
		if seen[p.ID] || p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("panel %s: its id is another's, or it does not fit the grid", p.Title)
		}
		seen[p.ID] = true
		for i, target := range p.Targets {
			all["panel "+p.Title+string(rune('A'+i))] = target.Expr
		}
	}
	return all
}

func TestEveryMetricAndLabelOfTheMonitoringExamplesExists(t *testing.T) {
	t.Parallel()
	rows := map[string]server.Row{}
	for _, row := range server.Table() {
		rows[row.Name] = row
		if row.Kind == server.Histogram {
			for _, suffix := range []string{"_bucket", "_count", "_sum"} {
				rows[row.Name+suffix] = row
			}
		}
	}
	metric := regexp.MustCompile(`(playbookd_\w+)(?:\{([^}]*)\})?`)
	matcher := regexp.MustCompile(`(\w+)\s*(?:=~|!=|!~|=)`)
	used := map[string]bool{}
	all := expressions(t)
	for where, expr := range all {
		for _, m := range metric.FindAllStringSubmatch(expr, -1) {
			row, ok := rows[m[1]]
			if !ok {
				t.Errorf("%s: there is no metric %s", where, m[1])
				continue
			}
			used[row.Name] = true
			if row.Kind == server.Histogram && m[1] == row.Name {
				t.Errorf("%s: %s is a histogram: use its _bucket, _sum or _count", where, m[1])
			}
			for _, l := range matcher.FindAllStringSubmatch(m[2], -1) {
				if l[1] != "instance" && !slices.Contains(row.Labels, l[1]) {
					t.Errorf("%s: %s has no label %s", where, m[1], l[1])
				}
			}
		}
		if strings.Count(expr, "(") != strings.Count(expr, ")") || strings.Count(expr, "{") != strings.Count(expr, "}") {
			t.Errorf("%s: parentheses do not match: %s", where, expr)
		}
		by := regexp.MustCompile(`by \(([^)]*)\)`).FindStringSubmatch(expr)
		if by == nil {
			continue
		}
		for label := range strings.SplitSeq(by[1], ", ") {
			known := label == "le" || label == "instance"
			for _, m := range metric.FindAllStringSubmatch(expr, -1) {
				known = known || slices.Contains(rows[m[1]].Labels, label)
			}
			if !known {
				t.Errorf("%s: no metric of it has the label %s", where, label)
			}
		}
	}
	if len(all) < 30 || len(used) < 25 {
		t.Errorf("only %d expressions with %d metrics", len(all), len(used))
	}
}

func TestEveryCheckThatARuleNamesExists(t *testing.T) {
	t.Parallel()
	page := page(t, "metrics.md")
	for where, expr := range expressions(t) {
		for _, m := range regexp.MustCompile(`check="([^"]+)"`).FindAllStringSubmatch(expr, -1) {
			if !strings.Contains(page, "| `"+m[1]+"` |") {
				t.Errorf("%s: metrics.md lists no check %q", where, m[1])
			}
		}
	}
}

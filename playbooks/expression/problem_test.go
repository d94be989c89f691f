package expression_test

import (
	"strings"
	"testing"

	"github.com/playbookd/playbookd/playbooks/expression"
)

// Each case marks the characters that the Problem must point to with ⟨⟩.
func TestProblemsPointToTheMistakeAndSayHowToMendIt(t *testing.T) {
	t.Parallel()
	env, _ := world()
	for src, want := range map[string]string{
		`alert.⟨sevrity⟩ == "high"`:                      "did you mean severity?",
		`⟨alrt⟩.title == "x"`:                            "did you mean alert?",
		`lists.⟨known_nois⟩`:                             "did you mean known_noise?",
		`lists.⟨zzzzzz⟩`:                                 "known fields: known_noise, scanner_ranges",
		`any(alert.evidence, .⟨ipAdress⟩ == "x")`:        "did you mean ipAddress?",
		`first(alert.evidence).⟨ipAddres⟩`:               "did you mean ipAddress?",
		`alert.severity == ⟨"critical"⟩`:                 `Graph calls it "high"`,
		`⟨"hihg"⟩ != alert.severity`:                     `did you mean "high"?`,
		`alert.severity in ["low", ⟨"hihg"⟩]`:            `did you mean "high"?`,
		`any(incident.alerts, .status == ⟨"open"⟩)`:      "possible: new, inProgress, resolved",
		`alert.title ⟨=⟩ "x"`:                            "==",
		`alert.title == ⟨⟩`:                              "close every bracket",
		`alert.createdDateTime ⟨>⟩ "2027"`:               "date(",
		`alert.count ⟨==⟩ "3"`:                           "int(text)",
		`alert.title ⟨+⟩ alert.count`:                    "string(x)",
		`"a" ⟨in⟩ alert.title`:                           "contains",
		`alert.evidence ⟨contains⟩ "x"`:                  "item in list",
		`alert.evidence.⟨ipAddress⟩`:                     "any(list",
		`⟨lwer⟩(alert.title)`:                            "did you mean lower?",
		`⟨repeat⟩("x", 9)`:                               "fill the memory",
		`lower(⟨1⟩)`:                                     "string(x)",
		`⟨truncate⟩(alert.title)`:                        "truncate(text, length)",
		`⟨lower⟩`:                                        "lower(text)",
		`alert.title ⟨//⟩ comment`:                       "/*",
		`1 < alert.count ⟨<⟩ 3`:                          "a < b and b < c",
		`alert.title matches ⟨"("⟩`:                      "RE2",
		`alert.title ⟨matches⟩ alert.id`:                 "glob",
		`alert.createdDateTime.⟨Year⟩()`:                 "by name",
		`alert.title ⟨==⟩ alert.count`:                   "int(text)",
		`let ⟨alert⟩ = 1; alert`:                         "another name",
		`let ⟨lower⟩ = 1; lower`:                         "another name",
		`⟨⟩#.x == 1`:                                     "any(list",
		`⟨any⟩(alert.evidence, .roles)`:                  "len(x) > 0",
		`sortBy(alert.evidence, .size, ⟨"up"⟩)`:          "",
		`⟨true⟩; false`:                                  "and",
		`1 ⟨..⟩ 1001`:                                    "",
		`1 ⟨..⟩ alert.count`:                             "take",
		`not alert.⟨title⟩`:                              "compare",
		`alert.⟨newField⟩`:                               `["newField"]`,
		`alert.evidence⟨[⟩"x"].y`:                        "any(list",
		`⟨b"bytes"⟩`:                                     "remove the b",
		`⟨$env⟩`:                                         "known here",
		`::⟨env⟩()`:                                      "",
		`⟨onDuty⟩()`:                                     "onDuty(",
		`onDuty(⟨1⟩)`:                                    "string(x)",
		`map(⟨alert⟩, .x)`:                               "",
		`alert.title ?? alert.count == ⟨"x`:              "",
		`{(⟨1⟩): 2}`:                                     "string(x)",
		`count(alert.evidence, ⟨`:                        "",
		`{"a": 1, ⟨"a"⟩: true}`:                          "remove one",
		`alert.title and and true`:                       "",
		`(alert.title == "a"`:                            "close every bracket",
		`get(alert, "x")`:                                `x["field"]`,
		`alert.evidence[⟨"a" + "b"⟩]`:                    "",
		`any(alert.evidence, ⟨#foo⟩ == 1)`:               "#acc",
		`alert.title > ⟨nil`:                             "",
		"alert.title == \"a\"\nand alert.⟨sevrity⟩ == 1": "severity",
	} {
		clean := strings.NewReplacer("⟨", "", "⟩", "").Replace(src)
		_, problem := expression.Compile(clean, env, expression.WantAny)
		if problem == nil {
			t.Errorf("%s is accepted", clean)
			continue
		}
		if problem.Message == "" || !strings.Contains(problem.Mend, want) {
			t.Errorf("%s: %q / %q does not say %q", clean, problem.Message, problem.Mend, want)
		}
		n := len([]rune(clean))
		if problem.Offset < 0 || problem.Offset > n || problem.Length < 1 {
			t.Errorf("%s: place %d+%d", clean, problem.Offset, problem.Length)
		}
		before, marked, ok := strings.Cut(src, "⟨")
		marked, _, closed := strings.Cut(marked, "⟩")
		if !ok || !closed || marked == "" || strings.ContainsAny(marked, "# +") {
			continue // only that there is a Problem is promised
		}
		if problem.Offset != len([]rune(before)) || problem.Length != len([]rune(marked)) {
			t.Errorf("%s: points to %d+%d, want %d+%d", clean, problem.Offset, problem.Length, len([]rune(before)), len([]rune(marked)))
		}
	}
}

// A built-in function of expr that is not on our list must not exist, whatever it is called.
func TestFunctionsThatAreNotListedDoNotExist(t *testing.T) {
	t.Parallel()
	for _, src := range []string{
		`repeat("a", 2)`, `splitAfter("a,b", ",")`, `timezone("UTC")`, `bitand(1, 2)`, `bitshl(1, 70)`, `get({"a": 1}, "a")`, `::repeat("a", 2)`,
		`"a" | repeat(2)`, `env`, `$env.x`, `$now()`, `$get(1, 2)`, `alert.title.x()`, `now().Format("x")`, `now().Add`, `now()?.Year()`,
	} {
		env, _ := world()
		if _, problem := expression.Compile(src, env, expression.WantAny); problem == nil {
			t.Errorf("%s is accepted", src)
		}
	}
	// Through a value of unknown type, a method of Go's must not be reachable either.
	_, scope := world()
	scope["steps"] = runTime
	for _, src := range []string{`steps.Year`, `steps["Year"]`, `map([steps], .UTC)`} {
		if v, err := compile(t, src).Eval(scope, runTime); err == nil {
			t.Errorf("%s is %v", src, v)
		}
	}
}

func TestEveryFunctionIsDescribed(t *testing.T) {
	t.Parallel()
	list := expression.Functions()
	if len(list) < 60 {
		t.Errorf("only %d functions", len(list))
	}
	for i, f := range list {
		if f.Summary == "" || !strings.HasPrefix(f.Signature, f.Name+"(") {
			t.Errorf("%+v", f)
		}
		if i > 0 && list[i-1].Name >= f.Name {
			t.Errorf("%s and %s are out of order or the same", list[i-1].Name, f.Name)
		}
	}
}

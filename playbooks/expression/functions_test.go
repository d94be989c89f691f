package expression_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/playbookd/playbookd/playbooks/expression"
)

func TestFunctionsHaveTheirValues(t *testing.T) {
	t.Parallel()
	for src, want := range map[string]any{
		`lower("ÄB") + upper("ä") + trim("  x ") + trim("--x-", "-")`: "äbÄxx",
		`trimPrefix("abc", "a") + trimSuffix("abc", "c")`:             "bcab",
		`hasPrefix("abc", "a") and hasSuffix("abc", "c")`:             true,
		`indexOf("üxü", "ü") + lastIndexOf("üxü", "ü")`:               int64(2),
		`indexOf("a", "b")`:                                    int64(-1),
		`split("a,b,c", ",")`:                                  []any{"a", "b", "c"},
		`split("a,b,c", ",", 2)`:                               []any{"a", "b,c"},
		`replace("aXbX", "X", "-")`:                            "a-b-",
		`replace("abc", "", "-")`:                              "abc",
		`join([1, nil, true, "x"], "|")`:                       "1||true|x",
		`string(1.50) + string(nil) + string(duration("90m"))`: "1.51h30m",
		`string(1e20) + string(-0.25) + string([1, "a"])`:      `1e+20-0.25[1,"a"]`,
		`toJSON({"z": 1, "a": "<&>"})`:                         `{"a":"<&>","z":1}`,
		`fromJSON("{\"a\": [1, 2.5]}")["a"]`:                   []any{int64(1), 2.5},
		`fromBase64(toBase64("hé"))`:                           "hé",
		`len("hé") + len([1, 2]) + len({"a": 1})`:              int64(5),
		`[first([1, 2]), last([1, 2])]`:                        []any{int64(1), int64(2)},
		`take([1, 2, 3], 2)`:                                   []any{int64(1), int64(2)},
		`take([1], 5)`:                                         []any{int64(1)},
		`reverse([1, 2])`:                                      []any{int64(2), int64(1)},
		`uniq([1, "1", 1, [1], [1]])`:                          []any{int64(1), "1", []any{int64(1)}},
		`sort(["b", "a"])`:                                     []any{"a", "b"},
		`sort([2, 10, 1.5], "desc")`:                           []any{int64(10), int64(2), 1.5},
		`concat([1], [2, 3], [])`:                              []any{int64(1), int64(2), int64(3)},
		`flatten([[1], [2, [3]], 4])`:                          []any{int64(1), int64(2), []any{int64(3)}, int64(4)},
		`keys({"b": 1, "a": 2})`:                               []any{"a", "b"},
		`values({"b": 1, "a": 2})`:                             []any{int64(2), int64(1)},
		`toPairs({"b": 1, "a": 2})`:                            []any{[]any{"a", int64(2)}, []any{"b", int64(1)}},
		`fromPairs([["a", 1]])`:                                map[string]any{"a": int64(1)},
		`map([nil, true, 1, 1.5, "x", [1], {}, now(), duration("1s")], type(#))`: []any{
			"nil", "bool", "int", "float", "string", "array", "map", "time", "duration"},
		`[abs(-2), abs(-1.5), ceil(1.2), floor(1.8), round(1.5)]`:          []any{int64(2), 1.5, 2.0, 1.0, 2.0},
		`[int("42"), int(3.9), float("1.5"), int(nil)]`:                    []any{int64(42), int64(3), 1.5, nil},
		`[max(1, 3, 2), min([4, 5]), max([]), max("a", "b"), max(nil, 2)]`: []any{int64(3), int64(4), nil, "b", int64(2)},
		`[mean([1, 2]), median([3, 1, 2]), median([1, 2]), mean([])]`:      []any{1.5, 2.0, 1.5, nil},
		`duration("1d12h")`:                                                           36 * time.Hour,
		`date("2027-03-31T10:00:00+02:00") == now()`:                                  true,
		`date("2027-03-31 08:00:00") == now()`:                                        true,
		`inCIDR("10.9.1.1", "10.9.0.0/16") and not inCIDR("10.8.1.1", "10.9.0.0/16")`: true,
		`inCIDR("::ffff:10.9.1.1", ["192.168.0.0/16", "10.9.1.1"])`:                   true,
		`inCIDR("fe80::1%eth0", "fe80::/10")`:                                         true,
		`techniqueIn("T1003.001", ["T1003"]) and techniqueIn("t1486", "T1486")`:       true,
		`techniqueIn("T10031", "T1003") or techniqueIn("T1003", "T1003.001")`:         false,
		`glob("powershell.exe", "power*.ex?") and glob("", "*")`:                      true,
		`glob("powershell.exe", "power") or glob("a", "") or glob("ab", "?")`:         false,
		`defang("https://evil.example/a.b")`:                                          "hxxps://evil[.]example/a.b",
		`defang("10.0.0.1") + " " + defang("a@b.example")`:                            "10[.]0[.]0[.]1 a[@]b[.]example",
		`hash("abc")`: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
		`map(["https://A.example:8443/x", "u@B.example", "c.example/x", "10.0.0.1", "nothing", ""], domainOf(#))`: []any{"a.example", "b.example", "c.example", nil, nil, nil},
		`truncate("abcdef", 4) + truncate("abcd", 4) + truncate("ü", 1)`:                                          "abc…abcdü",
		`table(steps.contain.items, ["host.name", "status", "error"])`:                                            "| host\\.name | status | error |\n| --- | --- | --- |\n| pc1 | ok |  |\n| pc2 | failed | no \\| answer |",
		`table([{"b": 1, "a": [1, 2]}])`:                                                                          "| a | b |\n| --- | --- |\n| 1, 2 | 1 |",
		`table([])`:                                                                                               "",
	} {
		if diff := cmp.Diff(want, eval(t, src)); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", src, diff)
		}
	}
}

func TestEvidenceIsCollectedOnceInItsOrder(t *testing.T) {
	t.Parallel()
	g := "#microsoft.graph.security."
	alert := map[string]any{"evidence": []any{
		map[string]any{"@odata.type": g + "userEvidence", "userAccount": map[string]any{"accountName": "anna", "userPrincipalName": "anna@contoso.example", "azureAdUserId": "u1"}},
		map[string]any{"@odata.type": g + "deviceEvidence", "mdeDeviceId": "m1", "hostName": "pc1", "deviceDnsName": "pc1.contoso.example", "loggedOnUsers": []any{}},
		map[string]any{"@odata.type": g + "deviceEvidence", "mdeDeviceId": "m2", "hostName": "pc2", "verdict": "malicious"},
		map[string]any{"@odata.type": g + "deviceEvidence", "mdeDeviceId": "m2", "hostName": "pc2", "verdict": "unknown"},
		map[string]any{"@odata.type": g + "fileEvidence", "mdeDeviceId": "m1", "fileDetails": map[string]any{"fileName": "a.exe", "sha256": "ff", "fileSize": int64(7)}},
		map[string]any{"@odata.type": g + "urlEvidence", "url": "https://evil.example"},
		map[string]any{"@odata.type": g + "analyzedMessageEvidence", "networkMessageId": "n1", "recipientEmailAddress": "b@contoso.example", "p1Sender": map[string]any{"emailAddress": "x@evil.example"}, "subject": "hi"},
		map[string]any{"@odata.type": g + "processEvidence", "processId": int64(4), "processCommandLine": "a.exe -x", "imageFile": map[string]any{"fileName": "a.exe"}, "userAccount": map[string]any{"accountName": "anna"}},
		map[string]any{"@odata.type": g + "ipEvidence", "ipAddress": "10.0.0.1"},
		"not an object", nil, map[string]any{}, map[string]any{"@odata.type": g + "ipEvidence"}, map[string]any{"@odata.type": int64(1)},
		map[string]any{"@odata.type": g + "userEvidence", "userAccount": "text"}, map[string]any{"@odata.type": g + "deviceEvidence"},
	}}
	_, scope := world()
	scope["steps"] = map[string]any{"alert": alert, "incident": map[string]any{"alerts": []any{alert, alert, nil, "x"}}}
	for src, want := range map[string]any{
		`map(users(steps.alert), [.accountName, .userPrincipalName, .azureAdUserId, .displayName])`: []any{[]any{"anna", "anna@contoso.example", "u1", nil}},
		`map(devices(steps.alert), [.name, .mdeDeviceId])`:                                          []any{[]any{"pc1.contoso.example", "m1"}, []any{"pc2", "m2"}},
		`map(files(steps.alert), [.fileName, .sha256, .fileSize, .mdeDeviceId])`:                    []any{[]any{"a.exe", "ff", int64(7), "m1"}},
		`urls(steps.alert)`: []any{"https://evil.example"},
		`map(mails(steps.alert), [.networkMessageId, .recipient, .sender, .subject])`:      []any{[]any{"n1", "b@contoso.example", "x@evil.example", "hi"}},
		`map(processes(steps.alert), [.processId, .commandLine, .fileName, .accountName])`: []any{[]any{int64(4), "a.exe -x", "a.exe", "anna"}},
		`ips(steps.alert)`: []any{"10.0.0.1"},
		`devices(steps.incident) == devices(steps.alert)`:  true,
		`ips([steps.alert, steps.alert])`:                  []any{"10.0.0.1"},
		`ips({}) == [] and users({"evidence": "x"}) == []`: true,
		`map(devices(steps.alert), .name) | join(", ")`:    "pc1.contoso.example, pc2",
	} {
		got, err := compile(t, src).Eval(scope, runTime)
		if err != nil {
			t.Errorf("%s: %v", src, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", src, diff)
		}
	}
}

// Every function must answer every kind of argument with a value or an error. A panic would surface as an
// error too, so the errors are looked at.
func TestFunctionsAreTotal(t *testing.T) {
	t.Parallel()
	values := []string{`nil`, `true`, `-1`, `1`, `1.5`, `""`, `"x"`, `"\u0000\u202e"`, `[]`, `[nil]`, `[[1], "a", nil]`, `{}`, `{"evidence": [nil, 1, {}]}`, `now()`, `duration("1s")`}
	for _, f := range expression.Functions() {
		for _, a := range values {
			for _, b := range append(values, "") {
				args := "steps.a"
				if b != "" {
					args += ", steps.b"
				}
				env, _ := world()
				p, problem := expression.Compile(f.Name+"("+args+")", env, expression.WantAny)
				if problem != nil {
					continue
				}
				scope := map[string]any{"steps": map[string]any{"a": eval(t, a)}}
				if b != "" {
					scope["steps"].(map[string]any)["b"] = eval(t, b)
				}
				_, err := p.Eval(scope, runTime)
				if err != nil && (strings.Contains(err.Error(), "runtime error") || strings.Contains(err.Error(), "interface conversion") || strings.Contains(err.Error(), "out of range")) {
					t.Errorf("%s(%s, %s): %v", f.Name, a, b, err)
				}
			}
		}
	}
}

func TestGlobAgreesWithItsDefinition(t *testing.T) {
	t.Parallel()
	p := compile(t, `glob(steps.text, steps.pattern)`)
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOfN(rapid.SampledFrom([]rune("abü")), 0, 8, -1).Draw(t, "text")
		pattern := rapid.StringOfN(rapid.SampledFrom([]rune("abü*?")), 0, 6, -1).Draw(t, "pattern")
		got, err := p.Eval(map[string]any{"steps": map[string]any{"text": text, "pattern": pattern}}, runTime)
		if err != nil {
			t.Fatal(err)
		}
		if want := slowGlob([]rune(text), []rune(pattern)); got != want {
			t.Fatalf("glob(%q, %q) = %v, want %v", text, pattern, got, want)
		}
	})
}

// slowGlob is the definition.
func slowGlob(text, pattern []rune) bool {
	if len(pattern) == 0 {
		return len(text) == 0
	}
	if pattern[0] == '*' {
		return slowGlob(text, pattern[1:]) || len(text) > 0 && slowGlob(text[1:], pattern)
	}
	return len(text) > 0 && (pattern[0] == '?' || pattern[0] == text[0]) && slowGlob(text[1:], pattern[1:])
}

package expression_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/playbookd/playbookd/playbooks/expression"
)

const condition = `alert.status == "new" and alert.title in lists.known_noise and len(ips(alert)) > 0 and all(ips(alert), inCIDR(#, lists.scanner_ranges))`

func BenchmarkCompile(b *testing.B) {
	env, _ := world()
	for b.Loop() {
		if _, problem := expression.Compile(condition, env, expression.WantBool); problem != nil {
			b.Fatal(problem)
		}
	}
}

// The three terms of the usual condition, and what somebody would write in Go for it.
const usual = `alert.status == "new" and alert.title in lists.known_noise and alert.title contains "scan"`

func usualInGo(scope map[string]any) bool {
	alert, _ := scope["alert"].(map[string]any)
	if status, _ := alert["status"].(string); status != "new" {
		return false
	}
	lists, _ := scope["lists"].(map[string]any)
	noise, _ := lists["known_noise"].([]any)
	title, _ := alert["title"].(string)
	return slices.Contains(noise, any(title)) && strings.Contains(title, "scan")
}

// ratio is the time of the program over that of the same condition written in Go.
func BenchmarkMatchUsual(b *testing.B) {
	for _, c := range []struct{ name, status string }{{"all true", "new"}, {"false at once", "resolved"}} {
		_, scope := world()
		scope["alert"].(map[string]any)["status"] = c.status
		var byHand float64
		b.Run(c.name+"/by hand", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if usualInGo(scope) != (c.status == "new") {
					b.Fatal("wrong")
				}
			}
			byHand = float64(b.Elapsed()) / float64(b.N)
		})
		b.Run(c.name, func(b *testing.B) {
			p := compile(b, usual)
			b.ReportAllocs()
			for b.Loop() {
				if ok, _, err := p.Match(scope, runTime); err != nil || ok != (c.status == "new") {
					b.Fatal(ok, err)
				}
			}
			if byHand > 0 {
				b.ReportMetric(float64(b.Elapsed())/float64(b.N)/byHand, "ratio")
			}
		})
	}
}

func BenchmarkMatchByMachine(b *testing.B) {
	_, scope := world()
	p := compile(b, condition)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := p.Match(scope, runTime); err != nil {
			b.Fatal(err)
		}
	}
}

package expression_test

import (
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

func BenchmarkMatchFalseAtOnce(b *testing.B) {
	_, scope := world()
	p := compile(b, `alert.status == "resolved" and alert.title matches "^x" and alert.count > 7`)
	for b.Loop() {
		if _, _, err := p.Match(scope, runTime); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMatchTrue(b *testing.B) {
	_, scope := world()
	p := compile(b, condition)
	for b.Loop() {
		if _, _, err := p.Match(scope, runTime); err != nil {
			b.Fatal(err)
		}
	}
}

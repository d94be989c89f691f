package engine_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/engine/memory"
	"github.com/playbookd/playbookd/playbooks"
	"github.com/playbookd/playbookd/store"
)

// crowd is a way in which many playbooks differ.
type crowd struct {
	name string
	when func(i int) string
}

func crowds() []crowd {
	return []crowd{
		{"mixed", func(i int) string {
			return []string{
				fmt.Sprintf(`alert.status == "new" and alert.title == "Title %d" and len(ips(alert)) > 0`, i),
				fmt.Sprintf(`alert.severity in ["high", "medium"] and "T%d" in alert.mitreTechniques`, i),
				fmt.Sprintf(`alert.status == "new" and any(alert.evidence, .mdeDeviceId == "device-%d")`, i),
				fmt.Sprintf(`alert.serviceSource == "microsoftDefenderForEndpoint" and alert.detectorId == "detector-%d" and alert.title contains "x"`, i),
				fmt.Sprintf(`alert.status != "resolved" and alert.title in lists.noise and alert.assignedTo == "user-%d@contoso.example"`, i),
				fmt.Sprintf(`alert.severity == "low" and alert.category == "Category %d" and alert.title matches "^Port"`, i%200),
			}[i%6]
		}},
		{"same first term", func(i int) string {
			return fmt.Sprintf(`alert.status == "new" and alert.title == "Title %d"`, i)
		}},
	}
}

// crowded compiles n playbooks.
func crowded(b *testing.B, c crowd, n int) *playbooks.Set {
	b.Helper()
	o := playbooks.Options{Catalog: new(world).Registry(), Lists: map[string]playbooks.ListInfo{"noise": {Entries: 3}}}
	books := make([]*playbooks.Playbook, n)
	for i := range books {
		text := fmt.Sprintf("name: p%d\ntriggers: [{poll: {resource: alerts, every: 1m}}]\nwhen: >-\n  %s\nsteps: [{action: test.read, with: {value: x}}]\n", i, c.when(i))
		p, findings := playbooks.Compile("p.yaml", []byte(text), o)
		if err := findings.Err(); err != nil {
			b.Fatal(err)
		}
		books[i] = p
	}
	return playbooks.NewSet(books...)
}

// usualAlert is an alert of about 3 KB that starts nothing: its titles, devices and techniques are
// those that playbooks name, but hardly ever together.
func usualAlert(n int) engine.Event {
	r := rand.New(rand.NewPCG(7, uint64(n)))
	evidence := make([]any, 6)
	for i := range evidence {
		evidence[i] = map[string]any{
			"@odata.type": "#microsoft.graph.security.deviceEvidence", "createdDateTime": "2026-11-22T08:59:00.1234567Z", "verdict": "unknown",
			"remediationStatus": "none", "roles": []any{"compromised"}, "detailedRoles": []any{}, "tags": []any{},
			"mdeDeviceId": fmt.Sprint("device ", r.IntN(1000)), "deviceDnsName": "pc1.contoso.example", "osPlatform": "Windows11", "healthStatus": "active",
		}
	}
	raw, err := json.Marshal(map[string]any{
		"id": fmt.Sprint("a", n), "title": fmt.Sprint("Title ", r.IntN(100), "?"), "status": "new", "severity": "high", "serviceSource": "microsoftDefenderForEndpoint",
		"category": "Execution", "detectorId": fmt.Sprint("detector ", r.IntN(100)), "mitreTechniques": []any{"T1059.001", "T1003.001"},
		"createdDateTime": "2026-11-22T08:59:00.1234567Z", "lastUpdateDateTime": "2026-11-22T08:59:00.1234567Z", "evidence": evidence,
		"description": strings.Repeat("Something happened on a device. ", 20), "recommendedActions": strings.Repeat("Look at it. ", 30),
	})
	if err != nil {
		panic(err)
	}
	ev := numbered(n)
	ev.Payload = raw
	return ev
}

// An event's way through Deliver, when it starts nothing: ratio is the time with so many playbooks
// over that with 100.
func BenchmarkEventAmongPlaybooks(b *testing.B) {
	for _, c := range crowds() {
		for _, in := range []string{"memory", "store"} {
			per := map[int]float64{}
			for _, n := range []int{100, 1000, 10_000} {
				set := crowded(b, c, n)
				b.Run(fmt.Sprintf("%s/%s/%d", c.name, in, n), func(b *testing.B) {
					var j engine.Journal = memory.New()
					if in == "store" {
						db, err := store.Open(b.Context(), filepath.Join(b.TempDir(), "journal.db"), store.Options{})
						if err != nil {
							b.Fatal(err)
						}
						defer db.Close()
						j = db
					}
					e := engine.New(engine.Options{Journal: j, Lists: twoLists{}})
					e.Use(set)
					deliver(b, e, 0) // the set is stored with the first event
					b.ReportAllocs()
					at := 0
					for b.Loop() {
						at++
						deliver(b, e, at)
					}
					per[n] = float64(b.Elapsed().Nanoseconds()) / float64(b.N)
					b.ReportMetric(per[n]/per[100], "ratio")
				})
			}
		}
	}
}

func deliver(b *testing.B, e *engine.Engine, n int) {
	if r, err := e.Deliver(b.Context(), engine.Batch{Events: []engine.Event{usualAlert(n)}}); err != nil || r.Admitted != 1 || r.Matched != 0 {
		b.Fatal(r, err)
	}
}

// What it takes until ten thousand playbooks can be used.
func BenchmarkUseOfTenThousandPlaybooks(b *testing.B) {
	set := crowded(b, crowds()[0], 10_000)
	e := engine.New(engine.Options{Journal: memory.New()})
	b.ReportAllocs()
	for b.Loop() {
		e.Use(set)
	}
}

//go:build unix

package stress_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/graph/simulator"
	"github.com/playbookd/playbookd/internal/record"
	"github.com/playbookd/playbookd/triggers"
)

const flooded = `name: flooded
triggers: [{webhook: {path: flood, auth: {hmac: flood_key}, as: event}}]
when: event.act == true
steps: [{action: log, with: {message: "${{ string(event.n) }}"}}]
`

// delivery is what somebody sends, and what must come of it.
type delivery struct {
	kind   string
	want   int // the answer; a busy daemon may answer 429 or 503 instead
	key    string
	body   []byte
	items  int  // events that it holds
	repeat bool // sent again and again until it is taken, and once more after that
}

// kinds are what the n-th sender sends: mostly honest, some of it broken or hostile.
func kinds(n int) delivery {
	one := fmt.Appendf(nil, `{"n":%d,"act":%t}`, n, n%5 == 0)
	d := delivery{kind: "application/json", want: http.StatusAccepted, key: hookKey, body: one, items: 1, repeat: n%2 == 0}
	switch {
	case n%500 == 1:
		d.kind, d.body, d.items, d.repeat = "application/x-ndjson", largest(n), triggers.MaxItems, true
	case n%50 == 3:
		d.want, d.body = http.StatusRequestEntityTooLarge, append(one, bytes.Repeat([]byte(" "), triggers.MaxBody)...)
	case n%10 == 5:
		d.want, d.key = http.StatusUnauthorized, "a-key-that-somebody-has-guessed!"
	case n%10 == 7:
		d.want, d.body = http.StatusBadRequest, []byte(`{"n":`)
	}
	d.repeat = d.repeat && d.want == http.StatusAccepted
	return d
}

// largest is a body of as many events as one may hold, as large as one may be.
func largest(n int) []byte {
	var b bytes.Buffer
	filler := bytes.Repeat([]byte("x"), triggers.MaxBody/triggers.MaxItems-64)
	for i := range triggers.MaxItems {
		fmt.Fprintf(&b, `{"n":%d,"i":%d,"act":false,"text":"%s"}`+"\n", n, i, filler)
	}
	return b.Bytes()
}

// flood is what was answered.
type flood struct {
	mu       sync.Mutex
	statuses map[int]int
	taken    map[string]int  // ids of deliveries that were answered 202, with how many events they hold
	refused  map[string]bool // ids of deliveries to which every answer was a refusal
	accepted map[string]int  // how many events were said to be new, by delivery
}

func (f *flood) answer(id string, d delivery, status int, a triggers.Answer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.statuses[status]++
	switch {
	case status == http.StatusAccepted:
		f.taken[id] = d.items
		f.accepted[id] += a.Accepted
		delete(f.refused, id)
	case status == 0:
		delete(f.refused, id) // nobody knows
	case f.taken[id] == 0:
		f.refused[id] = true
	}
}

func TestEveryDeliveryOfAFloodIsInTheJournalOnceOrTheSenderWasToldOtherwise(t *testing.T) {
	s := newSite(t, simulator.Options{Documents: simulator.Documents{Alerts: alertsOf(20, time.Now())}}, flooded, never)
	trust := s.certify()
	s.Write("flood.key", hookKey)
	s.Configure("secrets: {flood_key: {file: flood.key}}\nwebhooks: {flood: {rate: 10000, burst: 100000, concurrent: 64}}\n")
	p := s.start()
	r := s.journal()
	addr := p.sample().Addr
	send := newSender(t, addr, trust, 100)
	f := &flood{statuses: map[int]int{}, taken: map[string]int{}, refused: map[string]bool{}, accepted: map[string]int{}}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()

	var slow sync.WaitGroup
	var held, cut atomic.Int64 // slow senders that had a place, and those that were told to come back
	for range size(80, 200) {
		slow.Go(func() {
			for ctx.Err() == nil {
				switch status := send.trickle(ctx, "flood"); status {
				case http.StatusTooManyRequests:
					cut.Add(1)
				case http.StatusRequestTimeout, 0:
					held.Add(1)
				default:
					t.Errorf("a delivery that trickles in was answered %d", status)
				}
			}
		})
	}
	n := size(2000, 20_000)
	var next atomic.Int64
	var senders sync.WaitGroup
	for range 200 {
		senders.Go(func() {
			for i := int(next.Add(1)); i <= n; i = int(next.Add(1)) {
				f.deliver(t, send, i)
			}
		})
	}
	// Polls go on meanwhile.
	polled := 0
	gone := make(chan struct{})
	go func() { senders.Wait(); close(gone) }()
	for over := false; !over; {
		select {
		case <-gone:
			over = true
		case <-time.After(100 * time.Millisecond):
			id := fmt.Sprintf("bulk-%06d", 1+polled%19)
			if err := s.Sim.Touch(id, simulator.Document{"assignedTo": fmt.Sprint(polled)}, "ana@contoso.example"); err != nil {
				t.Fatal(err)
			}
			p.until("a change is polled during the flood", func() bool { p.poll(); return s.missing(r, s.Sim.Alerts()) == 0 })
			polled++
		}
	}
	cancel()
	slow.Wait()
	p.until("every run has ended", func() bool { c := s.counts(r); return c[engine.Ready]+c[engine.Waiting] == 0 })
	p.stop()
	peak := p.bounded("flood")
	s.sound(r)
	f.check(t, s)
	t.Logf("answers %v; %d slow senders had a place and %d were told to come back; %d polls meanwhile", f.statuses, held.Load(), cut.Load(), polled)
	record.Keep(t, record.Suite{Name: "stress-flood", Run: "make stress",
		Tries: "Floods a webhook with valid, repeated, forged, oversized, broken, slow and largest possible deliveries at once, while alerts are polled.",
		Holds: "What was answered 2xx is in the journal exactly once, what was refused is not; polls go on; memory stays bounded.",
		Counts: []record.Count{{What: "deliveries", N: int64(n)}, {What: "answers", N: int64(total(f.statuses))}, {What: "slow senders", N: held.Load() + cut.Load()},
			{What: "polls meanwhile", N: int64(polled)}, {What: "MiB of memory at most", N: peak}},
	})
}

func total(counts map[int]int) (n int) {
	for _, c := range counts {
		n += c
	}
	return n
}

// deliver sends one delivery as its kind is sent.
func (f *flood) deliver(t *testing.T, send *sender, n int) {
	d, id := kinds(n), fmt.Sprintf("m%d", n)
	again := 1
	for {
		status, a := send.send(t.Context(), "flood", d.kind, id, d.key, d.body)
		f.answer(id, d, status, a)
		switch status {
		case d.want:
			if !d.repeat || again == 0 {
				return
			}
			again--
		case http.StatusTooManyRequests, http.StatusServiceUnavailable:
			if !d.repeat {
				return
			}
			time.Sleep(50 * time.Millisecond)
		case 0: // the connection was closed: a large body is not read to its end
			if !d.repeat {
				return
			}
		default:
			t.Errorf("delivery %s, of which %d was to come, was answered %d", id, d.want, status)
			return
		}
	}
}

// check lays what was answered beside what is in the journal.
func (f *flood) check(t *testing.T, s *site) {
	t.Helper()
	r := s.journal()
	known := func(id string, items int) int {
		ids := make([]string, items)
		for i := range ids {
			ids[i] = fmt.Sprintf("webhook/flood/%s/%d", id, i)
		}
		found, err := r.Known(t.Context(), ids)
		if err != nil {
			t.Fatal(err)
		}
		return len(found)
	}
	events := 0
	for id, items := range f.taken {
		events += items
		if got := known(id, items); got != items {
			t.Errorf("delivery %s was taken with %d events, of which the journal knows %d", id, items, got)
		}
		if n := f.accepted[id]; n > items {
			t.Errorf("delivery %s of %d events was said to bring %d new ones", id, items, n)
		}
	}
	for id := range f.refused {
		if known(id, 1) > 0 {
			t.Errorf("delivery %s was refused and is in the journal", id)
		}
	}
	if len(f.taken) == 0 || f.statuses[http.StatusUnauthorized] == 0 || f.statuses[http.StatusBadRequest] == 0 {
		t.Errorf("the flood was none: %v", f.statuses)
	}
	if got := s.events(r); got < events {
		t.Errorf("%d events in the journal, want at least %d", got, events)
	}
}

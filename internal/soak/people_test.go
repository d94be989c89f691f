package soak_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/graph/simulator"
	"github.com/playbookd/playbookd/store"
)

// people work in the portal beside us.
type people struct {
	judged   map[string]bool   // alerts and incidents whose status they have set
	reopened map[string]bool   // that they want to have looked at again
	answered map[string]string // what was to be written on an object after their answer
}

// meddle changes something that somebody finds in the portal.
func (w *world) meddle(rng *rand.Rand) {
	w.t.Helper()
	list := w.sim.Alerts()
	if rng.IntN(5) == 0 {
		list = w.sim.Incidents()
	}
	list = list[:min(len(list), 60)]
	if len(list) == 0 {
		return
	}
	id, _ := list[rng.IntN(len(list))]["id"].(string)
	var err error
	switch rng.IntN(4) {
	case 0:
		w.people.judged[id] = true
		err = w.sim.Touch(id, simulator.Document{"status": []string{"inProgress", "resolved"}[rng.IntN(2)]}, "anna@contoso.example")
	case 1:
		err = w.sim.Touch(id, simulator.Document{"assignedTo": "ben@contoso.example"}, "ben@contoso.example")
	case 2:
		err = w.sim.Comment(id, "I had a look at this.", "anna@contoso.example")
	default:
		fresh := "new"
		if w.sim.Incident(id) != nil {
			fresh = "active"
		}
		w.people.reopened[id] = true
		err = w.sim.Touch(id, simulator.Document{"status": fresh}, "ben@contoso.example")
	}
	if err != nil {
		w.t.Fatal(err)
	}
	w.weather.count("changes by people", 1)
}

// decide settles what is parked for a person, who looks at the pager to know what happened.
func (w *world) decide() {
	w.t.Helper()
	ctx := context.Background()
	runs, err := w.d.Store().Runs(ctx, store.RunFilter{State: engine.Parked, Limit: store.MaxLimit})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, run := range runs {
		w.apart()
		if strings.HasPrefix(run.Message, engine.HeldPrefix) {
			if err := w.d.Engine().Release(ctx, run.ID, engine.ReleasedData{By: "anna@contoso.example"}); err != nil {
				w.t.Errorf("seed %d: release of run %s: %v", w.seed, run.ID, err)
			}
			w.weather.count("runs released by people", 1)
			continue
		}
		loaded, err := w.d.Store().Load(ctx, run.ID)
		if err != nil {
			w.t.Fatal(err)
		}
		path, key := "", ""
		for _, e := range loaded.Entries {
			var d engine.IntentData
			if e.Kind == engine.Intent && json.Unmarshal(e.Data, &d) == nil {
				path, key = e.Path, d.Key
			}
		}
		happened := false
		for _, e := range w.pager.Target().Effects {
			happened = happened || e.Key == key
		}
		step, _, _ := strings.Cut(path, ":")
		data := engine.ResolveData{Happened: happened, By: "anna@contoso.example", Note: "I looked at the pager."}
		if err := w.d.Engine().Resolve(ctx, run.ID, step, data); err != nil {
			w.t.Errorf("seed %d: resolve of run %s (%s): %v", w.seed, run.ID, run.Message, err)
		}
		w.weather.count("steps settled by people", 1)
	}
}

// answer says yes or no to some of what people are asked, and leaves the rest to silence.
func (w *world) answer(rng *rand.Rand) {
	w.t.Helper()
	ctx := context.Background()
	runs, _, err := w.d.Store().Asking(ctx, store.MaxLimit)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, run := range runs {
		if rng.IntN(3) > 0 {
			continue
		}
		open, err := w.d.Engine().Questions(ctx, run.ID)
		if err != nil {
			w.t.Fatal(err)
		}
		for _, q := range open {
			w.apart()
			say := engine.AnsweredData{By: "anna@contoso.example", Roles: []string{"shift"}, Digest: q.Asked.Digest, Approve: rng.IntN(2) == 0}
			switch err := w.d.Engine().Answer(ctx, run.ID, q.Asked.ID, say); {
			case err == nil:
				w.people.answered[run.Object] = fmt.Sprintf("Follow-up: somebody looks after it: %t", say.Approve)
				w.weather.count("questions answered by people", 1)
			case !errors.Is(err, engine.ErrMayNot) && !errors.Is(err, engine.ErrNotFound): // it may just have lapsed
				w.t.Errorf("seed %d: answer to run %s: %v", w.seed, run.ID, err)
			}
		}
	}
}

// sender is a product that pushes what it sees to us, as Standard Webhooks has it: until it is
// told that it was taken.
type sender struct {
	number  int
	pending []string // that were not taken yet
	taken   []string
}

// push sends something new, and what was not taken before.
func (w *world) push(rng *rand.Rand) {
	w.t.Helper()
	w.sender.number++
	w.sender.pending = append(w.sender.pending, fmt.Sprintf("d%d", w.sender.number))
	w.flush(rng)
}

func (w *world) flush(rng *rand.Rand) {
	w.t.Helper()
	rest := w.sender.pending[:0]
	for _, id := range w.sender.pending {
		w.apart()
		if w.d == nil || !w.post(id) {
			rest = append(rest, id)
			continue
		}
		w.sender.taken = append(w.sender.taken, id)
	}
	w.sender.pending = rest
	if n := len(w.sender.taken); n > 0 && rng != nil && rng.IntN(4) == 0 && w.d != nil { // the answer got lost, or an operator pressed the button
		w.apart()
		w.post(w.sender.taken[n-1-rng.IntN(min(n, 5))])
		w.weather.count("deliveries sent again", 1)
	}
}

// post makes one delivery and tells whether it was taken.
func (w *world) post(id string) bool {
	body := fmt.Sprintf(`{"number":%q}`, id)
	stamp := fmt.Sprint(time.Now().Unix())
	mac := hmac.New(sha256.New, []byte(edrKey))
	fmt.Fprintf(mac, "%s.%s.%s", id, stamp, body)
	r := httptest.NewRequest(http.MethodPost, "/webhooks/edr", bytes.NewReader([]byte(body)))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Webhook-Id", id)
	r.Header.Set("Webhook-Timestamp", stamp)
	r.Header.Set("Webhook-Signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	rec := httptest.NewRecorder()
	w.d.Webhooks().ServeHTTP(rec, r)
	w.weather.count("deliveries", 1)
	return rec.Code == http.StatusAccepted
}

package daemon_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/playbookd/playbookd/internal/daemon"
	"github.com/playbookd/playbookd/store"
)

// counting asks what the journal has to have an index of.
const counting = "name: counts\ntriggers: [{poll: {resource: alerts, every: 10s}}]\n" +
	"when: 'history({window: \"24h\", title: alert.title}) >= 0'\nsteps: [{action: log, with: {message: x}}]\n"

func (b *bubbled) uses(playbook string) bool {
	_, ok := b.d.Engine().Playbooks().Lookup(playbook)
	return ok
}

// An alert that is read while the playbook that asks for it is not in use yet would never be decided about by it:
// to index what is stored may take long.
func TestNothingIsPolledForAPlaybookBeforeItIsInUse(t *testing.T) {
	inBubble(t, map[string]string{"silent.yaml": silent}, nil, func(b *bubbled) {
		indexed := 0
		instead := func(add func() error) error {
			indexed++
			if polls := b.d.Polls(); len(polls) > 0 {
				b.t.Errorf("while stored events are indexed, %s of %s is polled", polls[0].Resource, polls[0].Tenant)
			}
			b.raise("new")
			return add()
		}
		b.indexing.Store(&instead)
		b.write("playbooks/counts.yaml", counting)
		time.Sleep(5 * time.Minute)
		runs, err := b.d.Store().Runs(b.t.Context(), store.RunFilter{Playbook: "counts", Object: "alerts/new"})
		if err != nil || len(runs) != 1 || indexed == 0 {
			b.t.Errorf("indexed %d times; the alert that was raised meanwhile has %d runs, %v", indexed, len(runs), err)
		}
	})
}

func TestAReloadThatTheJournalRefusesIsSaidAndTriedAgain(t *testing.T) {
	inBubble(t, map[string]string{"silent.yaml": silent}, nil, func(b *bubbled) {
		refuse := func(func() error) error { return errors.New("there is no room") }
		b.indexing.Store(&refuse)
		b.write("playbooks/counts.yaml", counting)
		b.write("lists/more.txt", "x\n")
		time.Sleep(2 * daemon.ReloadEvery)
		b.red("/readyz", "playbooks", "there is no room", "those before stay in use")
		if _, _, ok := b.d.Get("more"); ok || b.uses("counts") || len(b.d.Polls()) > 0 {
			b.t.Error("something of the new files is in use")
		}
		b.indexing.Store(nil)
		time.Sleep(2 * daemon.ReloadEvery)
		b.green("/readyz")
		if !b.uses("counts") {
			b.t.Error("the playbook is not in use")
		}
		if !strings.Contains(b.log.String(), "there is no room") {
			b.t.Error("the log does not say why")
		}
	})
}

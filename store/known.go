package store

import "github.com/playbookd/playbookd/engine"

// known remembers numbers of rows that every admission needs. What was learnt in a transaction
// that is undone must be forgotten, and it is simplest to forget all of it: that is rare.
type known struct {
	sets, versions, documents map[string]int64
	runs                      map[engine.RunID]standing // those that are not over

	// handed holds the digests of all documents that were handed over since the database was
	// opened. Whoever handed one over may count on it, so retention leaves it alone.
	handed map[string]bool
}

// maxKnown keeps the maps from growing over the months.
const maxKnown = 10_000

func newKnown() known {
	return known{
		sets: map[string]int64{}, versions: map[string]int64{}, documents: map[string]int64{},
		runs:   map[engine.RunID]standing{},
		handed: map[string]bool{},
	}
}

func (k *known) forget() {
	clear(k.sets)
	clear(k.versions)
	clear(k.documents)
	clear(k.runs)
}

// standing is where a run stands, as its row has it.
type standing struct {
	n             int64
	state         engine.RunState
	playbook, key string
	last          int  // seq of the last entry
	bare          bool // without a message and a time to wake
}

// standing remembers where a run stands that is not over.
func (k *known) standing(id engine.RunID, r standing) {
	if len(k.runs) >= maxKnown {
		clear(k.runs)
	}
	k.runs[id] = r
}

// number looks a row up, asking the database only the first time.
func (k *known) number(name string, in map[string]int64, ask func() (int64, error)) (int64, error) {
	if n, ok := in[name]; ok {
		return n, nil
	}
	n, err := ask()
	if err != nil {
		return 0, err
	}
	if len(in) >= maxKnown {
		clear(in)
	}
	in[name] = n
	return n, nil
}

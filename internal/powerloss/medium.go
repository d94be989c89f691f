//go:build linux

package powerloss

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
)

// Medium is what lies on the disk while a trace is played: what is certain, and what is still
// under way to it.
type Medium struct {
	files   map[uint64]*file
	names   map[string]*file // as the program sees them
	durable map[string]*file // as they are on the disk
	pending []naming
}

// file is the content of a file, whatever its name.
type file struct {
	durable []byte
	pending []Step // writes and truncations
	removed bool   // its number may be used again
}

// naming is a change of a directory: a nil file is none any more.
type naming struct {
	name string
	file *file
}

// NewMedium is a disk without files.
func NewMedium() *Medium {
	return &Medium{files: map[uint64]*file{}, names: map[string]*file{}, durable: map[string]*file{}}
}

// Hold puts files on the disk that were there, and durable, before the trace began.
func (m *Medium) Hold(i Image) {
	for name, content := range i {
		f := &file{durable: content}
		m.names[name], m.durable[name] = f, f
	}
}

// Play does one step.
func (m *Medium) Play(s Step) {
	switch s.op {
	case opOpen:
		m.open(s)
	case opWrite, opTruncate:
		f := m.files[s.inode]
		f.pending = append(f.pending, s)
	case opSync:
		f := m.files[s.inode]
		for _, p := range f.pending {
			f.durable = apply(f.durable, p, everything)
		}
		f.pending = nil
	case opUnlink:
		if f := m.names[s.name]; f != nil {
			f.removed = true
		}
		delete(m.names, s.name)
		m.pending = append(m.pending, naming{name: s.name})
	case opSyncDir:
		for _, n := range m.pending {
			rename(m.durable, n)
		}
		m.pending = nil
	}
}

// open gives a file its name. Go makes and renames files without the library seeing it; the next
// open tells.
func (m *Medium) open(s Step) {
	f := m.files[s.inode]
	if s.created || f != nil && f.removed {
		f = nil
	} else if f == nil {
		f = m.names[s.name] // it was there before the trace began
	}
	if f == nil {
		f = &file{}
	}
	m.files[s.inode] = f
	if m.names[s.name] == f {
		return
	}
	for name, other := range m.names {
		if other == f {
			delete(m.names, name)
			m.pending = append(m.pending, naming{name: name})
		}
	}
	m.names[s.name] = f
	m.pending = append(m.pending, naming{name: s.name, file: f})
}

func rename(names map[string]*file, n naming) {
	if n.file == nil {
		delete(names, n.name)
		return
	}
	names[n.name] = n.file
}

// Image is the content of files by name.
type Image map[string][]byte

// Synced is what a power cut leaves if the disk had written nothing that it was not made to.
func (m *Medium) Synced() Image {
	image := Image{}
	for name, f := range m.durable {
		image[name] = slices.Clone(f.durable)
	}
	return image
}

// Torn is what a power cut leaves if the disk had written some of the rest: some changes of names,
// and of each file some pieces of what was not synced, in any order.
func (m *Medium) Torn(rng *rand.Rand) Image {
	names := map[string]*file{}
	for name, f := range m.durable {
		names[name] = f
	}
	for _, n := range m.pending[:rng.IntN(len(m.pending)+1)] {
		rename(names, n)
	}
	fate := newFate(rng)
	image := Image{}
	for name, f := range names {
		content := slices.Clone(f.durable)
		for i, p := range f.pending {
			if fate.reaches(i, len(f.pending)) {
				content = apply(content, p, fate.keeps)
			}
		}
		image[name] = content
	}
	return image
}

// fate is how a disk treats what was not synced.
type fate struct {
	rng     *rand.Rand
	piece   int     // bytes that are written or not as a whole
	share   float64 // of pieces that are written
	until   float64 // how far in the order of writes it got
	garbage bool    // what was not written where a file grew is not zero but anything
}

func newFate(rng *rand.Rand) *fate {
	return &fate{rng: rng, piece: []int{512, 4096}[rng.IntN(2)], share: []float64{0.1, 0.5, 0.9, 1}[rng.IntN(4)],
		until: []float64{1, rng.Float64()}[rng.IntN(2)], garbage: rng.IntN(2) == 0}
}

func (f *fate) reaches(i, n int) bool { return float64(i) < f.until*float64(n) }

func (f *fate) keeps(content []byte, at, n, old int) int {
	piece := f.piece - at%f.piece
	n = min(n, piece)
	if f.rng.Float64() < f.share {
		return n
	}
	for i := max(at, old); f.garbage && i < at+n; i++ {
		content[i] = byte(f.rng.Uint32())
	}
	return -n
}

// everything keeps all.
func everything(_ []byte, _, n, _ int) int { return n }

// apply changes a content as a write or a truncation does. keeps is asked piece by piece: it
// answers how many bytes are written, or how many are not, as a negative number.
func apply(content []byte, s Step, keeps func(content []byte, at, n, old int) int) []byte {
	if s.op == opTruncate {
		if keeps(content, 0, 1, 1) < 0 {
			return content
		}
		if int(s.offset) <= len(content) {
			return content[:s.offset]
		}
		return append(content, make([]byte, int(s.offset)-len(content))...)
	}
	old, from, end := len(content), int(s.offset), int(s.offset)+len(s.data)
	if end > old {
		content = append(content, make([]byte, end-old)...)
	}
	for at := from; at < end; {
		n := keeps(content, at, end-at, old)
		if n > 0 {
			copy(content[at:at+n], s.data[at-from:])
		} else {
			n = -n
		}
		at += n
	}
	return content
}

// Put writes the image into a directory that has nothing of it.
func (i Image) Put(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for name, content := range i {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

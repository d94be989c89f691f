package store

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/playbookd/playbookd/engine"
)

const (
	sqlAddHistory = `INSERT INTO history (run, first, heads, names, data, data_blob)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6)`
	sqlHistory  = `SELECT first, heads, names, data, data_blob FROM history WHERE run = ?1 ORDER BY first`
	sqlAddWrite = `INSERT INTO writes (run, tenant, object, playbook, path, at, fields, comment)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)`
)

// addHistory stores entries, which are numbered on from the last of their run, and what they mean
// to write.
func (t *tx) addHistory(run int64, entries []engine.Entry, writes []engine.Write) error {
	if len(entries) > 0 {
		p := &t.w.packed
		p.pack(entries)
		data, blob, err := t.value(p.data)
		if err != nil {
			return err
		}
		if _, err := t.exec(sqlAddHistory, run, entries[0].Seq, string(p.heads), string(p.names), data, blob); err != nil {
			return err
		}
	}
	for _, w := range writes {
		fields, err := json.Marshal(w.Fields)
		if err != nil {
			return err
		}
		_, err = t.exec(sqlAddWrite, run, w.Tenant, w.Object, w.Playbook, w.Path, stamp(w.At), string(fields), w.Comment)
		if err != nil {
			return err
		}
	}
	return nil
}

// packed are entries as a row has them. Texts stand apart from the JSON, which could not hold those
// that are not UTF-8.
type packed struct{ heads, names, data []byte }

// pack replaces what it holds.
func (p *packed) pack(entries []engine.Entry) {
	p.heads, p.names, p.data = append(p.heads[:0], '['), p.names[:0], p.data[:0]
	if cap(p.data) > 2*Inline {
		p.data = nil // one large value should not be held for ever
	}
	for i, e := range entries {
		if i > 0 {
			p.heads = append(p.heads, ',')
		}
		p.heads = append(p.heads, '[')
		for k, n := range [...]int64{int64(len(e.Path)), int64(len(e.Kind)), int64(e.Attempt), stamp(e.At), int64(len(e.Data))} {
			if k > 0 {
				p.heads = append(p.heads, ',')
			}
			p.heads = strconv.AppendInt(p.heads, n, 10)
		}
		p.heads = append(p.heads, ']')
		p.names = append(append(p.names, e.Path...), e.Kind...)
		p.data = append(p.data, e.Data...)
	}
	p.heads = append(p.heads, ']')
}

// segment is a row of history.
type segment struct {
	first int
	packed
	blob *int64
}

// history reads the entries of a run and makes sure that none is missing.
func (v *view) history(run int64, last int) ([]engine.Entry, error) {
	segments, err := collect(v, sqlHistory, []any{run}, func(row scanner) (s segment, err error) {
		return s, row.Scan(&s.first, &s.heads, &s.names, &s.data, &s.blob)
	})
	if err != nil {
		return nil, err
	}
	var list []engine.Entry
	for _, s := range segments {
		if s.data, err = v.value(s.data, s.blob); err == nil {
			list, err = s.unpack(list, s.first)
		}
		if err != nil {
			return nil, fmt.Errorf("history from entry %d: %w", s.first, err)
		}
	}
	if err := checkEntries(list, 0); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if len(list) != last {
		return nil, fmt.Errorf("%w: %d of %d entries", ErrCorrupt, len(list), last)
	}
	return list, nil
}

// unpack appends the entries, the first of which has this number.
func (p packed) unpack(list []engine.Entry, first int) ([]engine.Entry, error) {
	var heads [][]int64
	if err := json.Unmarshal(p.heads, &heads); err != nil {
		return nil, fmt.Errorf("%w: heads of entries: %w", ErrCorrupt, err)
	}
	cut := func(from *[]byte, n int64) (part []byte, ok bool) {
		if n < 0 || n > int64(len(*from)) {
			return nil, false
		}
		part, *from = (*from)[:n:n], (*from)[n:]
		return part, true
	}
	for i, head := range heads {
		e := engine.Entry{Seq: first + i}
		if len(head) != 5 {
			return nil, fmt.Errorf("%w: entry %d has a head of %d numbers", ErrCorrupt, e.Seq, len(head))
		}
		path, okPath := cut(&p.names, head[0])
		kind, okKind := cut(&p.names, head[1])
		data, okData := cut(&p.data, head[4])
		if !okPath || !okKind || !okData {
			return nil, fmt.Errorf("%w: entry %d is longer than what is there of it", ErrCorrupt, e.Seq)
		}
		e.Path, e.Kind, e.Attempt, e.At = string(path), engine.EntryKind(kind), int(head[2]), moment(head[3])
		if len(data) > 0 {
			e.Data = data
		}
		list = append(list, e)
	}
	if n := len(p.names) + len(p.data); n > 0 {
		return nil, fmt.Errorf("%w: %d bytes belong to no entry", ErrCorrupt, n)
	}
	return list, nil
}

package raft

import (
	"fmt"
	"slices"

	"go.etcd.io/etcd/raft/v3/raftpb"
)

// maxLogView bounds what one look at the log decodes, in bytes: the raft loop waits for it.
const maxLogView = 8 << 20

// LogView is what a Sequencer may see of the log that its entry is about to extend. It may be used during a call of
// Sequence only.
type LogView interface {
	// After returns the entries after index in order, committed or not, up to the one that is being made. Of their
	// commands only Data is set, and it must not be changed. The position of one that is not on disk yet is that which
	// it will have at least. ok is false if there are too many of them, or if the log does not reach back to index.
	After(index uint64) (entries []Entry, ok bool)
	// Waiting returns the commands, as they were given to Wait, that may be attempted in the entry that is being made,
	// behind any command that may wake them; with due set, also before its first command. They must not be changed.
	Waiting() (cmds [][]byte, due bool)
}

// LogReader is a Sequencer that looks at the log. New hands it the view, once, before anything else.
type LogReader interface {
	Sequencer
	ReadLog(view LogView)
}

// logView is the LogView of a Replicator. It is owned by the loop.
type logView struct {
	r *Replicator
	// unsaved is the data of the entries that were proposed in this round of the loop: raft has them, but they reach the
	// log in memory only when they are saved.
	unsaved [][]byte
}

// note remembers an entry that raft has taken.
func (v *logView) note(data []byte) {
	if v != nil {
		v.unsaved = append(v.unsaved, data)
	}
}

// saved forgets them: they are in the log.
func (v *logView) saved() {
	if v != nil {
		clear(v.unsaved)
		v.unsaved = v.unsaved[:0]
	}
}

func (v *logView) After(index uint64) ([]Entry, bool) {
	entries, err := v.after(index)
	if err != nil {
		v.r.log.Debug("a look at the log was refused", "after", index, "err", err)
	}
	return entries, err == nil
}

func (v *logView) Waiting() (cmds [][]byte, due bool) {
	q := v.r.waits
	cmds = make([][]byte, 0, len(q.byID))
	for _, w := range q.byID {
		cmds = append(cmds, w.cmd)
	}
	return cmds, q.isDue()
}

func (v *logView) after(index uint64) ([]Entry, error) {
	raw, err := v.raw(index)
	if err != nil {
		return nil, err
	}
	if len(raw) > 0 && isPiece(&raw[0]) {
		// The first pieces of an entry that comes later may stand at index and before: nothing of it is applied there.
		p, err := decodePiece(raw[0].Data)
		if err == nil && p.ordinal > index {
			err = errPieceAlone
		}
		if err == nil && p.ordinal > 0 {
			raw, err = v.raw(index - p.ordinal)
		}
		if err != nil {
			return nil, fmt.Errorf("entry %d: %w", index+1, err)
		}
	}
	entries := make([]Entry, 0, len(raw))
	for len(raw) > 0 {
		e, n := raw[0], 1
		if isPiece(&e) {
			j, err := joinPieces(raw)
			if err != nil {
				return nil, err
			}
			e, n = j.entry, j.n
		}
		raw = raw[n:]
		if e.Type != raftpb.EntryNormal || e.Index <= index {
			continue // of no command, or pieces that are void
		}
		stamp, cmds, _, err := decodeEntry(e.Data)
		if err != nil {
			return nil, fmt.Errorf("entry %d: %w", e.Index, err)
		}
		entries = append(entries, Entry{Position: Position{Term: e.Term, Index: e.Index}, Stamp: stamp, Commands: cmds, Pieces: uint64(n) - 1})
	}
	return entries, nil
}

// raw returns what follows index in the log, with what raft has and the log in memory not yet.
func (v *logView) raw(index uint64) ([]raftpb.Entry, error) {
	memory := v.r.disk.memory
	last, err := memory.LastIndex()
	if err != nil {
		return nil, fmt.Errorf("read the log: %w", err)
	}
	if index > last {
		return nil, fmt.Errorf("the log ends at %d", last)
	}
	var raw []raftpb.Entry
	if index < last {
		if raw, err = memory.Entries(index+1, last+1, maxLogView); err != nil {
			return nil, fmt.Errorf("read the log: %w", err)
		}
		if uint64(len(raw)) < last-index {
			return nil, fmt.Errorf("%d entries of more than %d bytes", last-index, maxLogView)
		}
	}
	raw = slices.Grow(slices.Clip(raw), len(v.unsaved)) // its array is the log's own
	term := v.r.term.Load()
	for i, data := range v.unsaved {
		raw = append(raw, raftpb.Entry{Term: term, Index: last + 1 + uint64(i), Data: data})
	}
	return raw, nil
}

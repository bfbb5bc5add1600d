package raft

import (
	"bytes"
	"testing"

	etcdraft "go.etcd.io/etcd/raft/v3"
	"go.etcd.io/etcd/raft/v3/raftpb"
)

// piecesOf cuts an entry into pieces and gives them places in the log from index on.
func piecesOf(stamp int64, groups []group, size int, term, index uint64) []raftpb.Entry {
	var entries []raftpb.Entry
	c := newCutting(stamp, groups, size)
	for done := false; !done; done = c.took() {
		entries = append(entries, c.cut()...)
	}
	for i := range entries {
		entries[i].Term, entries[i].Index = term, index+uint64(i)
	}
	return entries
}

func TestPiecesMakeTheEntryAgain(t *testing.T) {
	groups := []group{
		{origin: 1, id: 2, cmds: []Command{{Data: []byte("small")}, {Data: bytes.Repeat([]byte("l"), 3*referredBytes)}}},
		{id: 3},
		{origin: 4, id: 5, cmds: []Command{{Data: bytes.Repeat([]byte("m"), referredBytes)}, {Data: []byte("end")}}},
	}
	want := appendEntry(nil, 77, groups)
	for _, size := range []int{1, 1000, referredBytes, len(want) - 1, len(want), len(want) + 1} {
		entries := piecesOf(77, groups, size, 3, 10)
		if n := (len(want) + size - 1) / size; len(entries) != n {
			t.Fatalf("pieces of %d bytes: %d of them, want %d", size, len(entries), n)
		}
		for i := range entries {
			if stamp, err := decodeStamp(entries[i].Data); stamp != 77 || err != nil {
				t.Fatalf("piece %d has the stamp %d, %v", i, stamp, err)
			}
		}
		next := raftpb.Entry{Term: 3, Index: 10 + uint64(len(entries)), Data: appendEntry(nil, 78, nil)}
		j, err := joinPieces(append(entries, next))
		if err != nil || j.open || j.void() || j.n != len(entries) {
			t.Fatalf("pieces of %d bytes: %d of %d, open %v, %v", size, j.n, len(entries), j.open, err)
		}
		if !bytes.Equal(j.entry.Data, want) || j.entry.Index != next.Index-1 || j.entry.Term != 3 {
			t.Errorf("pieces of %d bytes make another entry, at %d of term %d", size, j.entry.Index, j.entry.Term)
		}
	}
}

func TestPiecesThatAreNotAllThere(t *testing.T) {
	groups := []group{{origin: 1, id: 2, cmds: []Command{{Data: bytes.Repeat([]byte("x"), 100)}}}}
	pieces := piecesOf(5, groups, 30, 2, 1)
	later := raftpb.Entry{Term: 3, Index: 4}
	again := piecesOf(5, groups, 30, 3, 4)
	for _, c := range []struct {
		name string
		log  []raftpb.Entry
		n    int
		open bool
	}{
		{"the log ends", pieces[:3], 3, true},
		{"a new leader's first entry", append(pieces[:3:3], later), 3, false},
		{"pieces of another term", append(pieces[:3:3], again...), 3, false},
		{"pieces of another entry", append(pieces[:2:2], piecesOf(6, groups, 30, 2, 3)...), 2, false},
		{"no beginning", pieces[1:], 1, false},
	} {
		j, err := joinPieces(c.log)
		if err != nil || j.n != c.n || j.open != c.open || j.void() == c.open {
			t.Errorf("%s: %d pieces, open %v, void %v, %v; want %d, open %v", c.name, j.n, j.open, j.void(), err, c.n, c.open)
		}
	}
}

// A backend may hold a position among pieces that are void, and among no others: the rest of an entry must not be
// passed over.
func TestPositionAmongPieces(t *testing.T) {
	groups := []group{{origin: 1, id: 2, cmds: []Command{{Data: bytes.Repeat([]byte("x"), 100)}}}}
	pieces := piecesOf(5, groups, 30, 2, 2)
	last := pieces[len(pieces)-1].Index
	begin := raftpb.Entry{Term: 2, Index: 1}
	for _, c := range []struct {
		name    string
		log     []raftpb.Entry
		compact uint64
		want    int // entries behind index 3
		open    bool
		fails   bool
	}{
		{name: "the entry is complete", log: append([]raftpb.Entry{begin}, pieces...), fails: true},
		{name: "not yet", log: append([]raftpb.Entry{begin}, pieces[:3]...), open: true},
		{name: "void", log: append(append([]raftpb.Entry{begin}, pieces[:3]...), raftpb.Entry{Term: 3, Index: 5}), want: 1},
		{name: "a snapshot begins there", log: append([]raftpb.Entry{begin}, pieces...), compact: 3, want: 1},
	} {
		r := &Replicator{disk: &diskLog{memory: etcdraft.NewMemoryStorage()}}
		if err := r.disk.memory.Append(c.log); err != nil {
			t.Fatal(err)
		}
		if c.compact > 0 {
			if err := r.disk.memory.Compact(c.compact); err != nil {
				t.Fatal(err)
			}
		}
		a := &applyLoop{r: r, position: Position{Term: 2, Index: 3}}
		run, err := a.next(c.log[len(c.log)-1].Index)
		if (err != nil) != c.fails || run.open != c.open || len(run.entries) != c.want || c.want > 0 && run.entries[0].Index != 4 {
			t.Errorf("%s: %+v, open %v, %v (the entry is at %d)", c.name, run.entries, run.open, err, last)
		}
	}
}

func FuzzDecodePiece(f *testing.F) {
	f.Add(appendPieceHead(nil, piece{stamp: 1, ordinal: 2, count: 3}))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) == 0 || data[0] != pieceVersion {
			return
		}
		p, err := decodePiece(data)
		if err != nil {
			return
		}
		again, err := decodePiece(append(appendPieceHead(nil, p), p.data...))
		if err != nil || again.stamp != p.stamp || again.ordinal != p.ordinal || again.count != p.count || !bytes.Equal(again.data, p.data) {
			t.Errorf("%+v became %+v, %v", p, again, err)
		}
	})
}

package raft

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	etcdraft "go.etcd.io/etcd/raft/v3"
	"go.etcd.io/etcd/raft/v3/raftpb"
)

// A large entry goes into the log in pieces, which are entries of their own. Whatever has an entry in its hands, the log on
// disk, the transport, raft's own limits, handles it as a whole and copies it more than once; with one of hundreds of
// megabytes the loop would say nothing for seconds, and all that the runtime cannot interrupt would take as long.
//
//	version  1 byte, pieceVersion
//	stamp    unsigned varint, that of the entry
//	ordinal  unsigned varint, from 0
//	count    unsigned varint: how many pieces there are
//	rest     a part of the entry, as appendEntry would make it
//
// The pieces of an entry stand in the log one behind the other, and the entry takes its place with the last one. Nothing
// comes between them but the first entry of a later leader, who does not have all of them: they are void then, on every
// member.
const (
	pieceVersion = 2
	// wholeBytes is how large an entry may be that is not cut.
	wholeBytes = 4 << 20
	pieceBytes = 1 << 20
	// piecesAtOnce bounds what one turn of the loop adds to the log: it waits for the disk, and everybody else for it.
	piecesAtOnce = 4
	// referredBytes is from where on a command's data is referred to where it is, and not copied before it is cut.
	referredBytes = 64 << 10
)

var (
	errPieceShort = errors.New("piece of a log entry ends early")
	errPieceAlone = errors.New("piece of a log entry without those before it")
	// errCutting refuses what must not come between the pieces of an entry.
	errCutting = fmt.Errorf("%w: a large entry is on its way into the log", ErrBusy)
)

// piece is what stands in the log of one.
type piece struct {
	stamp          uint64
	ordinal, count uint64
	data           []byte
}

func isPiece(e *raftpb.Entry) bool {
	return e.Type == raftpb.EntryNormal && len(e.Data) > 0 && e.Data[0] == pieceVersion
}

func appendPieceHead(dst []byte, p piece) []byte {
	dst = append(dst, pieceVersion)
	dst = binary.AppendUvarint(dst, p.stamp)
	dst = binary.AppendUvarint(dst, p.ordinal)
	return binary.AppendUvarint(dst, p.count)
}

// decodePiece decodes what isPiece says is one. It shares data's memory.
func decodePiece(data []byte) (piece, error) {
	var p piece
	rest := data[1:]
	for _, field := range []*uint64{&p.stamp, &p.ordinal, &p.count} {
		v, n := binary.Uvarint(rest)
		if n <= 0 {
			return piece{}, errPieceShort
		}
		*field, rest = v, rest[n:]
	}
	if int64(p.stamp) < 0 || p.ordinal >= p.count {
		return piece{}, fmt.Errorf("piece %d of %d of a log entry", p.ordinal, p.count)
	}
	p.data = rest
	return p, nil
}

// joined is what the first of some entries, which is a piece, makes with those behind it.
type joined struct {
	entry raftpb.Entry // complete, in the place of the last piece
	n     int          // how many of the entries these are
	open  bool         // the entries end before it is known whether the pieces are complete
}

// void reports that the pieces are parts of nothing.
func (j *joined) void() bool { return !j.open && j.entry.Data == nil }

// joinPieces looks for the pieces that go with entries[0].
func joinPieces(entries []raftpb.Entry) (joined, error) {
	first, err := decodePiece(entries[0].Data)
	if err != nil {
		return joined{}, fmt.Errorf("entry %d: %w", entries[0].Index, err)
	}
	if first.ordinal != 0 {
		return joined{n: 1}, nil
	}
	size, n := len(first.data), uint64(1)
	for ; n < first.count; n++ {
		if n == uint64(len(entries)) {
			return joined{n: int(n), open: true}, nil
		}
		e := &entries[n]
		if !isPiece(e) || e.Term != entries[0].Term {
			return joined{n: int(n)}, nil
		}
		p, err := decodePiece(e.Data)
		if err != nil {
			return joined{}, fmt.Errorf("entry %d: %w", e.Index, err)
		}
		if p.ordinal != n || p.count != first.count || p.stamp != first.stamp {
			return joined{n: int(n)}, nil
		}
		size += len(p.data)
	}
	data := make([]byte, 0, size)
	for i := range entries[:n] {
		p, err := decodePiece(entries[i].Data)
		if err != nil {
			return joined{}, fmt.Errorf("entry %d: %w", entries[i].Index, err)
		}
		data = append(data, p.data...)
	}
	last := &entries[n-1]
	return joined{entry: raftpb.Entry{Term: last.Term, Index: last.Index, Data: data}, n: int(n)}, nil
}

// join reads an entry of which first is a piece. The position moves over all of them at once: a backend that held some
// could not be fed from there. It may stand among pieces that are void.
func (a *applyLoop) join(first raftpb.Entry, target uint64) (applyRun, error) {
	head, err := decodePiece(first.Data)
	if err != nil {
		return applyRun{}, fmt.Errorf("entry %d: %w", first.Index, err)
	}
	held := min(head.ordinal, first.Index-1)
	raw, err := a.readPieces(first.Index-held, head.count, target)
	if held > 0 && errors.Is(err, etcdraft.ErrCompacted) {
		// A snapshot begins here, so that nothing is to come of what stands before.
		held = 0
		raw, err = a.readPieces(first.Index, head.count, target)
	}
	if err != nil {
		return applyRun{}, err
	}
	if uint64(len(raw)) == head.count {
		a.r.applying.Store(int64(head.count) * int64(len(head.data))) // joining them takes its time too
	}
	j, err := joinPieces(raw)
	switch {
	case err != nil:
		return applyRun{}, err
	case j.open:
		return applyRun{open: true}, nil
	case j.void():
		a.r.applying.Store(0)
		raw = slices.Clone(raw[held:max(uint64(j.n), held+1)])
		for i := range raw {
			raw[i].Data = nil
		}
		return a.decode(raw)
	case held > 0:
		return applyRun{}, fmt.Errorf("the backend holds index %d, which is in the midst of the entry at %d: what is behind it would be missing", first.Index-1, j.entry.Index)
	}
	run, err := a.decode([]raftpb.Entry{j.entry})
	if err == nil {
		run.entries[0].Pieces = uint64(j.n) - 1
	}
	return run, err
}

// readPieces reads count entries from index on, as far as target.
func (a *applyLoop) readPieces(index, count, target uint64) ([]raftpb.Entry, error) {
	raw, err := a.r.disk.memory.Entries(index, index+min(count, target+1-index), math.MaxUint64)
	if err != nil {
		return nil, fmt.Errorf("read the log: %w", err)
	}
	return raw, nil
}

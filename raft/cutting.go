package raft

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"

	"go.etcd.io/etcd/raft/v3/raftpb"
)

// appendParts appends to dst the parts that, one behind the other, are what appendGroups makes. Those of large commands are
// the commands' own memory.
func appendParts(dst [][]byte, head []byte, groups []group) [][]byte {
	head = binary.AppendUvarint(head, uint64(len(groups)))
	for i := range groups {
		head = appendGroupHead(head, &groups[i])
		for j := range groups[i].cmds {
			data := groups[i].cmds[j].Data
			head = binary.AppendUvarint(head, uint64(len(data)))
			if len(data) < referredBytes {
				head = append(head, data...)
				continue
			}
			dst = append(dst, head, data)
			head = nil
		}
	}
	if len(head) > 0 {
		dst = append(dst, head)
	}
	return dst
}

func sizeOf(parts [][]byte) int {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	return n
}

func readParts(parts [][]byte) io.Reader {
	readers := make([]io.Reader, len(parts))
	for i, p := range parts {
		readers[i] = bytes.NewReader(p)
	}
	return io.MultiReader(readers...)
}

// cutting is an entry on its way into the log in pieces, which a leader cuts off as the log takes them.
type cutting struct {
	next   piece          // the one to be cut, without data
	size   int            // of the data of each but the last
	parts  [][]byte       // what is left
	pieces []raftpb.Entry // cut, and not taken by raft yet
}

func newCutting(stamp int64, groups []group, size int) *cutting {
	head := binary.AppendUvarint([]byte{entryVersion}, uint64(stamp))
	parts := appendParts(nil, head, groups)
	count := (sizeOf(parts) + size - 1) / size
	return &cutting{next: piece{stamp: uint64(stamp), count: uint64(count)}, size: size, parts: parts}
}

// cut returns some pieces that are next. They are returned again until took is called.
func (c *cutting) cut() []raftpb.Entry {
	for len(c.pieces) < piecesAtOnce && len(c.parts) > 0 {
		data := appendPieceHead(make([]byte, 0, c.size+4*binary.MaxVarintLen64), c.next)
		for room := c.size; room > 0 && len(c.parts) > 0; {
			n := min(room, len(c.parts[0]))
			data = append(data, c.parts[0][:n]...)
			c.parts[0] = c.parts[0][n:]
			room -= n
			if len(c.parts[0]) == 0 {
				c.parts = c.parts[1:]
			}
		}
		c.next.ordinal++
		c.pieces = append(c.pieces, raftpb.Entry{Data: data})
	}
	return c.pieces
}

// took reports whether there is nothing left once the log has what cut returned.
func (c *cutting) took() (done bool) {
	c.pieces = nil
	return len(c.parts) == 0
}

// putIntoLog proposes an entry to raft, in pieces if it is large and every member reads them: then the rest follows in
// further turns of the loop, and nothing else is put into the log before.
func (r *Replicator) putIntoLog(stamp int64, groups []group) error {
	size := r.entrySize(groups)
	var unversed []Member
	if size > r.wholeBytes {
		if unversed = r.notReading(dialect{entries: pieceVersion}); len(unversed) == 0 {
			return r.proposePieces(newCutting(stamp, groups, r.pieceBytes))
		}
	}
	data := appendEntry(make([]byte, 0, size), stamp, groups)
	if err := r.node.Propose(data); err != nil {
		return fmt.Errorf("propose an entry: %w", err)
	}
	r.view.note(data)
	if len(unversed) > 0 {
		r.log.Info("a large entry goes into the log as a whole: a member is of an older version, or has not said what it reads yet",
			"bytes", size, "member", unversed[0].URL)
	}
	return nil
}

// proposePieces proposes the next pieces of c.
func (r *Replicator) proposePieces(c *cutting) error {
	pieces := c.cut()
	if err := r.node.Step(raftpb.Message{Type: raftpb.MsgProp, From: r.identity.ID, Entries: pieces}); err != nil {
		return fmt.Errorf("propose pieces of an entry: %w", err)
	}
	for i := range pieces {
		r.view.note(pieces[i].Data)
	}
	r.cutting = c
	if c.took() {
		r.cutting = nil
	} else {
		r.mail.wake() // for the rest
	}
	return nil
}

// goOnCutting puts more of an entry that is cut into the log. False: that is not done yet.
func (r *Replicator) goOnCutting() bool {
	if r.cutting == nil {
		return true
	}
	// An error means that raft does not take any now. The next turn tries again, until the office is lost: then the log
	// tells what has become of the entry.
	_ = r.proposePieces(r.cutting)
	return r.cutting == nil
}

package raft

import (
	"bytes"
	"errors"
	"slices"
	"strings"
)

// simLedger knows what was committed, in order, because some backend applied it, and checks everything else against it.
// As the log is one order of all writes, linearizability needs no search: a call must come, in that order, after all
// that was answered before it began.
type simLedger struct {
	w       *simWorld
	entries []simRecord // entries[i] has index i+1
	last    simState    // after all of them
	// floor is the greatest index that any answer told of. Whatever begins now must come after it.
	floor   uint64
	tally   map[string]int   // commands of the log by call
	size    map[string]int   // commands by call
	outcome map[string]error // of calls; nil: executed
	reads   int
	writes  int
}

type simRecord struct {
	position Position
	stamp    int64
	cmds     [][]byte
	replies  []string
	chain    uint64
}

func newSimLedger(w *simWorld) simLedger {
	return simLedger{
		w: w, last: newSimState(),
		tally: make(map[string]int), size: make(map[string]int), outcome: make(map[string]error),
	}
}

// applied takes note of an entry that a backend has applied, with what came of it.
func (l *simLedger) applied(n *simNode, e *Entry, state *simState, replies []string) {
	switch next := uint64(len(l.entries)) + 1; {
	case e.Index-e.Pieces > next:
		l.w.violate("n%d applies index %d, but nobody has applied %d", n.i, e.Index, next)
		return
	case e.Index-e.Pieces == next:
		l.entries = append(l.entries, make([]simRecord, e.Pieces)...)
		l.append(n, e, state, replies)
	}
	if r := &l.entries[e.Index-1]; r.position != e.Position || r.chain != state.Chain {
		l.w.violate("n%d applies another entry %d than others: term %d, %d commands; theirs: term %d, %d commands; or it missed or repeated one before",
			n.i, e.Index, e.Term, len(e.Commands), r.position.Term, len(r.cmds))
	}
}

func (l *simLedger) append(n *simNode, e *Entry, state *simState, replies []string) {
	r := simRecord{position: e.Position, stamp: e.Stamp, replies: replies, chain: state.Chain}
	for i := range e.Commands {
		data := bytes.Clone(e.Commands[i].Data)
		r.cmds = append(r.cmds, data)
		call, _, _ := strings.Cut(string(data), " ")
		l.tally[call]++
	}
	switch before := &l.last; {
	case e.Term < before.Position.Term:
		l.w.violate("n%d: term %d at index %d follows term %d", n.i, e.Term, e.Index, before.Position.Term)
	case e.Stamp != 0 && e.Stamp < before.Stamp:
		l.w.violate("n%d: stamp %d at index %d follows stamp %d", n.i, e.Stamp, e.Index, before.Stamp)
	}
	l.entries = append(l.entries, r)
	l.last.apply(e.Position, e.Stamp, r.cmds)
	l.w.note("committed %d term %d with %d commands", e.Index, e.Term, len(r.cmds))
}

// restored compares a snapshot with what led to it.
func (l *simLedger) restored(n *simNode, at Position, state *simState) {
	if at.Index == 0 || at.Index > uint64(len(l.entries)) {
		l.w.violate("n%d restores index %d of %d", n.i, at.Index, len(l.entries))
		return
	}
	if r := &l.entries[at.Index-1]; at != r.position || state.Position != at || state.Chain != r.chain {
		l.w.violate("n%d restores a snapshot at %+v which holds %+v and is not what the log of %+v led to", n.i, at, state.Position, r.position)
	}
}

// stateAt computes the state after the entry at index.
func (l *simLedger) stateAt(index uint64) simState {
	s := newSimState()
	for _, r := range l.entries[:index] {
		if r.position == (Position{}) {
			continue // a piece of a later one
		}
		s.apply(r.position, r.stamp, r.cmds)
	}
	return s
}

// wrote checks the answer to a write.
func (l *simLedger) wrote(c *simCall) {
	if c.lost {
		c.err = ErrOutcomeUnknown // whatever it was, nobody has heard it
	}
	l.outcome[c.id] = c.err
	l.w.note("%s on n%d: %v", c.id, c.node.i, c.err)
	if c.err != nil {
		if !errors.Is(c.err, ErrNotDone) && !errors.Is(c.err, ErrOutcomeUnknown) {
			l.w.violate("write %s: error that tells nothing: %v", c.id, c.err)
		}
		return
	}
	l.writes++
	at := c.result.Index
	if at <= c.floor {
		l.w.violate("write %s is at index %d, though index %d was answered before it began", c.id, at, c.floor)
	}
	l.floor = max(l.floor, at)
	if at == 0 || at > uint64(len(l.entries)) || l.entries[at-1].position != c.result.Position {
		l.w.violate("write %s was answered with %+v, which is not in the log", c.id, c.result.Position)
		return
	}
	r := &l.entries[at-1]
	if c.result.Stamp != r.stamp {
		l.w.violate("write %s was answered with stamp %d, the log has %d", c.id, c.result.Stamp, r.stamp)
	}
	from := slices.IndexFunc(r.cmds, func(cmd []byte) bool { return bytes.HasPrefix(cmd, []byte(c.id+" ")) })
	for i, cmd := range c.cmds {
		if from < 0 || from+i >= len(r.cmds) || !bytes.Equal(r.cmds[from+i], cmd) {
			l.w.violate("write %s was answered, but entry %d does not hold its commands in order", c.id, at)
			return
		}
		reply := c.result.Replies[i]
		if !errors.Is(reply.Err, ErrReplyLost) && (reply.Err != nil || string(reply.Data) != r.replies[from+i]) {
			l.w.violate("write %s was answered %q (%v), want %q", c.id, reply.Data, reply.Err, r.replies[from+i])
		}
	}
}

// readDone checks the answer to a read.
func (l *simLedger) readDone(c *simCall) {
	if c.lost || c.err != nil {
		return
	}
	l.reads++
	if c.barred {
		l.w.violate("n%d answers a read that began when it was out of service", c.node.i)
	}
	l.w.note("read on n%d at %d", c.node.i, c.at)
	if c.at < c.floor {
		l.w.violate("read on n%d answered with the state of index %d, though index %d was answered before it began", c.node.i, c.at, c.floor)
	}
	l.floor = max(l.floor, c.at)
}

// finish checks that what calls were told agrees with the log, when all has come to rest.
func (l *simLedger) finish() {
	for id, err := range l.outcome {
		n := l.tally[id]
		want := l.size[id]
		switch {
		case n > want:
			l.w.violate("write %s with outcome %v is %d times in the log", id, err, n/want)
		case err == nil && n == 0:
			l.w.violate("write %s was answered and is not in the log", id)
		case errors.Is(err, ErrNotDone) && n > 0:
			l.w.violate("write %s is in the log, but was answered: %v", id, err)
		case n != 0 && n != want:
			l.w.violate("of write %s there are %d commands in the log, want %d", id, n, want)
		}
	}
}

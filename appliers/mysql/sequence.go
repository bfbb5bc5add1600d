package mysql

import (
	"context"
	"encoding/binary"
	"fmt"
	"regexp"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/nexus-replication/nexus/raft/failpoint"
)

// A sequence advances outside of transactions: its row stands in the binary log by itself, before the rows of whoever took
// a value from it. It goes into the log of raft as a command of its own, in the entry of the next transaction or schema
// change at the latest. Such a command only ever moves a sequence on, so it may come twice, or after a later one.

// sequenceState is the row of a sequence.
type sequenceState struct {
	database, name string
	next           int64 // the first value that no server has set aside
	round          int64 // how often it began anew
	falling        bool  // its increment is negative
}

func (s *sequenceState) quoted() string { return name(s.database) + "." + name(s.name) }

// sequences are those that have advanced on this server, as far as the log is not known to hold it.
type sequences struct {
	mu      sync.Mutex
	pending []sequenceState
	told    uint64 // the epoch in which this process has told of them last
	any     atomic.Bool
}

// namesSequence finds schema changes that may make a sequence, also by a comment with a version before the word.
var namesSequence = regexp.MustCompile(`(?i)sequence`)

// HasSequences reports whether the server may have sequences.
func (b *Backend) HasSequences() bool { return b.sequences.any.Load() }

// advanced notes a row of the binary log, where those of two sessions may stand the other way round.
func (s *sequences) advanced(state sequenceState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.pending {
		held := &s.pending[i]
		if held.database == state.database && held.name == state.name {
			if state.after(held) {
				*held = state
			}
			return
		}
	}
	s.pending = append(s.pending, state)
}

// logged forgets what the log holds.
func (s *sequences) logged(state sequenceState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.pending {
		if held := &s.pending[i]; held.database == state.database && held.name == state.name && !held.after(&state) {
			s.pending = append(s.pending[:i:i], s.pending[i+1:]...)
			return
		}
	}
}

// redefined forgets all: a schema change may have set a sequence back, or dropped it.
func (s *sequences) redefined() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending = nil
}

// loadSequences takes every sequence for one that has advanced: nobody read the binary log up to now.
func (b *Backend) loadSequences(ctx context.Context) error {
	names, err := b.conn.rows(ctx, "SELECT table_schema, table_name FROM information_schema.tables WHERE table_type='SEQUENCE'")
	if err != nil {
		return err
	}
	if len(names) > 0 {
		b.sequences.any.Store(true)
	}
	for _, n := range names {
		state := sequenceState{database: n[0], name: n[1]}
		row, err := b.conn.row(ctx, "SELECT next_not_cached_value, increment, cycle_count FROM "+state.quoted())
		if err != nil {
			return err
		}
		v, err := state.numbers(row)
		if err != nil {
			return err
		}
		state.next, state.falling, state.round = v[0], v[1] < 0, v[2]
		b.sequences.advanced(state)
	}
	return nil
}

// Sequences returns commands of an epoch that bring those along that have advanced on this server. They go before the
// command of a captured transaction, or of a schema change, in the same proposal.
func (b *Backend) Sequences(epoch uint64) [][]byte {
	b.sequences.mu.Lock()
	defer b.sequences.mu.Unlock()
	b.sequences.told = epoch
	var commands [][]byte
	for i := range b.sequences.pending {
		commands = append(commands, encodeSequence(epoch, &b.sequences.pending[i]))
	}
	return commands
}

func encodeSequence(epoch uint64, s *sequenceState) []byte {
	dst := []byte{commandVersion, byte(kindSequence)}
	dst = binary.AppendUvarint(dst, epoch)
	dst = appendText(dst, s.database)
	dst = appendText(dst, s.name)
	dst = binary.AppendVarint(dst, s.next)
	return binary.AppendVarint(dst, s.round)
}

// applySequence moves a sequence on where this server is behind.
func (b *Backend) applySequence(ctx context.Context, o *operation) error {
	s := &o.sequenceState
	row, err := b.sequenceRow(ctx, s, o.epoch)
	if err != nil && serverCode(err) != codeNoTable {
		return err
	}
	behind, err := s.ahead(row)
	if err != nil {
		return err
	}
	failpoint.Hit("mysql.sequence")
	if behind {
		if _, err := b.conn.exec(ctx, fmt.Sprintf("DO SETVAL(%s,%d,0,%d)", s.quoted(), s.next, s.round)); err != nil {
			return err
		}
	}
	b.sequences.logged(*s)
	o.reply([]byte{byte(Done)})
	return nil
}

// sequenceRow asks where a sequence stands; nil where this server, which has told that it has advanced, cannot be behind. A session that executes an INSERT
// into a sequence keeps all others from it up to the end of its transaction, which may wait for this.
func (b *Backend) sequenceRow(ctx context.Context, s *sequenceState, epoch uint64) ([]string, error) {
	const question = "SELECT next_not_cached_value, increment, cycle_count FROM "
	row, err := b.conn.row(ctx, "SET STATEMENT lock_wait_timeout=0 FOR "+question+s.quoted())
	if serverCode(err) != codeLockTimeout {
		return row, err
	}
	b.sequences.mu.Lock()
	own := b.sequences.told == epoch
	b.sequences.mu.Unlock()
	if own {
		return nil, nil
	}
	return b.conn.row(ctx, question+s.quoted())
}

// codeNoTable is for a sequence that was dropped, on all servers alike.
const codeNoTable = 1146

// ahead reports whether s comes after what a server holds: next value, increment, round; nil where there is no sequence.
func (s *sequenceState) ahead(row []string) (bool, error) {
	if len(row) != 3 {
		return false, nil
	}
	v, err := s.numbers(row)
	if err != nil {
		return false, err
	}
	s.falling = v[1] < 0
	return s.after(&sequenceState{next: v[0], round: v[2]}), nil
}

// numbers reads the columns that tell where a sequence stands: next value, increment, round.
func (s *sequenceState) numbers(row []string) (v [3]int64, err error) {
	if len(row) != len(v) {
		return v, fmt.Errorf("sequence %s has no row", s.quoted())
	}
	for i, text := range row {
		if v[i], err = strconv.ParseInt(text, 10, 64); err != nil {
			return v, fmt.Errorf("sequence %s: %w", s.quoted(), err)
		}
	}
	return v, nil
}

// after reports whether s comes after other, of the same sequence.
func (s *sequenceState) after(other *sequenceState) bool {
	switch {
	case s.round != other.round:
		return s.round > other.round
	case s.falling:
		return s.next < other.next
	}
	return s.next > other.next
}

// sequenceColumns is how a table map tells the columns of a sequence: their number, eight, and their types, of which all are
// BIGINT but the last but one, a TINYINT.
const sequenceColumns = "\x08" + "\x08\x08\x08\x08\x08\x08\x01\x08"

// isSequence reports whether the body of a table map is that of a sequence: only these are written outside of XA, and have
// such columns.
func isSequence(body []byte) bool {
	rest := body[min(8, len(body)):]
	for range 2 { // names
		if len(rest) == 0 || int(rest[0])+2 > len(rest) {
			return false
		}
		rest = rest[2+int(rest[0]):]
	}
	return len(rest) >= 9 && string(rest[:9]) == sequenceColumns
}

// sequenceRow reads the last row of a sequence out of the body of a rows event: id (6), flags (2), number of columns, those
// that are there, and rows: those that are NULL, values.
func sequenceRow(body []byte) (state sequenceState, ok bool) {
	const head, size = 6 + 2 + 1 + 1, 1 + 6*8 + 1 + 8
	if len(body) < head+size || (len(body)-head)%size != 0 || body[8] != 8 {
		return state, false
	}
	row := body[len(body)-size+1:]
	number := func(at int) int64 { return int64(binary.LittleEndian.Uint64(row[at:])) }
	return sequenceState{next: number(0), falling: number(4*8) < 0, round: number(size - 1 - 8)}, true
}

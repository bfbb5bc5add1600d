package mysql

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/raft"
)

// history is a log that two members apply, each with its own accidents.
type history struct {
	t       *testing.T
	rand    *rand.Rand
	log     []raft.Entry
	members [2]*member
	at      [2]uint64 // up to where each is known to have applied
	rows    []int     // that are there
	last    int
}

func (h *history) append(term uint64, commands ...[]byte) {
	h.log = append(h.log, entry(term, uint64(len(h.log)+1), commands...))
}

// transaction prepares one on a member, and lets something happen to it.
func (h *history) transaction(m *member, term uint64) []byte {
	h.t.Helper()
	s := m.session(h.t)
	s.exec("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
	var texts []string
	if n := len(h.rows); n > 0 && h.rand.IntN(2) == 0 {
		i := h.rand.IntN(n)
		texts = append(texts, fmt.Sprintf("DELETE FROM bank.kept WHERE a=%d", h.rows[i]))
		h.rows = append(h.rows[:i], h.rows[i+1:]...)
	}
	h.last++
	texts = append(texts, fmt.Sprintf("INSERT INTO bank.kept VALUES (%d)", h.last))
	tx, data := m.prepare(h.t, s, term, texts...)
	switch h.rand.IntN(6) {
	case 0: // the answer is lost
		s.exec("XA COMMIT " + tx.XID())
		s.Disconnect()
	case 1:
		s.Disconnect()
	case 2:
		tx.End(false)
	}
	return data
}

// round is a term: one member leads and makes some entries, which both apply.
func (h *history) round(term uint64) {
	h.t.Helper()
	h.append(term)
	for i := range h.members {
		h.apply(i)
	}
	at := h.rand.IntN(2)
	leader := h.members[at]
	for n := h.rand.IntN(3); n >= 0 && leader == h.members[at]; n-- { // who was restarted leads no more
		var commands [][]byte
		var added []int
		for range h.rand.IntN(4) {
			commands = append(commands, h.transaction(leader, term))
			added = append(added, h.last)
		}
		for range h.rand.IntN(2) {
			i := h.rand.IntN(len(commands) + 1)
			commands = append(commands[:i:i], append([][]byte{schema(term, fmt.Sprintf("CREATE TABLE bank.t%d (a INT)", len(h.log)*10+i))}, commands[i:]...)...)
		}
		h.append(term, commands...)
		if h.rand.IntN(2) == 0 { // else together with the next
			for i := range h.members {
				h.apply(i)
			}
			h.rows = append(h.rows, added...)
		}
	}
	for i := range h.members {
		h.apply(i)
	}
	h.rows = h.rows[:0]
	for a := range h.last {
		if h.members[0].query(h.t, fmt.Sprintf("SELECT COUNT(*) FROM bank.kept WHERE a=%d", a+1)) == "1" {
			h.rows = append(h.rows, a+1)
		}
	}
}

// apply brings a member to the end of the log, after an accident or none.
func (h *history) apply(i int) {
	h.t.Helper()
	m := h.members[i]
	ctx := within(h.t, 60*time.Second)
	switch h.rand.IntN(6) {
	case 0:
		m.drop()
	case 1: // what comes behind them cannot be applied
		if rest := h.log[h.at[i]:]; len(rest) > 0 {
			last := rest[len(rest)-1]
			broken := entry(last.Term, last.Index+1, EncodeSchema(last.Term, []string{"SET SESSION time_zone=" + berlin}, "CREATE DATABASE never"))
			if err := m.Apply(ctx, append(append([]raft.Entry{}, rest...), broken)); err == nil {
				h.t.Error("a time zone that the server does not know was taken")
			}
		}
	case 2: // a crash in between
		if rest := h.log[h.at[i]:]; len(rest) > 0 && m.conn != nil {
			check(h.t, m.endGiven(ctx))
			check(h.t, m.enterTerm(ctx, rest[len(rest)-1].Term))
			ops, err := decode(rest)
			check(h.t, err)
			if ops = m.behindHeld(ops); len(ops) > 0 {
				_, err := m.applyRun(ctx, ops)
				check(h.t, err)
			}
		}
		again := newMember(h.t, m.server, m.id.Node)
		held, err := again.Open(ctx, again.id)
		check(h.t, err)
		h.members[i], h.at[i] = again, held.Index
	}
	for m = h.members[i]; ; {
		err := m.Apply(ctx, h.log[h.at[i]:])
		var behind *raft.BehindError
		switch {
		case err == nil:
			h.at[i] = uint64(len(h.log))
			return
		case errors.As(err, &behind):
			h.at[i] = behind.Position.Index
		default:
			h.t.Fatalf("member %d, after index %d: %v", i, h.at[i], err)
		}
	}
}

// Whatever happens to connections, answers and processes, each transaction of the log is done once, on each member.
func TestHistories(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	h := &history{t: t, rand: rand.New(rand.NewPCG(seed, 1)), members: [2]*member{openMember(t, 1), openMember(t, 2)}}
	h.append(2)
	h.append(2, schema(2, "CREATE DATABASE bank"), schema(2, "CREATE TABLE bank.kept (a INT, KEY (a))"))
	for term := uint64(3); term < 15 && !t.Failed(); term++ {
		h.round(term)
		const digest = "SELECT a, COUNT(*) FROM bank.kept GROUP BY a ORDER BY a"
		if got, want := h.members[0].query(t, digest), h.members[1].query(t, digest); got != want {
			t.Fatalf("term %d: the members differ:\n%s\n%s", term, got, want)
		}
		if got := h.members[0].query(t, "SELECT a FROM bank.kept GROUP BY a HAVING COUNT(*)>1"); got != "" {
			t.Fatalf("term %d: there more than once: %s", term, got)
		}
	}
}

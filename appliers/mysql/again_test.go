package mysql

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/raft"
)

// What was applied before something failed is not applied again with it: a schema change would move the position back, in front
// of rows that came without markers.
func TestAppliedInPart(t *testing.T) {
	leader := openKeyless(t)
	_, data := leader.prepare(t, leader.session(t), 2, "INSERT INTO bank.keyless VALUES (1)")
	m := openKeyless(t)
	late := entry(2, 5, EncodeSchema(2, []string{"SET SESSION time_zone=" + berlin}, "CREATE DATABASE late"))
	entries := []raft.Entry{entry(2, 3, schema(2, "ALTER TABLE bank.keyless COMMENT 'x'")), entry(2, 4, data), late}
	for range 2 {
		if err := m.Apply(within(t, 40*time.Second), entries); err == nil {
			t.Fatal("a time zone that the server does not know was taken")
		}
	}
	if got := m.query(t, "SELECT idx FROM nexus.position"); got != "4" {
		t.Errorf("position %s, want 4", got)
	}
	knowBerlin(t, m)
	m.apply(t, entries...)
	m.rows(t, "1")
	for i, e := range entries {
		if got := verdict(t, e); got != "done" {
			t.Errorf("entry %d: %s", i, got)
		}
	}
}

// Of the last transactions of an entry some are there already: the others bring the position with them all the same.
func TestPositionComesWithWhatIsMissing(t *testing.T) {
	m := openKeyless(t)
	_, lost := m.prepare(t, m.session(t), 2, "INSERT INTO bank.keyless VALUES (1)")
	s := m.session(t)
	tx, there := m.prepare(t, s, 2, "INSERT INTO bank.keyless VALUES (2)")
	s.exec("XA COMMIT " + tx.XID()) // and then a crash, of which the other commit was not executed before

	again := newMember(t, m.server, 1)
	_, err := again.Open(within(t, 40*time.Second), again.id)
	check(t, err)
	e := entry(2, 3, lost, there)
	ops, err := decode([]raft.Entry{e})
	check(t, err)
	_, err = again.applyRun(within(t, 40*time.Second), ops)
	check(t, err)
	m.rows(t, "1;2")
	if got := m.query(t, "SELECT idx FROM nexus.position"); got != "3" {
		t.Errorf("position %s, want 3: after a crash now, a row would be there twice", got)
	}
}

// A transaction that the server has lost is taken over as rows; what comes behind it may fail then, and it comes again.
func TestSettledAgain(t *testing.T) {
	m := openKeyless(t)
	s := m.session(t)
	tx, data := m.prepare(t, s, 2, "INSERT INTO bank.keyless VALUES (1)")
	ctx := within(t, 40*time.Second)
	check(t, m.kill(ctx, []uint64{s.ConnectionID()}))
	check(t, m.rollBackPrepared(ctx, func(string) bool { return true }))
	e := entry(2, 3, data)
	ops, err := decode([]raft.Entry{e})
	check(t, err)
	for range 3 {
		check(t, m.settle(ctx, tx, &ops[0]))
	}
	m.apply(t, e)
	m.apply(t)
	m.rows(t, "1")
	if got := m.query(t, "SELECT idx FROM nexus.position"); got != "3" {
		t.Errorf("position %s, want 3", got)
	}
	if n := m.transactions.count(); n != 0 {
		t.Errorf("%d transactions are still open", n)
	}
}

// The transactions of a session may have one name, one after the other. What the binary log has of one that was rolled back is not taken for the next one's.
func TestNameOfAnother(t *testing.T) {
	m := openKeyless(t)
	s := m.session(t)
	first, _ := m.prepare(t, s, 2, "INSERT INTO bank.keyless VALUES (1)")
	if _, err := first.Again(); err == nil {
		t.Error("two transactions have one name at the same time")
	}
	s.exec("XA ROLLBACK " + first.XID())
	first.End(true)
	tx, err := first.Again()
	check(t, err)
	if tx.XID() != first.XID() || tx.Sequence() == first.Sequence() {
		t.Fatalf("%s %d behind %s %d", tx.XID(), tx.Sequence(), first.XID(), first.Sequence())
	}
	m.transactions.deliver(tx.Name(), captured{marked: transactionID{2, first.Sequence()}, events: []byte("of the first")})
	s.exec("XA START "+tx.XID(), "INSERT INTO bank.keyless VALUES (2)", tx.Mark(), "XA END "+tx.XID())
	check(t, tx.Prepare())
	s.exec("XA PREPARE " + tx.XID())
	data, err := tx.Captured(within(t, 40*time.Second))
	check(t, err)
	m.apply(t, entry(2, 3, data))
	m.rows(t, "2")

	// One that its session gave up is found by the name.
	lost, err := tx.Again()
	check(t, err)
	s.exec("XA START "+lost.XID(), "INSERT INTO bank.keyless VALUES (3)", lost.Mark(), "XA END "+lost.XID())
	check(t, lost.Prepare())
	s.exec("XA PREPARE " + lost.XID())
	lost.End(false)
	m.apply(t)
	m.rows(t, "2")
	if got := m.query(t, "XA RECOVER"); got != "" {
		t.Errorf("still prepared: %s", got)
	}
}

// A server that was restarted may not have a commit any more that it had answered, of an entry that was not applied to its end.
func TestCommitThatTheServerHasLost(t *testing.T) {
	m := openKeyless(t)
	tx, data := m.prepare(t, m.session(t), 2, "INSERT INTO bank.keyless VALUES (1)")
	kept := m.session(t)
	ktx, also := m.prepare(t, kept, 2, "INSERT INTO bank.keyless VALUES (2)")
	kept.exec("XA COMMIT " + ktx.XID())
	m.transactions.committed([]*Transaction{tx, ktx}, []error{nil, nil})
	m.drop()
	m.apply(t, entry(2, 3, data, also))
	m.rows(t, "1;2")
}

// sleeps reports whether a connection executes what beginSleep has begun.
func (m *member) sleeps(t *testing.T, k *conn) bool {
	t.Helper()
	return m.query(t, fmt.Sprintf("SELECT COUNT(*) FROM information_schema.processlist WHERE id=%d AND info LIKE '%%SLEEP(1000)'", k.c.GetConnectionID())) == "1"
}

// beginSleep lets a connection execute what takes longer than any test, and returns when it does. What becomes of it comes by the channel.
func (m *member) beginSleep(ctx context.Context, t *testing.T, k *conn) chan error {
	t.Helper()
	over := make(chan error, 1)
	go func() {
		_, err := k.exec(ctx, "DO SLEEP(1000)")
		over <- err
	}()
	for !m.sleeps(t, k) {
		time.Sleep(time.Millisecond)
	}
	return over
}

// Connections that were lost are ended before anything is said again.
func TestLostConnectionsAreEnded(t *testing.T) {
	m := openKeyless(t)
	k, err := m.connect(within(t, 40*time.Second))
	check(t, err)
	over := m.beginSleep(context.Background(), t, k)
	id := k.c.GetConnectionID()
	m.lost = append(m.lost, uint64(id))
	m.connections.remove(uint64(id))
	m.drop()
	m.apply(t, entry(2, 3))
	if m.sleeps(t, k) {
		t.Error("what was said on it is still executed")
	}
	if err := <-over; err == nil || errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	k.close()
	if len(m.lost) != 0 {
		t.Errorf("%d connections are still to be ended", len(m.lost))
	}
}

// What was committed cannot always be done twice: its marker, which comes last, would not be reached.
func TestDeletedAlready(t *testing.T) {
	fill := func(m *member) {
		_, data := m.prepare(t, m.session(t), 2, "INSERT INTO bank.keyless VALUES (1)")
		m.apply(t, entry(2, 3, data))
		m.apply(t)
	}
	t.Run("own commit whose answer was lost", func(t *testing.T) {
		m := openKeyless(t)
		fill(m)
		s := m.session(t)
		tx, data := m.prepare(t, s, 2, "DELETE FROM bank.keyless")
		s.exec("XA COMMIT " + tx.XID())
		s.Disconnect()
		m.apply(t, entry(2, 4, data))
		m.rows(t, "")
	})
	t.Run("crash before the rest of its entry", func(t *testing.T) {
		m := openKeyless(t)
		fill(m)
		s := m.session(t)
		tx, data := m.prepare(t, s, 2, "DELETE FROM bank.keyless")
		s.exec("XA COMMIT " + tx.XID())
		again := newMember(t, m.server, 1)
		_, err := again.Open(within(t, 40*time.Second), again.id)
		check(t, err)
		again.apply(t, entry(2, 4, data, schema(2, "CREATE TABLE bank.other (a INT)")))
		m.rows(t, "")
	})
}

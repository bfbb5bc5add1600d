package mysql

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/raft"
)

// createKeyless is a table in which nothing but Nexus notices a row that is there twice.
const createKeyless = "CREATE TABLE bank.keyless (a INT)"

func openKeyless(t *testing.T) *member {
	t.Helper()
	m := openMember(t, 1)
	m.apply(t, keylessEntries()...)
	return m
}

func keylessEntries() []raft.Entry {
	return []raft.Entry{entry(2, 1), entry(2, 2, schema(2, "CREATE DATABASE bank"), schema(2, createKeyless))}
}

func (m *member) rows(t *testing.T, want string) {
	t.Helper()
	if got := m.query(t, "SELECT a FROM bank.keyless ORDER BY a"); got != want {
		t.Errorf("rows %q, want %q", got, want)
	}
}

// What this node has committed as the leader, before a crash and without having written its position, is recognised when it
// comes from the log, though what comes with it stands there without markers.
func TestOwnCommitsAreRecognised(t *testing.T) {
	m := openKeyless(t)
	s := m.session(t)
	_, first := m.prepare(t, s, 2, "INSERT INTO bank.keyless VALUES (1)")
	_, lost := m.prepare(t, m.session(t), 2, "INSERT INTO bank.keyless VALUES (2)")
	m.apply(t, entry(2, 3, first))
	if got := m.query(t, "SELECT idx FROM nexus.position"); got != "2" {
		t.Fatalf("position %s is written already", got)
	}

	again := newMember(t, m.server, 1) // which rolls back what was prepared
	held, err := again.Open(within(t, 40*time.Second), again.id)
	check(t, err)
	if held.Index != 2 {
		t.Errorf("holds index %d, want 2", held.Index)
	}
	again.apply(t, entry(2, 3, first), entry(2, 4, lost))
	m.rows(t, "1;2")
	if got := m.query(t, "SELECT idx FROM nexus.position"); got != "4" {
		t.Errorf("position %s, want 4", got)
	}
	again.apply(t, entry(2, 3, first), entry(2, 4, lost))
	m.rows(t, "1;2")
}

// Where an entry goes on behind the rows, the position cannot stand with them, and the markers do.
func TestPartOfAnEntryIsMarked(t *testing.T) {
	leader := openKeyless(t)
	_, data := leader.prepare(t, leader.session(t), 2, "INSERT INTO bank.keyless VALUES (1)")
	m := openKeyless(t)
	mixed := entry(2, 3, data, schema(2, "CREATE TABLE bank.other (a INT)"))
	ops, err := decode([]raft.Entry{mixed})
	check(t, err)
	n, err := m.applyRun(within(t, 40*time.Second), ops)
	check(t, err)
	if n != 1 {
		t.Fatalf("%d commands at once, want 1", n)
	}
	if got := m.query(t, "SELECT idx FROM nexus.position") + " " + m.query(t, "SELECT sequence FROM nexus.applied"); got != "2 1" {
		t.Errorf("position and marker: %s", got)
	}

	again := newMember(t, m.server, 1) // a crash
	_, err = again.Open(within(t, 40*time.Second), again.id)
	check(t, err)
	again.apply(t, mixed)
	m.rows(t, "1")
	if got := verdict(t, mixed); got != "done,done" {
		t.Errorf("got %s", got)
	}
}

// A connection that was lost may commit its rows later than this node tries them again: the position tells.
func TestLateCommitOfALostConnection(t *testing.T) {
	leader := openKeyless(t)
	_, data := leader.prepare(t, leader.session(t), 2, "INSERT INTO bank.keyless VALUES (1)")
	m := openKeyless(t)
	e := entry(2, 3, data)
	ops, err := decode([]raft.Entry{e})
	check(t, err)
	statements, err := binlogStatements(ops, false)
	check(t, err)
	late, err := m.openApplier(within(t, 40*time.Second))
	check(t, err)
	m.applier = nil // lost
	defer late.close()
	ctx := within(t, 40*time.Second)
	check(t, late.run(ctx, append(append([]string{"BEGIN"}, positionMove(m.saved, e.Position)...), statements...)...))

	applied := make(chan error, 1)
	go func() { applied <- m.Apply(context.Background(), []raft.Entry{e}) }()
	const waiting = "SELECT COUNT(*) FROM information_schema.processlist WHERE state='Updating' AND info LIKE '%UPDATE nexus.position%'"
	for m.query(t, waiting) != "1" && len(applied) == 0 {
		time.Sleep(time.Millisecond)
	}
	check(t, late.run(ctx, "COMMIT"))
	if err := <-applied; err == nil {
		t.Error("the rows were applied twice, or nobody noticed")
	} else if fatal := new(raft.FatalError); errors.As(err, &fatal) {
		t.Errorf("the node stops: %v", err)
	}
	var behind *raft.BehindError
	if err := m.Apply(ctx, []raft.Entry{e}); !errors.As(err, &behind) || behind.Position != e.Position {
		t.Errorf("got %v, want that the backend holds %v", err, e.Position)
	}
	m.rows(t, "1")
}

// A transaction that was given up, but had been committed, is recognised.
func TestFencedAfterItsCommit(t *testing.T) {
	m := openKeyless(t)
	s := m.session(t)
	tx, data := m.prepare(t, s, 2, "INSERT INTO bank.keyless VALUES (1)")
	m.apply(t) // what is there is known
	check(t, m.loadKnown(within(t, 40*time.Second)))
	s.exec("XA COMMIT " + tx.XID()) // said by the applier, which has not heard the answer
	m.apply(t, entry(2, 3, data), entry(3, 4))
	m.rows(t, "1")
	if got := fmt.Sprint(m.held.Index); got != "4" {
		t.Errorf("holds %s, want 4", got)
	}
}

// Markers are removed together, though one between them is that of a prepared transaction; where that is not to be had, one by
// one.
func TestRemoveMarkersAroundOneThatIsPrepared(t *testing.T) {
	for _, together := range []bool{true, false} {
		t.Run(fmt.Sprintf("together=%v", together), func(t *testing.T) {
			m := openKeyless(t)
			s := m.session(t)
			ctx := within(t, 40*time.Second)
			var done []marker
			for i := range 40 {
				if i == 20 {
					m.prepare(t, m.session(t), 2, "INSERT INTO bank.keyless VALUES (1)")
					continue
				}
				_, data := m.prepare(t, s, 2, "INSERT INTO bank.keyless VALUES (2)")
				m.apply(t, entry(2, uint64(3+i), data))
				done = append(done, m.markers[len(m.markers)-1])
			}
			kept := 3
			remove := m.removeEach
			if together {
				remove = m.removeTogether
			}
			check(t, remove(ctx, done[kept:]))
			check(t, m.removeMarkers(ctx, done[:1]))
			if got, want := m.query(t, "SELECT COUNT(*) FROM nexus.applied"), fmt.Sprint(kept-1); got != want {
				t.Errorf("%s markers are left, want %s", got, want)
			}
		})
	}
}

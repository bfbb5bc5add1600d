package mysql

import (
	"strconv"
	"testing"
	"time"
)

// doubtAfter returns what the binary log tells of what was executed up to now.
func (m *member) doubtAfter(t *testing.T, epoch uint64) error {
	t.Helper()
	s := m.session(t)
	tx, _ := m.prepare(t, s, epoch) // whatever came before was read when this is captured
	s.exec("XA ROLLBACK " + tx.XID())
	tx.End(true)
	return m.Doubt()
}

// What the applier commits, in whatever way, is no reason to doubt, and what is committed by anybody else is.
func TestDoubt(t *testing.T) {
	m := openMember(t, 1)
	m.apply(t, entry(2, 1), entry(2, 2, schema(2, "CREATE DATABASE bank"), schema(2, createAccounts)))
	s := m.session(t)
	_, first := m.prepare(t, s, 2, "INSERT INTO bank.accounts VALUES (1, 'a', 1)")
	m.apply(t, entry(2, 3, first))
	_, killed := m.prepare(t, s, 2, "INSERT INTO bank.accounts VALUES (2, 'b', 1)")
	m.exec(t, "KILL CONNECTION "+strconv.FormatUint(s.ConnectionID(), 10))
	m.apply(t, entry(2, 4, killed))
	if err := m.doubtAfter(t, 2); err != nil {
		t.Errorf("own commits: %v", err)
	}
	m.transactions.mu.Lock()
	if n := len(m.transactions.expected); n > 1 { // that of the killed session is not in the binary log
		t.Errorf("%d commits are expected still", n)
	}
	m.transactions.mu.Unlock()

	again := newMember(t, m.server, 1)
	open := func() {
		_, err := again.Open(within(t, 40*time.Second), again.id)
		check(t, err)
	}
	m.prepare(t, m.session(t), 2, "INSERT INTO bank.accounts VALUES (3, 'c', 1)") // rolled back when it is opened
	open()
	again.apply(t, entry(2, 3, first), entry(2, 4, killed), entry(3, 5))
	if err := again.doubtAfter(t, 3); err != nil {
		t.Errorf("after a restart: %v", err)
	}

	again.session(t).exec("XA START 'y'", "INSERT INTO bank.accounts VALUES (9, 'y', 1)", "CREATE TEMPORARY TABLE bank.y (a INT)", "XA END 'y'", "XA ROLLBACK 'y'")
	if err := again.doubtAfter(t, 3); err != nil {
		t.Errorf("after a rollback behind a temporary table: %v", err)
	}

	for name, texts := range map[string][]string{
		"one phase":  {"XA START 'x'", "INSERT INTO bank.accounts VALUES (10, 'x', 1)", "XA END 'x'", "XA COMMIT 'x' ONE PHASE"},
		"two phases": {"XA START 'x'", "INSERT INTO bank.accounts VALUES (11, 'x', 1)", "XA END 'x'", "XA PREPARE 'x'", "XA COMMIT 'x'"},
		"no XA":      {"INSERT INTO bank.accounts VALUES (12, 'x', 1)"},
	} {
		again.session(t).exec(texts...)
		if again.doubtAfter(t, 3) == nil {
			t.Errorf("%s: not noticed", name)
		}
	}
	other := again.session(t)
	tx, data := again.prepare(t, other, 3, "INSERT INTO bank.accounts VALUES (20, 'x', 1)")
	other.exec("XA COMMIT " + tx.XID())
	if again.doubtAfter(t, 3) == nil {
		t.Error("a transaction of Nexus's own that somebody else committed: not noticed")
	}
	again.apply(t, entry(3, 6, data))
	if err := again.doubtAfter(t, 3); err != nil {
		t.Error(err)
	}
}

// The name of a transaction is read as the server writes it.
func TestTakeExpected(t *testing.T) {
	var s transactions
	s.init()
	for text, want := range map[string]bool{
		"61',X'',1": true, "62',X'',1": false, "61',X'',2": false, "61',X'63',1": false, "61": false, "": false, "6',X'',1": false, "61',X'',1',X'',1": false,
	} {
		s.expected["a"] = struct{}{}
		if got := s.takeExpected([]byte(text)); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

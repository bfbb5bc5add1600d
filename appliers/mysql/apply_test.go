package mysql

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/raft"
)

const createAccounts = "CREATE TABLE bank.accounts (id INT PRIMARY KEY AUTO_INCREMENT, owner VARCHAR(40), balance INT)"

func TestCommandsRoundTrip(t *testing.T) {
	c, err := decodeCommand(EncodeSchema(3, []string{"a", "b"}, "c"))
	if err != nil || c.epoch != 3 || len(c.prelude) != 2 || c.prelude[1] != "b" || c.text != "c" {
		t.Errorf("got %+v, %v", c, err)
	}
	c, err = decodeCommand(appendRows(nil, 300, 4, []byte("xyz")))
	if err != nil || c.epoch != 300 || c.sequence != 4 || string(c.events) != "xyz" {
		t.Errorf("got %+v, %v", c, err)
	}
	for n := range 6 {
		if _, err := decodeCommand(EncodeSchema(3, []string{"a"}, "c")[:n]); err == nil {
			t.Errorf("cut after %d bytes: no error", n)
		}
	}
	for _, newer := range [][]byte{{9, 1, 1, 1}, {commandVersion, 99, 1, 1}} {
		if _, err := decodeCommand(newer); err == nil || !strings.Contains(err.Error(), "written by a newer version") ||
			!strings.HasSuffix(err.Error(), "start the newer one again, or replace this node") {
			t.Errorf("a later version: %v", err)
		}
	}
}

// What executed on one server is the same on another, with what chance, clock and triggers did to it.
func TestRowsReachTheOthers(t *testing.T) {
	leader, follower := openMember(t, 1), openMember(t, 2)
	setup := []raft.Entry{
		entry(2, 1),
		entry(2, 2, schema(2, "CREATE DATABASE bank"), schema(2, createAccounts),
			schema(2, "CREATE TABLE bank.log (n INT PRIMARY KEY AUTO_INCREMENT, what CHAR(36), at DATETIME(6))"),
			schema(2, "CREATE TRIGGER bank.note AFTER INSERT ON bank.accounts FOR EACH ROW INSERT INTO bank.log (what, at) VALUES (UUID(), SYSDATE(6))")),
	}
	leader.apply(t, setup...)
	follower.apply(t, setup...)

	s := leader.session(t)
	_, data := leader.prepare(t, s, 2, "INSERT INTO bank.accounts (owner, balance) VALUES (UUID(), RAND()*1000), ('b', 2)",
		"UPDATE bank.accounts SET balance=balance+1 WHERE id=2")
	if got := leader.query(t, "SELECT COUNT(*) FROM bank.accounts"); got != "0" {
		t.Errorf("%s rows are visible before the commit", got)
	}
	e := entry(2, 3, data)
	leader.apply(t, e)
	if got := verdict(t, e); got != "done" {
		t.Errorf("got %s", got)
	}
	follower.apply(t, entry(2, 3, data))
	for _, q := range []string{"SELECT * FROM bank.accounts", "SELECT * FROM bank.log"} {
		got, want := follower.query(t, q), leader.query(t, q)
		if got != want || want == "" {
			t.Errorf("%s: %q on the follower, %q on the leader", q, got, want)
		}
	}
	if got := follower.query(t, "SELECT COUNT(*) FROM nexus.applied"); got != "0" {
		t.Errorf("%s markers where the rows came with the position", got)
	}
	// Again, as when something behind it could not be applied: nothing is doubled.
	follower.apply(t, entry(2, 3, data))
	if got := follower.query(t, "SELECT COUNT(*) FROM bank.accounts"); got != "2" {
		t.Errorf("%s rows after the entry was applied twice", got)
	}
}

// A command that comes into the log in another term than its epoch does nothing, anywhere.
func TestFencing(t *testing.T) {
	m := openMember(t, 1)
	m.apply(t, entry(2, 1), entry(2, 2, schema(2, "CREATE DATABASE bank"), schema(2, createAccounts)))
	s := m.session(t)
	_, data := m.prepare(t, s, 2, "INSERT INTO bank.accounts VALUES (1, 'a', 1)")

	// Another session holds a lock that the next leader's rows need.
	open := m.session(t)
	tx, err := m.Begin(2, open)
	check(t, err)
	open.exec("XA START "+tx.XID(), "INSERT INTO bank.accounts VALUES (2, 'open', 1)")

	other := openMember(t, 2)
	other.apply(t, entry(2, 1), entry(2, 2, schema(2, "CREATE DATABASE bank"), schema(2, createAccounts)), entry(3, 3))
	_, theirs := other.prepare(t, other.session(t), 3, "INSERT INTO bank.accounts VALUES (1, 'theirs', 1), (2, 'theirs', 2)")

	late := entry(3, 5, data)
	m.apply(t, entry(3, 3), entry(3, 4, theirs), late)
	if got := verdict(t, late); got != "fenced" {
		t.Errorf("got %s", got)
	}
	if got := m.query(t, "SELECT owner FROM bank.accounts"); got != "theirs;theirs" {
		t.Errorf("got %q", got)
	}
	if got := m.query(t, "XA RECOVER"); got != "" {
		t.Errorf("still prepared: %q", got)
	}
	if _, err := m.Begin(2, open); !errors.Is(err, ErrFenced) {
		t.Errorf("a transaction of the old epoch began: %v", err)
	}
}

// The node crashed between XA PREPARE and XA COMMIT: the transaction comes back through the log, or never.
func TestPreparedWhenOpened(t *testing.T) {
	m := openMember(t, 1)
	m.apply(t, entry(2, 1), entry(2, 2, schema(2, "CREATE DATABASE bank"), schema(2, createAccounts)))
	_, data := m.prepare(t, m.session(t), 2, "INSERT INTO bank.accounts VALUES (1, 'logged', 1)")
	m.prepare(t, m.session(t), 2, "INSERT INTO bank.accounts VALUES (2, 'not logged', 1)")

	again := newMember(t, m.server, 1)
	held, err := again.Open(within(t, 40*time.Second), again.id)
	check(t, err)
	if held.Index != 2 {
		t.Errorf("holds index %d, want 2", held.Index)
	}
	again.apply(t, entry(2, 3, data))
	if got := m.query(t, "SELECT owner FROM bank.accounts"); got != "logged" {
		t.Errorf("got %q", got)
	}
}

// The server crashed while transactions were prepared: those in the log are committed, whoever lost its connection.
func TestServerCrashWhilePrepared(t *testing.T) {
	m := openMember(t, 1)
	m.apply(t, entry(2, 1), entry(2, 2, schema(2, "CREATE DATABASE bank"), schema(2, createAccounts)))
	_, first := m.prepare(t, m.session(t), 2, "INSERT INTO bank.accounts VALUES (1, 'a', 1)")
	_, second := m.prepare(t, m.session(t), 2, "INSERT INTO bank.accounts VALUES (2, 'b', 1)")
	m.apply(t, entry(2, 3, first)) // its position is not saved yet
	check(t, m.Kill())
	check(t, m.StartReady(within(t, 40*time.Second)))
	entries := []raft.Entry{entry(2, 3, first), entry(2, 4, second)}
	var behind *raft.BehindError
	for end := time.Now().Add(40 * time.Second); ; {
		err := m.Apply(within(t, 40*time.Second), entries[1:])
		if errors.As(err, &behind) {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("not behind: %v", err)
		}
	}
	if behind.Position.Index != 2 {
		t.Errorf("behind at %d, want 2", behind.Position.Index)
	}
	m.apply(t, entries...)
	if got := m.query(t, "SELECT owner FROM bank.accounts"); got != "a;b" {
		t.Errorf("got %q", got)
	}
	if got := m.query(t, "XA RECOVER"); got != "" {
		t.Errorf("still prepared: %q", got)
	}
}

// KILL of a session that waits for its commit does not undo the commit.
func TestKilledWhilePrepared(t *testing.T) {
	m := openMember(t, 1)
	m.apply(t, entry(2, 1), entry(2, 2, schema(2, "CREATE DATABASE bank"), schema(2, createAccounts)))
	s := m.session(t)
	_, data := m.prepare(t, s, 2, "INSERT INTO bank.accounts VALUES (1, 'a', 1)")
	m.exec(t, "KILL CONNECTION "+strconv.FormatUint(s.ConnectionID(), 10))
	m.apply(t, entry(2, 3, data))
	if got := m.query(t, "SELECT owner FROM bank.accounts"); got != "a" {
		t.Errorf("got %q", got)
	}
}

// A schema change that was executed just before a crash is not executed again; one that was not, is.
func TestSchemaAfterCrash(t *testing.T) {
	m := openMember(t, 1)
	m.apply(t, entry(2, 1), entry(2, 2, schema(2, "CREATE DATABASE bank"), schema(2, createAccounts)))
	const text = "ALTER TABLE bank.accounts ADD INDEX (owner)" // a second one would succeed, too
	o := operation{command: command{kind: kindSchema, epoch: 2, text: text}}
	e := entry(2, 3, schema(2, text))
	o.entry = &e
	check(t, m.schemaIntent(within(t, 40*time.Second), &o))
	if _, err := m.trySchema(within(t, 40*time.Second), &o); err != nil {
		t.Fatal(err)
	}
	again := newMember(t, m.server, 1)
	_, err := again.Open(within(t, 40*time.Second), again.id)
	check(t, err)
	again.apply(t, e)
	if got := m.query(t, "SELECT COUNT(*) FROM information_schema.statistics WHERE table_schema='bank' AND index_name<>'PRIMARY'"); got != "1" {
		t.Errorf("%s indexes, want 1", got)
	}
	if got := verdict(t, e); got != "done" {
		t.Errorf("got %s", got)
	}
	// Intent only.
	e = entry(2, 4, schema(2, "CREATE TABLE bank.other (a INT)"))
	o.entry, o.text = &e, "CREATE TABLE bank.other (a INT)"
	check(t, again.schemaIntent(within(t, 40*time.Second), &o))
	again.apply(t, e)
	m.query(t, "SELECT * FROM bank.other")
}

func TestSchemaErrorIsAResult(t *testing.T) {
	m := openMember(t, 1)
	e := entry(2, 2, schema(2, "CREATE DATABASE bank"), schema(2, "CREATE DATABASE bank"))
	m.apply(t, entry(2, 1), e)
	if got, want := verdict(t, e), "done,ERROR 1007 (HY000): Can't create database 'bank'; database exists"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// Rows that do not fit the data mean that the members differ: the node stops.
func TestRowsThatDoNotFit(t *testing.T) {
	leader, follower := openMember(t, 1), openMember(t, 2)
	for _, m := range []*member{leader, follower} {
		m.apply(t, entry(2, 1), entry(2, 2, schema(2, "CREATE DATABASE bank"), schema(2, createAccounts)))
	}
	follower.exec(t, "SET SESSION sql_log_bin=0; INSERT INTO bank.accounts VALUES (1, 'beside', 1)")
	_, data := leader.prepare(t, leader.session(t), 2, "INSERT INTO bank.accounts VALUES (1, 'a', 1)")
	err := follower.Apply(within(t, 40*time.Second), []raft.Entry{entry(2, 3, data)})
	var fatal *raft.FatalError
	if !errors.As(err, &fatal) {
		t.Errorf("got %v, want a fatal error", err)
	}
	if got := follower.query(t, "SELECT idx FROM nexus.position"); got != "2" {
		t.Errorf("position %s, want 2", got)
	}
}

func TestOpenRefuses(t *testing.T) {
	m := openMember(t, 1)
	var fatal *raft.FatalError
	if _, err := newMember(t, m.server, 2).Open(within(t, 40*time.Second), raft.Identity{Cluster: 7, Node: 2}); !errors.As(err, &fatal) {
		t.Errorf("another node's server: %v", err)
	}
	foreign := startServer(t)
	foreign.exec(t, "CREATE DATABASE old", "CREATE TABLE old.t (a INT)")
	if _, err := newMember(t, foreign, 1).Open(within(t, 40*time.Second), m.id); !errors.As(err, &fatal) {
		t.Errorf("a server with data: %v", err)
	}
}

// Markers that are not needed any more are removed, without waiting for those of transactions that are prepared.
func TestMarkersAreRemoved(t *testing.T) {
	m := openMember(t, 1)
	m.apply(t, entry(2, 1), entry(2, 2, schema(2, "CREATE DATABASE bank"), schema(2, createAccounts)))
	s := m.session(t)
	const n = maxMarkers + 10
	index := uint64(2)
	var waiting []byte
	for i := range n {
		_, data := m.prepare(t, s, 2, "INSERT INTO bank.accounts VALUES ("+strconv.Itoa(i+1)+", 'a', 1)")
		index++
		m.apply(t, entry(2, index, data))
		if i == n/2 {
			_, waiting = m.prepare(t, m.session(t), 2, "INSERT INTO bank.accounts VALUES (100000, 'prepared', 1)")
		}
	}
	m.apply(t) // the position is saved
	if got, err := strconv.Atoi(m.query(t, "SELECT COUNT(*) FROM nexus.applied")); err != nil || got >= n {
		t.Errorf("%d markers are left, %v", got, err)
	}
	m.apply(t, entry(2, index+1, waiting))
	m.apply(t)
	m.apply(t, entry(3, index+2))
	m.apply(t)
	if got := m.query(t, "SELECT COUNT(*) FROM nexus.applied"); got != "0" {
		t.Errorf("%s markers of an earlier epoch", got)
	}
	if got := m.query(t, "SELECT COUNT(*) FROM bank.accounts"); got != strconv.Itoa(n+1) {
		t.Errorf("%s accounts", got)
	}
}

package mysql

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// What is written to the binary log while the node does not read it is read later: what the applier has committed, and what nobody
// was to write.
func TestBinaryLogIsReadOn(t *testing.T) {
	m := openMember(t, 1)
	m.apply(t, entry(2, 1), entry(2, 2, schema(2, "CREATE DATABASE bank"), schema(2, createAccounts)))
	s := m.session(t)
	_, first := m.prepare(t, s, 2, "INSERT INTO bank.accounts VALUES (1, 'a', 1)")
	m.drop() // as after an error of the machine
	m.exec(t, "FLUSH BINARY LOGS")
	m.apply(t, entry(2, 3, first))
	check(t, m.Apply(within(t, 40*time.Second), nil)) // the position is saved
	m.drop()
	m.apply(t, entry(2, 4))
	if err := m.doubtAfter(t, 2); err != nil {
		t.Errorf("own commits: %v", err)
	}
	check(t, m.Apply(within(t, 40*time.Second), nil))
	m.drop()
	m.session(t).exec("INSERT INTO bank.accounts VALUES (2, 'x', 1)")
	m.exec(t, "FLUSH BINARY LOGS")
	m.apply(t, entry(2, 5))
	if err := m.doubtAfter(t, 2); !errors.Is(err, errBeside) {
		t.Errorf("what was written while nobody read: %v", err)
	}
}

// A server that does not send its binary log to the end leaves a doubt, once, and is read on.
func TestBinaryLogThatIsGone(t *testing.T) {
	m := openMember(t, 1)
	m.apply(t, entry(2, 1), entry(2, 2, schema(2, "CREATE DATABASE bank"), schema(2, createAccounts)))
	m.exec(t, "RESET MASTER")
	deadline := time.Now().Add(40 * time.Second)
	var doubt error
	for index := uint64(3); doubt == nil && time.Now().Before(deadline); index++ {
		m.apply(t, entry(2, index))
		doubt = m.Doubt()
		time.Sleep(20 * time.Millisecond)
	}
	if !errors.Is(doubt, errUnread) {
		t.Fatalf("doubt: %v", doubt)
	}
	if err := m.doubtAfter(t, 2); err != nil {
		t.Errorf("later: %v", err)
	}
}

// A server that ends the connection is asked for what follows.
func TestDumpThatIsEnded(t *testing.T) {
	m := openMember(t, 1)
	m.apply(t, entry(2, 1), entry(2, 2, schema(2, "CREATE DATABASE bank"), schema(2, createAccounts)))
	m.prepare(t, m.session(t), 2, "INSERT INTO bank.accounts VALUES (1, 'a', 1)")
	for n := range 2 { // a connection that ends twice at the same place tells nothing about the place
		m.exec(t, "KILL CONNECTION "+m.query(t, "SELECT id FROM information_schema.processlist WHERE command='Binlog Dump'"))
		// It is not the library that reads on, which knows less of what was read whole.
		await(t, "the end of the connection is noticed", func() bool { return m.captureBroken() != nil })
		if n == 1 {
			m.exec(t, "CREATE DATABASE unread")
		}
		check(t, m.Apply(within(t, 40*time.Second), nil))
	}
	m.prepare(t, m.session(t), 2, "INSERT INTO bank.accounts VALUES (2, 'b', 1)")
	if err := m.doubtAfter(t, 2); err != nil {
		t.Error(err)
	}
}

// The library's errors have a stack, which tells operators nothing.
func TestDumpThatIsEndedIsToldWithoutAStack(t *testing.T) {
	m := newMember(t, startServer(t), 1)
	var said bytes.Buffer
	m.log = slog.New(slog.NewTextHandler(&said, nil))
	_, err := m.Open(within(t, 40*time.Second), m.id)
	check(t, err)
	m.exec(t, "KILL CONNECTION "+m.query(t, "SELECT id FROM information_schema.processlist WHERE command='Binlog Dump'"))
	await(t, "the end of the connection is noticed", func() bool { return m.captureBroken() != nil })
	check(t, m.Apply(within(t, 40*time.Second), nil))
	if text := said.String(); !strings.Contains(text, "is not read any more") || strings.Contains(text, ".go:") {
		t.Errorf("the node says:\n%s", text)
	}
}

// Where a server does not say how far it was read, it is not read on from a wrong place.
func TestReadUpToNowhere(t *testing.T) {
	m := openMember(t, 1)
	c := m.capture.Load()
	c.mu.Lock()
	c.at = 0
	c.mu.Unlock()
	c.readUpTo()
	if at := c.position(); at.Name == "" || at.Pos != 0 {
		t.Errorf("read up to %v", at)
	}
	m.stopCapture()
	if at := m.reading.upTo; at.Name != "" {
		t.Errorf("it would be read on from %v", at)
	}
	if whole, err := m.startCapture(within(t, 40*time.Second)); err != nil || whole {
		t.Errorf("nothing was passed over: %v, %v", whole, err)
	}
}

// A server that breaks off again before anything was written has told all that there is; one that has written more has not.
func TestBrokenOffTwice(t *testing.T) {
	m := openMember(t, 1)
	for n := range 3 {
		if whole, err := m.startCapture(within(t, 40*time.Second)); err != nil || !whole {
			t.Errorf("time %d: %v, %v", n, whole, err)
		}
	}
	m.stopCapture()
	m.reading.resumed = m.reading.upTo
	m.exec(t, "CREATE DATABASE unseen")
	if whole, err := m.startCapture(within(t, 40*time.Second)); err != nil || whole {
		t.Errorf("passed over a part: %v, %v", whole, err)
	}
}

// The name of the next file is what the server calls it, whether it tells of it while it writes there, at the begin of a dump, or
// behind a file that a crash has ended.
func TestNamesOfBinaryLogs(t *testing.T) {
	m := openMember(t, 1)
	m.apply(t, entry(2, 1), entry(2, 2, schema(2, "CREATE DATABASE bank"), schema(2, createAccounts)))
	named := func(when string) {
		t.Helper()
		got, want := "", "?"
		for deadline := time.Now().Add(40 * time.Second); got != want; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s: the file is called %q, not %q", when, got, want)
			}
			_ = m.Apply(within(t, 40*time.Second), nil) // the connection may be lost
			if c := m.capture.Load(); c != nil {
				got = c.position().Name
			}
			want, _, _ = strings.Cut(m.query(t, "SHOW MASTER STATUS"), ",")
		}
	}
	named("at the begin")
	m.exec(t, "FLUSH BINARY LOGS")
	named("another file")
	m.drop()
	named("another connection")
	check(t, m.Kill())
	check(t, m.StartReady(within(t, 30*time.Second)))
	named("behind a crash")
	m.exec(t, "FLUSH BINARY LOGS")
	named("behind that")
}

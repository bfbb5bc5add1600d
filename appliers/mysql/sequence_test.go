package mysql

import (
	"testing"
	"time"
)

func TestSequencesArePending(t *testing.T) {
	var s sequences
	up := sequenceState{database: "a", name: "up", next: 8}
	down := sequenceState{database: "a", name: "down", next: -8, falling: true}
	s.advanced(up)
	s.advanced(down)
	later, earlier := up, down
	later.next, earlier.next = 15, -5
	s.advanced(later)
	s.advanced(earlier) // written later by a session that was earlier
	if len(s.pending) != 2 || s.pending[0] != later || s.pending[1] != down {
		t.Errorf("pending %+v", s.pending)
	}
	s.logged(up)
	if len(s.pending) != 2 {
		t.Error("an earlier place in the log is taken for the last one")
	}
	s.logged(later)
	if len(s.pending) != 1 || s.pending[0] != down {
		t.Errorf("pending %+v", s.pending)
	}
	s.redefined()
	if len(s.pending) != 0 {
		t.Errorf("pending %+v after a schema change", s.pending)
	}
	again := up
	again.next, again.round = 1, 1
	if !again.after(&later) {
		t.Error("a new round does not come after the one before")
	}
}

// A command moves a sequence on, and never back, however often it comes.
func TestSequenceCommand(t *testing.T) {
	m := openMember(t, 1)
	state := sequenceState{database: "a", name: "s", next: 50}
	at := func(next int64) []byte {
		state.next = next
		return encodeSequence(2, &state)
	}
	gone := sequenceState{database: "a", name: "gone", next: 5}
	m.apply(t, entry(2, 1), entry(2, 2, schema(2, "CREATE DATABASE a"), schema(2, "CREATE SEQUENCE a.s")),
		entry(2, 3, at(50), at(50), at(20), encodeSequence(2, &gone)), entry(2, 4, at(50), at(60), encodeSequence(1, &sequenceState{database: "a", name: "s", next: 99})))
	if got := m.query(t, "SELECT next_not_cached_value FROM a.s"); got != "60" {
		t.Errorf("the next value is %s, want 60", got)
	}

	// What happened while nobody read the binary log goes into the log all the same.
	check(t, m.Close())
	m.exec(t, "DO SETVAL(a.s, 69)")
	_, err := m.Open(within(t, 40*time.Second), m.id)
	check(t, err)
	commands := m.Sequences(3)
	if len(commands) != 1 {
		t.Fatalf("%d sequences are to be told of", len(commands))
	}
	c, err := decodeCommand(commands[0])
	if err != nil || c.next != 70 || c.database != "a" || c.epoch != 3 {
		t.Errorf("got %+v, %v", c, err)
	}
}

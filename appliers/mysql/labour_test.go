package mysql

import (
	"testing"
	"time"

	"github.com/nexus-replication/nexus/raft"
)

// A server is believed to work for as long as it changes or reads more rows.
func TestComesAlong(t *testing.T) {
	var l labour
	now := time.Now()
	l.note(steps{5, 5}, now)
	if l.comesAlong() {
		t.Error("nothing is being applied")
	}
	end := l.begin(func() (string, string) { return "rows", "" })
	for _, c := range []struct {
		what string
		seen steps
		ago  time.Duration
		want bool
	}{
		{"what was changed and read before", steps{1, 1e9}, 0, false},
		{"what the looks read", steps{1, 1e9 + labourReads - 1}, 0, false},
		{"rows that were looked at", steps{1, 1e9 + labourReads}, 0, true},
		{"a row that was changed long ago", steps{2, 1e9 + labourReads}, labourLasts, false},
		{"nothing since", steps{2, 1e9 + labourReads}, 0, false},
		{"a row that was changed", steps{3, 1e9 + labourReads}, 0, true},
	} {
		l.note(c.seen, now.Add(-c.ago))
		if got := l.comesAlong(); got != c.want {
			t.Errorf("%s: %t", c.what, got)
		}
	}
	end()
	if l.comesAlong() {
		t.Error("it is over")
	}
}

// Rows of a table without a key that are looked for one by one are told of, and the server is not taken for one that hangs; it is where they
// are locked.
func TestLabourIsToldOf(t *testing.T) {
	t.Parallel()
	leader, follower := openMember(t, 1), openMember(t, 2)
	setup := entry(2, 1, schema(2, "CREATE DATABASE bank"), schema(2, "CREATE TABLE bank.keyless (n INT, m INT)"), schema(2, "CREATE TABLE bank.t (n INT PRIMARY KEY, m INT)"))
	leader.apply(t, setup)
	follower.apply(t, setup)
	commit := func(index uint64, text string) raft.Entry {
		_, data := leader.prepare(t, leader.session(t), 2, text)
		e := entry(2, index, data)
		leader.apply(t, e)
		return e
	}
	follower.apply(t, commit(2, "INSERT INTO bank.keyless SELECT seq, 0 FROM bank.seq_1_to_12000"), commit(3, "INSERT INTO bank.t VALUES (1, 0)"))
	e := commit(4, "UPDATE bank.keyless SET m=1")
	applied := make(chan error, 1)
	begin := func(e raft.Entry) {
		ctx := within(t, 400*time.Second)
		go func() { applied <- follower.Apply(ctx, []raft.Entry{e}) }()
	}
	begin(e)
	for seen := false; !seen; {
		select {
		case err := <-applied:
			t.Fatalf("it was over before it was seen: %v", err)
		case <-time.After(time.Millisecond):
			seen = follower.Busy()
		}
	}
	if what, of, since := follower.Executing(); what != "changes of rows (log entry 4)" || of != "bank.keyless" || since.IsZero() {
		t.Errorf("%q of %q since %v", what, of, since)
	}
	check(t, <-applied)
	if what, _, _ := follower.Executing(); what != "" || follower.Busy() {
		t.Errorf("it is over, and %q, busy %t", what, follower.Busy())
	}

	s := follower.session(t)
	s.exec("BEGIN", "SELECT * FROM bank.t FOR UPDATE")
	begin(commit(5, "UPDATE bank.t SET m=1"))
	for waits := false; !waits; {
		_, of, since := follower.Executing()
		waits = of == "bank.t" && time.Since(since) > 3*labourPause
		if follower.Busy() {
			t.Fatal("a server whose rows are locked is taken for one that works")
		}
		time.Sleep(time.Millisecond)
	}
	s.exec("ROLLBACK")
	check(t, <-applied)
}

package mysql

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// openImpatient opens a member that waits for an answer for 2 s.
func openImpatient(t *testing.T, node uint64) *member {
	t.Helper()
	m := newMember(t, startServer(t), node)
	m.cfg.ReplyTimeout, m.cfg.DDLPatience = 2*time.Second, 40*time.Second
	_, err := m.Open(within(t, 40*time.Second), m.id)
	check(t, err)
	return m
}

func TestPatience(t *testing.T) {
	t.Parallel()
	m := openImpatient(t, 1)
	ctx := within(t, 60*time.Second)
	k, err := m.connect(ctx)
	check(t, err)
	defer k.close()
	impatiently := k.patiently()
	if _, err := k.exec(ctx, "DO SLEEP(5)"); err != nil {
		t.Errorf("a server that answers others is not waited for: %v", err)
	}
	impatiently()
	if _, err := k.exec(ctx, "DO SLEEP(5)"); err == nil {
		t.Error("an answer was waited for longer than was said")
	}
}

// Nobody waits for a server that is gone or hangs, nor after the end.
func TestPatienceEnds(t *testing.T) {
	t.Parallel()
	m := openImpatient(t, 1)
	begin := func(ctx context.Context) chan error {
		k, err := m.connect(within(t, 40*time.Second))
		check(t, err)
		t.Cleanup(k.close)
		k.patiently()
		return m.beginSleep(ctx, t, k)
	}
	await := func(over chan error) error {
		select {
		case err := <-over:
			return err
		case <-time.After(40 * time.Second):
			t.Fatal("it is still waited for")
			return nil
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	over := begin(ctx)
	cancel()
	if err := await(over); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %v", err)
	}
	over = begin(context.Background())
	check(t, m.Pause())
	err := await(over)
	check(t, m.Resume())
	if err == nil || serverCode(err) != 0 {
		t.Errorf("the server hangs: %v", err)
	}
}

// Rows and schema changes that take longer than an answer may are applied, once.
func TestApplyTakesItsTime(t *testing.T) {
	t.Parallel()
	leader, follower := openMember(t, 1), openImpatient(t, 2)
	setup := entry(2, 1, schema(2, "CREATE DATABASE bank"), schema(2, "CREATE TABLE bank.keyless (n INT)"))
	leader.apply(t, setup)
	follower.apply(t, setup)
	_, data := leader.prepare(t, leader.session(t), 2, "INSERT INTO bank.keyless VALUES (1)")
	leader.apply(t, entry(2, 2, data))
	follower.apply(t, entry(2, 2, data))
	_, data = leader.prepare(t, leader.session(t), 2, "UPDATE bank.keyless SET n=n+1")

	hold := func(how string) (release func()) {
		s := follower.session(t)
		s.exec("BEGIN", how)
		held := time.AfterFunc(3*time.Second, func() { s.exec("ROLLBACK") })
		return func() { held.Stop() }
	}
	release := hold("SELECT * FROM bank.keyless FOR UPDATE")
	follower.apply(t, entry(2, 3, data))
	release()
	if got := follower.query(t, "SELECT n FROM bank.keyless"); got != "2" {
		t.Errorf("it holds %s", got)
	}
	release = hold("SELECT * FROM bank.keyless")
	var log bytes.Buffer // of one handler, which writes one line at a time
	follower.log = slog.New(slog.NewTextHandler(&log, nil))
	e := entry(2, 4, schema(2, "ALTER TABLE bank.keyless ADD m INT"))
	follower.apply(t, e)
	release()
	if got := verdict(t, e); got != "done" {
		t.Errorf("the table was not altered: %s", got)
	}
	for _, told := range []string{`msg="a schema change takes long, and all entries of the log wait behind it" statement="ALTER TABLE" index=4`, `msg="the schema change is over" statement="ALTER TABLE" index=4 took=`} {
		if !strings.Contains(log.String(), told) {
			t.Errorf("the log does not tell %s:\n%s", told, &log)
		}
	}
}

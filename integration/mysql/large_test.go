package mysql

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// A transaction that is larger than one may be is rolled back, all of it, with an error; the session and all others go on.
func TestTooLargeTransaction(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t, "-maxTransaction", "4000000")
	db := open(t, leader)
	conn := oneConn(t, db)
	ctx := within(t, 120*time.Second)
	execute(t, db, "CREATE DATABASE app", "CREATE TABLE app.t (id INT PRIMARY KEY AUTO_INCREMENT, v LONGBLOB)")
	for _, text := range []string{
		"INSERT INTO app.t (v) VALUES (REPEAT('x', 5000000))",
		"BEGIN", "INSERT INTO app.t (v) VALUES ('small')", "INSERT INTO app.t (v) VALUES (REPEAT('x', 2500000))", "INSERT INTO app.t (v) VALUES (REPEAT('y', 2500000))", "COMMIT",
	} {
		_, err := conn.ExecContext(ctx, text)
		switch large := strings.Contains(text, "5000000") || text == "COMMIT"; {
		case large && (code(err) != 1180 || !strings.Contains(err.Error(), "rolled back")):
			t.Errorf("%s: %v, want 1180", text, err)
		case !large && err != nil:
			t.Errorf("%s: %v", text, err)
		}
	}
	if got := mustQuery(t, conn, "SELECT COUNT(*) FROM app.t"); got != "0" {
		t.Errorf("%s rows are left", got)
	}
	_, err := conn.ExecContext(ctx, "INSERT INTO app.t (v) VALUES ('after')")
	check(t, err)
	awaitEqual(t, c)
}

// A server that breaks off the reading of its binary log, here because somebody has removed that, may have been written to unseen:
// another node leads, and a repair brings the server back.
func TestBinaryLogThatIsGone(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	db := open(t, leader)
	execute(t, db, "CREATE DATABASE app", "CREATE TABLE app.t (id INT PRIMARY KEY AUTO_INCREMENT, v INT)", "INSERT INTO app.t (v) VALUES (1)")
	server, err := leader.MariaDB.Client()
	check(t, err)
	defer server.Close()
	execute(t, server, "RESET MASTER")
	eventually(t, 60*time.Second, func() error {
		next, err := c.Leader(within(t, 40*time.Second))
		if err == nil && next == leader {
			err = errors.New("it leads still")
		}
		if err == nil {
			_, err = open(t, next).ExecContext(within(t, 40*time.Second), "INSERT INTO app.t (v) VALUES (2)")
		}
		return err
	})
	if out, err := repl(t, leader, "status"); err != nil || !strings.Contains(out, "a part of its binary log was not read") {
		t.Errorf("status: %v, %s", err, out)
	}
	eventually(t, 60*time.Second, func() error {
		out, err := repl(t, leader, "repair")
		if err != nil {
			err = fmt.Errorf("%w: %s", err, out)
		}
		return err
	})
	awaitEqual(t, c)
	eventually(t, 60*time.Second, func() error {
		_, err := open(t, leader).ExecContext(within(t, 40*time.Second), "INSERT INTO app.t (v) VALUES (3)")
		return err
	})
}

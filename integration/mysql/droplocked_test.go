package mysql

import (
	"testing"
	"time"
)

// Who has locked a table and drops another one of its name still keeps the others from writing.
func TestDropBesideLock(t *testing.T) {
	t.Parallel()
	_, leader := startCluster(t)
	db := open(t, leader)
	execute(t, db, "CREATE DATABASE app", "CREATE DATABASE other", "CREATE TABLE app.t (a INT)", "CREATE TABLE app.T (a INT)", "CREATE TABLE other.t (a INT)")
	owner, writer := oneConn(t, db), oneConn(t, db)
	ctx := within(t, 60*time.Second)
	for _, text := range []string{"USE app", "LOCK TABLES t WRITE, T WRITE", "USE other", "DROP TABLE t", "DROP TABLE app.T"} {
		_, err := owner.ExecContext(ctx, text)
		check(t, err)
	}
	written := make(chan error, 1)
	go func() { _, err := writer.ExecContext(ctx, "INSERT INTO app.t VALUES (1)"); written <- err }()
	if got := mustQuery(t, owner, "SELECT SLEEP(2)+COUNT(*) FROM app.t"); got != "0" {
		t.Errorf("%s rows were written meanwhile", got)
	}
	if got := mustQuery(t, owner, "SELECT COUNT(*) FROM app.t"); got != "0" {
		t.Errorf("%s rows were written meanwhile", got)
	}
	_, err := owner.ExecContext(ctx, "DROP TABLE IF EXISTS app.nosuch, app.t")
	check(t, err)
	if err := <-written; code(err) != 1146 {
		t.Errorf("%v, want 1146", err)
	}
}

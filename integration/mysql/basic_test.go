package mysql

import (
	"database/sql"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
)

// A client of any node sees one database, whoever leads.
func TestEveryNodeServes(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	execute(t, open(t, leader), "CREATE DATABASE app", "CREATE TABLE app.t (id INT PRIMARY KEY AUTO_INCREMENT, v VARCHAR(40))")
	for i, n := range c.Nodes {
		db := open(t, n)
		r, err := db.ExecContext(within(t, 40*time.Second), "INSERT INTO app.t (v) VALUES (?), (UUID())", n.Name)
		check(t, err)
		affected, _ := r.RowsAffected()
		id, _ := r.LastInsertId()
		if affected != 2 || id != int64(2*i+1) {
			t.Errorf("%s: %d rows, id %d", n.Name, affected, id)
		}
		for _, other := range c.Nodes {
			if got := mustQuery(t, open(t, other), "SELECT v FROM app.t WHERE id=?", id); got != n.Name {
				t.Errorf("%s does not show at once what %s has acknowledged: %q", other.Name, n.Name, got)
			}
		}
	}
	awaitEqual(t, c)
	t.Run("Transactions", func(t *testing.T) { testTransactions(t, open(t, leader)) })
	t.Run("Programs", func(t *testing.T) { testPrograms(t, open(t, leader)) })
	t.Run("Refusals", func(t *testing.T) { testRefusals(t, open(t, leader)) })
	t.Run("Kill", func(t *testing.T) { testKill(t, open(t, leader)) })
	t.Run("Session", func(t *testing.T) { testSession(t, open(t, leader)) })
	awaitEqual(t, c)
}

// A session that is idle in a transaction keeps schema changes out until it is killed.
func testKill(t *testing.T, db *sql.DB) {
	ctx := within(t, 60*time.Second)
	execute(t, db, "CREATE TABLE app.kept (id INT PRIMARY KEY)")
	conn, err := db.Conn(ctx)
	check(t, err)
	defer conn.Close()
	id := mustQuery(t, conn, "SELECT CONNECTION_ID()")
	for _, text := range []string{"BEGIN", "INSERT INTO app.kept VALUES (1)"} {
		_, err := conn.ExecContext(ctx, text)
		check(t, err)
	}
	changed := make(chan error, 1)
	go func() {
		_, err := db.ExecContext(ctx, "ALTER TABLE app.kept ADD v INT")
		changed <- err
	}()
	eventually(t, 40*time.Second, func() error {
		if got := mustQuery(t, db, "SHOW PROCESSLIST"); !strings.Contains(got, id+",") {
			return fmt.Errorf("no connection %s in %s", id, got)
		}
		return nil
	})
	execute(t, db, "KILL "+id)
	check(t, <-changed)
	if _, err := conn.ExecContext(ctx, "COMMIT"); err == nil {
		t.Error("a killed session commits")
	}
	if got := mustQuery(t, db, "SELECT COUNT(*) FROM app.kept"); got != "0" {
		t.Errorf("%s rows of a killed transaction", got)
	}
}

func code(err error) uint16 {
	var e *mysql.MySQLError
	if !errors.As(err, &e) {
		return 0
	}
	return e.Number
}

func testTransactions(t *testing.T, db *sql.DB) {
	ctx := within(t, 60*time.Second)
	execute(t, db, "CREATE TABLE app.tx (id INT PRIMARY KEY, v INT)", "INSERT INTO app.tx VALUES (1, 1), (2, 2)")
	tx, err := db.BeginTx(ctx, nil)
	check(t, err)
	_, err = tx.Exec("UPDATE app.tx SET v=10 WHERE id=1")
	check(t, err)
	if got := mustQuery(t, db, "SELECT v FROM app.tx WHERE id=1"); got != "1" {
		t.Errorf("a change is visible before its commit: %s", got)
	}
	if got := mustQuery(t, tx, "SELECT v FROM app.tx WHERE id=1"); got != "10" {
		t.Errorf("a transaction does not see its own change: %s", got)
	}
	if _, err := tx.Exec("INSERT INTO app.tx VALUES (2, 2)"); code(err) != 1062 {
		t.Errorf("a duplicate: %v", err)
	}
	check(t, tx.Commit())
	if got := mustQuery(t, db, "SELECT v FROM app.tx WHERE id=1"); got != "10" {
		t.Errorf("got %s after the commit", got)
	}
	if _, err := db.ExecContext(ctx, "INSERT INTO app.tx VALUES (2, 2)"); code(err) != 1062 {
		t.Errorf("a duplicate, autocommit: %v", err)
	}

	tx, err = db.BeginTx(ctx, nil)
	check(t, err)
	_, err = tx.Exec("DELETE FROM app.tx")
	check(t, err)
	check(t, tx.Rollback())

	tx, err = db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	check(t, err)
	for _, text := range []string{"UPDATE app.tx SET v=20 WHERE id=2", "SAVEPOINT a", "DELETE FROM app.tx", "ROLLBACK TO a"} {
		_, err = tx.Exec(text)
		check(t, err)
	}
	check(t, tx.Commit())
	if got := mustQuery(t, db, "SELECT * FROM app.tx"); got != "1,10;2,20" {
		t.Errorf("got %s", got)
	}

	tx, err = db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	check(t, err)
	if _, err := tx.Exec("DELETE FROM app.tx"); code(err) != 1792 {
		t.Errorf("a write in a read-only transaction: %v", err)
	}
	if _, err := tx.Exec("DROP TABLE app.tx"); code(err) != 1792 {
		t.Errorf("a schema change in a read-only transaction: %v", err)
	}
	check(t, tx.Commit())
	if _, err := db.Exec("SET SESSION TRANSACTION READ ONLY; DROP TABLE app.tx"); code(err) != 1792 {
		t.Errorf("a schema change in a read-only session: %v", err)
	}
	execute(t, db, "SET SESSION TRANSACTION READ WRITE")

	// autocommit=0, with one connection.
	conn, err := db.Conn(ctx)
	check(t, err)
	defer conn.Close()
	for _, text := range []string{"SET autocommit=0", "SELECT * FROM app.tx", "UPDATE app.tx SET v=11 WHERE id=1", "ROLLBACK",
		"SAVEPOINT a", "UPDATE app.tx SET v=12 WHERE id=1", "RELEASE SAVEPOINT a", "COMMIT", "SET @a=(SELECT v FROM app.tx WHERE id=1)", "UPDATE app.tx SET v=21 WHERE id=2", "SET autocommit=1"} {
		if _, err := conn.ExecContext(ctx, text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
	if got := mustQuery(t, db, "SELECT * FROM app.tx"); got != "1,12;2,21" {
		t.Errorf("got %s", got)
	}

	// A deadlock has a victim, whose transaction is over.
	one, err := db.BeginTx(ctx, nil)
	check(t, err)
	two, err := db.BeginTx(ctx, nil)
	check(t, err)
	_, err = one.Exec("UPDATE app.tx SET v=v+1 WHERE id=1")
	check(t, err)
	_, err = two.Exec("UPDATE app.tx SET v=v+1 WHERE id=2")
	check(t, err)
	first := make(chan error, 1)
	go func() {
		_, err := one.Exec("UPDATE app.tx SET v=v+1 WHERE id=2")
		first <- err
	}()
	_, errTwo := two.Exec("UPDATE app.tx SET v=v+1 WHERE id=1")
	errOne := <-first
	if (code(errOne) == 1213) == (code(errTwo) == 1213) {
		t.Errorf("want one deadlock, got %v and %v", errOne, errTwo)
	}
	for tx, err := range map[*sql.Tx]error{one: errOne, two: errTwo} {
		if err == nil {
			check(t, tx.Commit())
		} else {
			check(t, tx.Rollback())
		}
	}
	if got := mustQuery(t, db, "SELECT SUM(v) FROM app.tx"); got != "35" {
		t.Errorf("the sum is %s, want 35", got)
	}
}

// What a read calls may write.
func testPrograms(t *testing.T, db *sql.DB) {
	execute(t, db, "CREATE TABLE app.calls (n INT PRIMARY KEY AUTO_INCREMENT, at DATETIME(6), who CHAR(36))",
		"CREATE FUNCTION app.called() RETURNS INT BEGIN INSERT INTO app.calls (at, who) VALUES (SYSDATE(6), UUID()); RETURN LAST_INSERT_ID(); END",
		"CREATE PROCEDURE app.twice() BEGIN SELECT app.called() AS one; SELECT app.called() AS two; END",
		"CREATE VIEW app.names AS SELECT DISTINCT v FROM app.t")
	if got := mustQuery(t, db, "SELECT app.called()"); got != "1" {
		t.Errorf("a function that writes: %s", got)
	}
	execute(t, db, "CALL app.twice()", "SET @x=app.called()")
	if got := mustQuery(t, db, "SELECT COUNT(*) FROM app.calls"); got != "4" {
		t.Errorf("%s calls, want 4", got)
	}
	if got := mustQuery(t, db, "SELECT definer FROM information_schema.views WHERE table_schema='app'"); !strings.HasPrefix(got, "root@") {
		t.Errorf("definer %s", got)
	}
	tx, err := db.Begin()
	check(t, err)
	mustQuery(t, tx, "SELECT app.called()")
	if err := tx.Commit(); code(err) != 1180 {
		t.Errorf("a transaction that wrote without a word: %v", err)
	}
	if got := mustQuery(t, db, "SELECT COUNT(*) FROM app.calls"); got != "4" {
		t.Errorf("%s calls, want 4", got)
	}
	testNothingOpensItsSession(t, db)
}

// A program that would open its session is refused, and one that the server has already does not come to that.
func testNothingOpensItsSession(t *testing.T, db *sql.DB) {
	conn := oneConn(t, db)
	for _, opens := range []string{"SET SESSION tx_read_only=0", "SET @a=1, @@session.tx_read_only=0", "SET LOCAL TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE", "SET STATEMENT tx_read_only=0 FOR INSERT INTO app.calls (who) VALUES ('it')"} {
		for _, text := range []string{"CREATE PROCEDURE app.opens() BEGIN %s; INSERT INTO app.calls (who) VALUES ('opens'); END", "CREATE FUNCTION app.opens() RETURNS INT BEGIN %s; RETURN 1; END",
			"BEGIN NOT ATOMIC %s; INSERT INTO app.calls (who) VALUES ('opens'); END"} {
			if _, err := conn.ExecContext(within(t, 40*time.Second), fmt.Sprintf(text, opens)); code(err) != 1235 {
				t.Errorf(text+": %v", opens, err)
			}
		}
	}
	if _, err := conn.ExecContext(t.Context(), "SET STATEMENT tx_read_only=0 FOR SELECT app.called()"); code(err) != 1235 {
		t.Errorf("a statement that opens the session: %v", err)
	}
	if got := mustQuery(t, conn, "SELECT COUNT(*) FROM app.calls WHERE who='opens'"); got != "0" {
		t.Errorf("%s rows of programs that were refused", got)
	}
}

func testRefusals(t *testing.T, db *sql.DB) {
	for _, text := range []string{
		"HANDLER app.t OPEN", "XA START 'a'", "SET sql_log_bin=0", "SET GLOBAL read_only=1",
		"CREATE TABLE app.m (a INT) ENGINE=MERGE", "DROP DATABASE nexus", "DROP TABLE nexus.position",
		"PURGE BINARY LOGS TO 'a'",
	} {
		if _, err := db.Exec(text); code(err) != 1235 {
			t.Errorf("%s: %v", text, err)
		}
	}
	if _, err := db.Exec("SELECT 1; DROP TABLE app.nosuch; SELECT 2"); code(err) != 1051 {
		t.Errorf("several statements of which one fails: %v", err)
	}
	if _, err := db.Exec("UPDATE nexus.position SET idx=idx+1000"); err == nil {
		t.Error("a client may change the position")
	}
}

func testSession(t *testing.T, db *sql.DB) {
	ctx := within(t, 40*time.Second)
	conn, err := db.Conn(ctx)
	check(t, err)
	defer conn.Close()
	for _, text := range []string{"USE app", "SET @v=7", "CREATE TEMPORARY TABLE mine (a INT)", "INSERT INTO mine VALUES (1), (2)",
		"SET time_zone='+03:00'", "PREPARE p FROM 'INSERT INTO t (v) VALUES (?)'", "SET @t='prepared'", "EXECUTE p USING @t", "DEALLOCATE PREPARE p",
		"SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"} {
		if _, err := conn.ExecContext(ctx, text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
	got := mustQuery(t, conn, "SELECT DATABASE(), @v, (SELECT SUM(a) FROM mine), @@time_zone, @@tx_isolation, (SELECT COUNT(*) FROM t WHERE v='prepared')")
	if got != "app,7,3,+03:00,READ-COMMITTED,1" {
		t.Errorf("got %s", got)
	}
	if _, err := conn.ExecContext(ctx, "INSERT INTO t (v) VALUES (REPEAT('x', 100))"); code(err) != 1406 {
		t.Errorf("too long: %v", err)
	}
	if _, err := conn.ExecContext(ctx, "SET sql_mode=''"); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.ExecContext(ctx, "INSERT INTO t (v) VALUES (REPEAT('x', 100))"); err != nil {
		t.Fatal(err)
	}
	if got := mustQuery(t, conn, "SHOW WARNINGS"); !strings.HasPrefix(got, "Warning,1265,") {
		t.Errorf("warnings: %s", got)
	}
	if _, err := conn.ExecContext(ctx, "INSERT INTO t (id) VALUES (1)"); code(err) != 1062 {
		t.Errorf("a duplicate: %v", err)
	}
	if got := mustQuery(t, conn, "SHOW WARNINGS"); !strings.HasPrefix(got, "Error,1062,") {
		t.Errorf("warnings after an error: %s", got)
	}
	mysql.RegisterReaderHandler("rows", func() io.Reader { return strings.NewReader("1\tone\n2\ttwo\n") })
	execute(t, db, "CREATE TABLE app.loaded (id INT PRIMARY KEY, v VARCHAR(9))", "LOAD DATA LOCAL INFILE 'Reader::rows' INTO TABLE app.loaded")
	if got := mustQuery(t, db, "SELECT * FROM app.loaded"); got != "1,one;2,two" {
		t.Errorf("loaded %s", got)
	}
	if _, err := conn.ExecContext(ctx, "LOAD DATA LOCAL INFILE 'Reader::rows' INTO TABLE app.loaded"); err != nil {
		t.Errorf("rows that are there: %v", err)
	}
	if got := mustQuery(t, conn, "SHOW WARNINGS"); !strings.HasPrefix(got, "Warning,1062,") {
		t.Errorf("warnings of what was loaded: %s", got)
	}
	big := strings.Repeat("b", 17<<20)
	execute(t, db, "CREATE TABLE app.big (a LONGTEXT)")
	if _, err := conn.ExecContext(ctx, "INSERT INTO big VALUES ('"+big+"')"); err != nil {
		t.Fatalf("a large statement: %.100s", fmt.Sprint(err))
	}
	if got := mustQuery(t, conn, "SELECT a FROM big"); got != big {
		t.Errorf("a large row came back with %d bytes", len(got))
	}
}

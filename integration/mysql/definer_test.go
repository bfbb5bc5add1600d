package mysql

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// A procedure that ends transactions, changes the schema or executes texts does with the rights of its definer, for who may do nothing
// else but call it, what it does on a plain server.
func TestProceduresOfDefiners(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	db, alone := open(t, leader), startAlone(t)
	for _, at := range []*sql.DB{db, alone} {
		execute(t, at, "CREATE DATABASE app", "CREATE DATABASE other", "CREATE TABLE app.t (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(80))", "CREATE TABLE other.secret (a INT)",
			"CREATE USER dba@'%'", "GRANT ALL ON *.* TO dba@'%' WITH GRANT OPTION", "CREATE USER owner@'%'", "GRANT ALL ON app.* TO owner@'%'", "CREATE USER blind@'%'", "GRANT SELECT, INSERT ON app.* TO blind@'%'",
			"CREATE USER u@'%'", "GRANT EXECUTE ON app.* TO u@'%'", "CREATE USER v@'%'", "CREATE ROLE clerk", "GRANT clerk TO v@'%'", "SET DEFAULT ROLE clerk FOR v@'%'", "CREATE USER w@'%'", "CREATE USER x@'%'",
			"GRANT CREATE ROUTINE ON app.* TO x@'%'")
	}
	got, want := sessionsOf(t, leader, alone, "dba", "owner", "u", "v", "w", "x")
	sayAlike(t, got, want,
		"dba USE app", "owner USE app", "u USE app", "x USE app",
		"dba CREATE PROCEDURE who(x TEXT) BEGIN EXECUTE IMMEDIATE CONCAT('INSERT INTO t (v) VALUES (''', x, ''')'); EXECUTE IMMEDIATE 'SELECT CURRENT_USER(), DATABASE()'; COMMIT; END",
		"u CALL who('of u')", "u CALL app.who(CONCAT('a', '''', '''', 'b'))", "u SELECT * FROM t", "v CALL app.who('v')", "x CALL app.who('x')",
		"dba GRANT EXECUTE ON PROCEDURE who TO clerk", "v CALL app.who('by role')", "w CALL app.who('w')", "dba GRANT EXECUTE ON PROCEDURE who TO w@'%'", "w CALL app.who('by right')",
		"dba REVOKE EXECUTE ON PROCEDURE who FROM w@'%'", "w CALL app.who('w again')", "dba GRANT EXECUTE ON PROCEDURE who TO PUBLIC", "w CALL app.who('by all')", "dba SELECT v FROM t ORDER BY id",
		"u CALL who(NULL)", "u CALL who()", "u CALL who((SELECT v FROM t LIMIT 1))", "u SHOW CREATE PROCEDURE who",
		"dba CREATE PROCEDURE tells(INOUT n INT, OUT s VARCHAR(10) CHARACTER SET utf8mb4) BEGIN START TRANSACTION; INSERT INTO t (v) VALUES ('gone'); ROLLBACK; SET n=n+1, s='späß'; COMMIT; END",
		"u SET @n=4", "u CALL tells(@n, @s)", "u SELECT @n, @s", "u CALL tells(5, @s)",
		"dba CREATE PROCEDURE grows(x TEXT) BEGIN EXECUTE IMMEDIATE CONCAT('CREATE TABLE ', x, ' (a INT)'); ALTER TABLE t ADD IF NOT EXISTS w INT; EXECUTE IMMEDIATE CONCAT('INSERT INTO ', x, ' VALUES (1)'); END",
		"u CALL grows('made')", "u CALL grows('made')", "u CALL grows('other.made')", "dba SELECT (SELECT COUNT(*) FROM made), (SELECT COUNT(*) FROM other.made)", "u BEGIN", "u CALL grows('within')", "u ROLLBACK",
		"dba SELECT COUNT(*) FROM within", "dba SELECT COUNT(*) FROM t",
		"owner CREATE PROCEDURE limited(x TEXT) BEGIN DECLARE CONTINUE HANDLER FOR 1142 SELECT 'denied' AS said; EXECUTE IMMEDIATE x; INSERT INTO t (v) VALUES ('behind'); COMMIT; END",
		"u CALL limited('SELECT COUNT(*) FROM other.secret')", "u CALL limited('DELETE FROM other.secret')", "u CALL limited('CREATE TABLE owned (a INT)')", "u CALL limited('DROP TABLE owned')", "dba SELECT v FROM t ORDER BY id",
		"dba CREATE DEFINER=blind@'%' PROCEDURE blinds() BEGIN INSERT INTO t (v) VALUES ('blind'); COMMIT; END", "u CALL blinds()", "dba REVOKE EXECUTE ON PROCEDURE blinds FROM blind@'%'", "u CALL blinds()",
		"dba GRANT EXECUTE ON PROCEDURE blinds TO blind@'%'", "u CALL blinds()",
		"dba CREATE DEFINER=nobody@'%' PROCEDURE gone() BEGIN INSERT INTO t (v) VALUES ('gone'); COMMIT; END", "u CALL gone()",
		"dba CREATE PROCEDURE invoked(x TEXT) SQL SECURITY INVOKER BEGIN EXECUTE IMMEDIATE x; COMMIT; END", "u CALL invoked('SELECT CURRENT_USER(), 5 AS five')", "u CALL invoked('SELECT v FROM t')", "u CALL invoked('INSERT INTO t (v) VALUES (1)')",
		"u SELECT @@sql_mode, DATABASE(), @@character_set_client, @@collation_connection, @@in_transaction",
		"dba SET sql_mode='ANSI_QUOTES,NO_BACKSLASH_ESCAPES'", `dba CREATE PROCEDURE quotes() BEGIN EXECUTE IMMEDIATE 'SELECT ''\'' AS "b"'; COMMIT; END`, "u CALL quotes()", "u SELECT \"text\"",
	)
	awaitEqual(t, c)
	checkAlike(t, c)
	for _, n := range c.Nodes {
		if got := metric(t, n, "nexus_mysql_beside_total"); got != "0" {
			t.Errorf("%s transactions beside the log on %s", got, n.Name)
		}
		server, err := n.MariaDB.Client()
		check(t, err)
		if got := mustQuery(t, server, "SELECT GROUP_CONCAT(routine_name) FROM information_schema.routines WHERE routine_name LIKE 'nexus%'"); got != "" {
			t.Errorf("left on %s: %s", n.Name, got)
		}
		check(t, server.Close())
	}
}

// sessions are those of users, by name.
type sessions map[string]*sql.Conn

// sessionsOf logs users in at a node, and at a plain server.
func sessionsOf(t *testing.T, n *cluster.Node, alone *sql.DB, users ...string) (here, there sessions) {
	t.Helper()
	native := fmt.Sprintf("@tcp(127.0.0.1:%s)/", mustQuery(t, alone, "SELECT @@port"))
	here, there = sessions{}, sessions{}
	for _, user := range users {
		here[user] = account(t, n, user, "")
		db, err := sql.Open("mysql", user+native)
		check(t, err)
		t.Cleanup(func() { db.Close() })
		there[user] = oneConn(t, db)
	}
	return here, there
}

// sayAlike has users say lines, each of a user and a text, and compares what they are answered.
func sayAlike(t *testing.T, got, want sessions, lines ...string) {
	t.Helper()
	shownAlike(t, show, got, want, lines)
}

// sayAllAlike is sayAlike, with all results of each line.
func sayAllAlike(t *testing.T, got, want sessions, lines ...string) {
	t.Helper()
	all := func(ctx context.Context, conn *sql.Conn, text string) string { return showAll(ctx, conn, text, nil) }
	shownAlike(t, all, got, want, lines)
}

func shownAlike(t *testing.T, shown func(ctx context.Context, conn *sql.Conn, text string) string, got, want sessions, lines []string) {
	t.Helper()
	for _, line := range lines {
		user, text, _ := strings.Cut(line, " ")
		if wanted, is := shown(t.Context(), want[user], text), shown(t.Context(), got[user], text); wanted != is {
			t.Errorf("%s: %s\nwant %s\n got %s", user, text, wanted, is)
		}
	}
}

// A prepared CALL, of whichever account, does what it does on a plain server: with the types of its parameters, results, and OUT parameters.
func TestPreparedProcedures(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	db, alone := open(t, leader), startAlone(t)
	for _, at := range []*sql.DB{db, alone} {
		execute(t, at, "CREATE DATABASE app", "CREATE DATABASE other", "CREATE TABLE app.t (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(80), d DOUBLE, w DATETIME(6))", "CREATE USER u@'%'", "GRANT EXECUTE ON app.* TO u@'%'",
			"CREATE PROCEDURE app.puts(v VARCHAR(80), d DOUBLE, w DATETIME(6)) BEGIN DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL; END; START TRANSACTION; INSERT INTO t (v, d, w) VALUES (v, d, w); SELECT id, v, d, w FROM t ORDER BY id DESC LIMIT 1; COMMIT; SELECT COUNT(*) FROM t; END",
			"CREATE PROCEDURE app.does(x TEXT, INOUT n INT) BEGIN EXECUTE IMMEDIATE x; SET n=n+1; END",
			"CREATE PROCEDURE app.grows(x INT) BEGIN ALTER TABLE t ADD IF NOT EXISTS z INT; INSERT INTO t (v, z) VALUES ('grown', x); COMMIT; END", "CREATE PROCEDURE app.plain(x INT) INSERT INTO t (v) VALUES (x)")
	}
	there, err := sql.Open("mysql", fmt.Sprintf("u@tcp(127.0.0.1:%s)/app", mustQuery(t, alone, "SELECT @@port")))
	check(t, err)
	t.Cleanup(func() { there.Close() })
	at := time.Date(2024, 5, 6, 7, 8, 9, 123456000, time.UTC)
	for _, pair := range []struct{ got, want *sql.Conn }{{account(t, leader, "u", "app"), oneConn(t, there)}, {oneConn(t, db), oneConn(t, alone)}} {
		for _, tc := range []struct {
			text string
			args []any
		}{
			{"USE app", nil}, {"CALL puts(?, ?, ?)", []any{"späß", 1.5, at}}, {"CALL puts(?, ?, ?)", []any{nil, nil, nil}}, {"CALL app.puts(?, ?, NULL)", []any{[]byte("it's"), int64(7)}},
			{"CALL puts(?, 1)", []any{"few"}}, {"CALL puts(?, ?, ?)", []any{strings.Repeat("long", 40), 1.5, at}}, {"CALL does(?, ?)", []any{"SELECT CURRENT_USER(), DATABASE()", 4}}, {"CALL does(?, @n)", []any{"SET @n=5"}}, {"SELECT @n+?", []any{1}},
			{"CALL does(?, @n)", []any{"nonsense"}}, {"BEGIN", nil}, {"CALL plain(?)", []any{1}}, {"CALL does(?, @n)", []any{"INSERT INTO t (v) VALUES ('text')"}}, {"ROLLBACK", nil}, {"CALL grows(?)", []any{5}}, {"CALL puts(?, ?, ?)", []any{"last", 0, at}},
			{"USE app", nil},
		} {
			if wanted, is := showAll(t.Context(), pair.want, tc.text, tc.args), showAll(t.Context(), pair.got, tc.text, tc.args); wanted != is {
				t.Errorf("%s %v\nwant %s\n got %s", tc.text, tc.args, wanted, is)
			}
		}
		// One that was prepared is executed again, also with another default database, and what it calls may have changed.
		for _, conn := range []*sql.Conn{pair.got, pair.want} {
			if conn == pair.got {
				execute(t, db, "CREATE OR REPLACE PROCEDURE app.again(x INT) BEGIN COMMIT; INSERT INTO t (v) VALUES (CONCAT('again ', x)); END")
			} else {
				execute(t, alone, "CREATE OR REPLACE PROCEDURE app.again(x INT) BEGIN COMMIT; INSERT INTO t (v) VALUES (CONCAT('again ', x)); END")
			}
			statement, err := conn.PrepareContext(within(t, 30*time.Second), "CALL again(?)")
			check(t, err)
			for i := range 4 {
				if i == 2 && conn == pair.got {
					execute(t, db, "CREATE OR REPLACE PROCEDURE app.again(x INT) BEGIN INSERT INTO t (v) VALUES (CONCAT('changed ', x)); COMMIT; END", "GRANT SELECT ON other.* TO u@'%'")
				} else if i == 2 {
					execute(t, alone, "CREATE OR REPLACE PROCEDURE app.again(x INT) BEGIN INSERT INTO t (v) VALUES (CONCAT('changed ', x)); COMMIT; END", "GRANT SELECT ON other.* TO u@'%'")
				}
				if _, err := statement.ExecContext(within(t, 30*time.Second), i); err != nil {
					t.Errorf("executed again: %v", err)
				}
				if i == 2 {
					_, err = conn.ExecContext(within(t, 30*time.Second), "USE other")
					check(t, err)
				}
			}
			check(t, statement.Close())
		}
		const rows = "SELECT GROUP_CONCAT(CONCAT_WS(':', v, d, w) ORDER BY id) FROM app.t"
		if wanted, is := mustQuery(t, alone, rows), mustQuery(t, db, rows); wanted != is {
			t.Errorf("want %s, got %s", wanted, is)
		}
	}
	awaitEqual(t, c)
	checkAlike(t, c)
	if got := metric(t, leader, "nexus_mysql_beside_total"); got != "0" {
		t.Errorf("%s transactions beside the log", got)
	}
}

// showAll is what all results of a statement show.
func showAll(ctx context.Context, conn *sql.Conn, text string, args []any) string {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	rows, err := conn.QueryContext(ctx, text, args...)
	if err != nil {
		return told(err)
	}
	defer rows.Close()
	var out strings.Builder
	for {
		columns, err := rows.Columns()
		if err != nil {
			return out.String() + told(err)
		}
		fmt.Fprintln(&out, columns)
		for rows.Next() {
			values, pointers := make([]sql.NullString, len(columns)), make([]any, len(columns))
			for i := range values {
				pointers[i] = &values[i]
			}
			if err := rows.Scan(pointers...); err != nil {
				return out.String() + err.Error()
			}
			fmt.Fprintln(&out, values)
		}
		if !rows.NextResultSet() {
			break
		}
	}
	if err := rows.Err(); err != nil {
		return out.String() + told(err)
	}
	return out.String()
}

// While a procedure is executed with the rights of its definer, the one that stands in for it is of no use to anybody else, whatever
// rights they have, and cannot be changed.
func TestStandInIsOfOneCall(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	db := open(t, leader)
	execute(t, db, "CREATE DATABASE app", "CREATE TABLE app.t (id INT)", "CREATE TABLE app.go (id INT)", "CREATE USER u@'%'", "GRANT EXECUTE ON app.* TO u@'%'", "CREATE USER m@'%'", "GRANT ALL ON *.* TO m@'%' WITH GRANT OPTION",
		"CREATE DEFINER=m@'%' PROCEDURE app.waits() BEGIN DECLARE w INT; START TRANSACTION; INSERT INTO app.t VALUES (1); COMMIT; WHILE NOT EXISTS (SELECT 1 FROM app.go) DO SET w=SLEEP(0.05); COMMIT; END WHILE; EXECUTE IMMEDIATE 'INSERT INTO app.t VALUES (2)'; END")
	caller, other, mighty := account(t, leader, "u", "app"), account(t, leader, "u", "app"), account(t, leader, "m", "app")
	ctx := within(t, 120*time.Second)
	called := make(chan error, 1)
	go func() { _, err := caller.ExecContext(ctx, "CALL waits()"); called <- err }()
	var name string
	eventually(t, 40*time.Second, func() (err error) {
		if name, err = query(ctx, db, "SELECT routine_name FROM information_schema.routines WHERE routine_name LIKE 'nexus\\_call\\_%'"); err == nil && name == "" {
			err = fmt.Errorf("there is no stand-in")
		}
		return err
	})
	for _, conn := range []*sql.Conn{other, mighty} {
		for _, text := range []string{"CALL " + name + "()", "EXECUTE IMMEDIATE 'CALL " + name + "()'", "BEGIN NOT ATOMIC CALL " + name + "(); END"} {
			said, err := query(ctx, conn, text)
			t.Logf("%s: %q, %v", text, said, err)
			if code(err) != 1235 {
				t.Errorf("%s: %q, %v, want 1235", text, said, err)
			}
		}
		prepared, err := conn.PrepareContext(ctx, "SHOW PROCEDURE STATUS WHERE Db=?")
		check(t, err)
		rows, err := prepared.QueryContext(ctx, "app")
		check(t, err)
		n := 0
		for rows.Next() {
			n++
		}
		check(t, rows.Err())
		if got := mustQuery(t, conn, "SHOW PROCEDURE STATUS"); n != 1 || strings.Contains(got, name) || !strings.Contains(got, "app,waits,") {
			t.Errorf("%d procedures, and as a text %s", n, got)
		}
		check(t, prepared.Close())
	}
	for _, text := range []string{"DROP PROCEDURE " + name, "ALTER PROCEDURE app." + name + " SQL SECURITY INVOKER", "ALTER PROCEDURE `" + strings.Replace(name, "a", "á", 1) + "` COMMENT 'x'", "GRANT EXECUTE ON PROCEDURE app." + name + " TO u@'%'",
		"CREATE OR REPLACE PROCEDURE " + name + "() SELECT 1", "EXECUTE IMMEDIATE CONCAT('CALL nexus_', SUBSTRING('" + name + "', 7), '()')", "CREATE PROCEDURE calls() CALL " + name + "()"} {
		if _, err := mighty.ExecContext(ctx, text); code(err) != 1235 {
			t.Errorf("%s: %v, want 1235", text, err)
		}
	}
	if _, err := query(ctx, other, "SHOW CREATE PROCEDURE "+name); err == nil && mustQuery(t, other, "SELECT COUNT(routine_definition) FROM information_schema.routines WHERE routine_schema='app'") != "0" {
		t.Error("its body is shown to who may only call it")
	}
	execute(t, db, "INSERT INTO app.go VALUES (1)")
	check(t, <-called)
	if got := mustQuery(t, db, "SELECT GROUP_CONCAT(id ORDER BY id) FROM app.t"); got != "1,2" {
		t.Errorf("rows %s", got)
	}
	awaitEqual(t, c)
	checkAlike(t, c)
	if got := metric(t, leader, "nexus_mysql_beside_total"); got != "0" {
		t.Errorf("%s transactions beside the log", got)
	}
}

// An event of any account ends transactions, changes the schema and executes texts, with the rights of its definer.
func TestEventsOfDefiners(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	db := open(t, leader)
	execute(t, db, "CREATE DATABASE app", "CREATE TABLE app.t (what VARCHAR(80))", "CREATE TABLE app.secret (id INT)", "CREATE USER small@'%'", "GRANT EVENT, INSERT ON app.* TO small@'%'", "REVOKE INSERT ON app.* FROM small@'%'", "GRANT INSERT ON app.t TO small@'%'")
	small := account(t, leader, "small", "app")
	for _, text := range []string{
		"CREATE EVENT texts ON SCHEDULE AT NOW() DO BEGIN EXECUTE IMMEDIATE 'INSERT INTO t VALUES (CURRENT_USER())'; COMMIT; INSERT INTO t VALUES ('behind'); END",
		"CREATE EVENT steals ON SCHEDULE AT NOW() DO BEGIN COMMIT; EXECUTE IMMEDIATE 'INSERT INTO secret VALUES (1)'; END",
		"CREATE EVENT drops ON SCHEDULE AT NOW() DO BEGIN COMMIT; DROP TABLE secret; END", "CREATE EVENT global ON SCHEDULE AT NOW() DO BEGIN EXECUTE IMMEDIATE 'SET GLOBAL wait_timeout=4321'; END",
	} {
		_, err := small.ExecContext(within(t, 30*time.Second), text)
		check(t, err)
	}
	eventually(t, 40*time.Second, func() error {
		if got := mustQuery(t, db, "SELECT COUNT(*) FROM information_schema.events"); got != "0" {
			return fmt.Errorf("%s events are left", got)
		}
		return nil
	})
	if got := mustQuery(t, db, "SELECT GROUP_CONCAT(what ORDER BY what), (SELECT COUNT(*) FROM app.secret) FROM app.t"); got != "behind,small@%,0" {
		t.Errorf("the events did %s", got)
	}
	if got := metric(t, leader, "nexus_mysql_failed_events_total"); got != "3" {
		t.Errorf("%s events failed", got)
	}
	awaitEqual(t, c)
	checkAlike(t, c)
}

package mysql

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// Locks with names are those of the leader's server: one session holds one, whatever node it came through, until it gives it
// back or ends.
func TestNamedLocks(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	db, through := open(t, leader), open(t, other(c, leader))
	execute(t, db, "CREATE DATABASE app", "CREATE TABLE app.t (id INT PRIMARY KEY)")
	one, two := oneConn(t, db), oneConn(t, through)
	expect := func(conn *sql.Conn, text, want string) {
		t.Helper()
		if got := mustQuery(t, conn, text); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
	expect(one, "SELECT GET_LOCK('migrate', 5)", "1")
	expect(two, "SELECT GET_LOCK('migrate', 0)", "0")
	expect(two, "SELECT IS_FREE_LOCK('migrate'), IS_USED_LOCK('migrate') IS NULL", "0,0")
	ctx := within(t, 60*time.Second)
	for _, text := range []string{"BEGIN", "INSERT INTO app.t VALUES (1)", "COMMIT", "INSERT INTO app.t VALUES (2)", "ALTER TABLE app.t ADD v INT"} {
		_, err := one.ExecContext(ctx, text)
		check(t, err)
	}
	expect(one, "SELECT IS_USED_LOCK('migrate')=CONNECTION_ID()", "1") // transactions and schema changes leave it alone
	waiting := make(chan string, 1)
	go func() {
		got, err := query(ctx, two, "SELECT GET_LOCK('migrate', 20)")
		waiting <- fmt.Sprint(got, err)
	}()
	eventually(t, 40*time.Second, func() error {
		if got := mustQuery(t, db, "SELECT COUNT(*) FROM information_schema.processlist WHERE state='User lock'"); got != "1" {
			return fmt.Errorf("%s wait", got)
		}
		return nil
	})
	expect(one, "SELECT RELEASE_LOCK('migrate')", "1")
	if got := <-waiting; got != "1<nil>" {
		t.Errorf("who has waited got %s", got)
	}
	check(t, two.Close())
	check(t, through.Close())
	expect(one, "SELECT GET_LOCK('migrate', 10)", "1") // the session that held it is gone
	_, err := one.ExecContext(ctx, "BEGIN")
	check(t, err)
	expect(one, "SELECT GET_LOCK('second', 10)", "1")
	_, err = one.ExecContext(ctx, "SET @got=GET_LOCK('third', 1)")
	check(t, err)
	expect(one, "SELECT @got", "1")
	_, err = one.ExecContext(ctx, "ROLLBACK")
	check(t, err)
	expect(one, "SELECT RELEASE_ALL_LOCKS()", "3")

	expect(one, "SELECT GET_LOCK('migrate', 5)", "1")
	if out, err := repl(t, leader, "transferLeader", other(c, leader).URL()); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	eventually(t, 40*time.Second, func() error {
		if _, err := one.ExecContext(ctx, "DO 1"); err == nil {
			return fmt.Errorf("the holder's connection lives on")
		}
		return nil
	})
	expect(oneConn(t, open(t, leader)), "SELECT GET_LOCK('migrate', 5)", "1")
}

// Who locks a table for writing keeps others from writing; who locks for reading reads from one moment.
func TestTableLocks(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	db := open(t, leader)
	execute(t, db, "CREATE DATABASE app", "CREATE TABLE app.t (id INT PRIMARY KEY, n INT)", "INSERT INTO app.t VALUES (1, 0)", "CREATE TABLE app.u (id INT PRIMARY KEY)")
	ctx := within(t, 90*time.Second)
	const sessions, rounds = 8, 10
	done := make(chan error, sessions)
	for range sessions {
		go func() { done <- countUp(ctx, db, rounds) }()
	}
	for range sessions {
		check(t, <-done)
	}
	if got := mustQuery(t, db, "SELECT n FROM app.t"); got != fmt.Sprint(sessions*rounds) {
		t.Errorf("counted %s, want %d", got, sessions*rounds)
	}

	conn := oneConn(t, db)
	do := func(text string) {
		t.Helper()
		if _, err := conn.ExecContext(ctx, text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
	fails := func(text string, want uint16) {
		t.Helper()
		if _, err := conn.ExecContext(ctx, text); code(err) != want {
			t.Errorf("%s: %v, want %d", text, err, want)
		}
	}
	do("LOCK TABLES app.t READ, app.u READ LOCAL")
	execute(t, db, "UPDATE app.t SET n=-1")
	if got := mustQuery(t, conn, "SELECT n FROM app.t"); got != fmt.Sprint(sessions*rounds) {
		t.Errorf("a locked table has changed to %s", got)
	}
	fails("UPDATE app.t SET n=5", 1792)
	do("COMMIT")
	if got := mustQuery(t, conn, "SELECT n FROM app.t"); got != fmt.Sprint(sessions*rounds) {
		t.Errorf("COMMIT has unlocked it: %s", got)
	}
	do("UNLOCK TABLES")
	if got := mustQuery(t, conn, "SELECT n FROM app.t"); got != "-1" {
		t.Errorf("%s after UNLOCK TABLES", got)
	}
	fails("LOCK TABLES app.nosuch WRITE", 1146)
	fails("LOCK TABLES app.nosuch READ", 1146)
	execute(t, db, "INSERT INTO app.u VALUES (1)") // nothing stayed locked

	do("FLUSH TABLES WITH READ LOCK")
	fails("INSERT INTO app.u VALUES (2)", 1223)
	late := make(chan error, 1)
	go func() { _, err := db.ExecContext(ctx, "INSERT INTO app.u VALUES (3)"); late <- err }()
	do("START TRANSACTION WITH CONSISTENT SNAPSHOT")
	do("UNLOCK TABLES")
	check(t, <-late)
	if got := mustQuery(t, conn, "SELECT COUNT(*) FROM app.u"); got != "1" {
		t.Errorf("the snapshot holds %s rows", got)
	}
	do("COMMIT")

	do("LOCK TABLES app.u WRITE")
	do("ALTER TABLE app.u DISABLE KEYS")
	do("INSERT INTO app.u VALUES (10)")
	do("CREATE TABLE app.v AS SELECT * FROM app.u")
	do("BEGIN") // unlocks
	execute(t, db, "INSERT INTO app.u VALUES (11)")
	do("ROLLBACK")
	do("LOCK TABLES app.u WRITE")
	check(t, conn.Raw(func(any) error { return nil }))
	check(t, conn.Close())
	db.SetMaxIdleConns(0) // ends the session, and its lock
	execute(t, db, "INSERT INTO app.u VALUES (12)")
	execute(t, db, "CREATE USER small@'%'", "GRANT SELECT ON app.* TO small@'%'")
	small, err := sql.Open("mysql", "small@tcp("+leader.Addr()+")/")
	check(t, err)
	defer small.Close()
	for _, text := range []string{"LOCK TABLES app.u WRITE", "FLUSH TABLES WITH READ LOCK"} {
		if _, err := small.ExecContext(ctx, text); code(err) != 1142 {
			t.Errorf("%s without the privilege: %v", text, err)
		}
	}
	awaitEqual(t, c)
}

// countUp reads and writes back a number, which only a lock makes right.
func countUp(ctx context.Context, db *sql.DB, rounds int) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	for range rounds {
		if _, err := conn.ExecContext(ctx, "LOCK TABLES app.t WRITE"); err != nil {
			return err
		}
		var n int
		if err := conn.QueryRowContext(ctx, "SELECT n FROM app.t").Scan(&n); err != nil {
			return err
		}
		if _, err := conn.ExecContext(ctx, "UPDATE app.t SET n=?", n+1); err != nil {
			return err
		}
		if _, err := conn.ExecContext(ctx, "UNLOCK TABLES"); err != nil {
			return err
		}
	}
	return nil
}

// A client that leaves while its statement waits is noticed then, and what it has locked is free.
func TestClientLeavesWhileItWaits(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	db := open(t, leader)
	execute(t, db, "CREATE DATABASE app", "CREATE TABLE app.t (id INT PRIMARY KEY)", "INSERT INTO app.t VALUES (1), (2)")
	holder := oneConn(t, db)
	mustQuery(t, holder, "SELECT GET_LOCK('migrate', 0)")
	execute(t, db, "SET GLOBAL innodb_lock_wait_timeout=500")
	for _, n := range []*cluster.Node{leader, other(c, leader)} {
		for _, wait := range []string{"SELECT GET_LOCK('migrate', 500)", "SELECT `get_lock`('migrate', 500)"} {
			conn := oneConn(t, open(t, n))
			ctx, leave := context.WithCancel(within(t, 90*time.Second))
			for _, text := range []string{"BEGIN", "DELETE FROM app.t WHERE id=2"} {
				_, err := conn.ExecContext(ctx, text)
				check(t, err)
			}
			left := make(chan error, 1)
			go func() { _, err := conn.ExecContext(ctx, wait); left <- err }()
			waiting := func(want string) {
				t.Helper()
				eventually(t, 60*time.Second, func() error {
					if got := mustQuery(t, db, "SELECT COUNT(*) FROM information_schema.processlist WHERE state='User lock'"); got != want {
						return fmt.Errorf("%s wait, want %s", got, want)
					}
					return nil
				})
			}
			waiting("1")
			leave()
			if err := <-left; err == nil {
				t.Error("a client that has left got an answer")
			}
			waiting("0")
			execute(t, db, "UPDATE app.t SET id=2 WHERE id=2") // not locked any more
		}
	}
	if got := mustQuery(t, holder, "SELECT IS_USED_LOCK('migrate')=CONNECTION_ID()"); got != "1" {
		t.Error("the lock is lost")
	}
}

// Who keeps all others from writing is disconnected after a time, whether it does something or not.
func TestTableLocksEnd(t *testing.T) {
	t.Parallel()
	_, leader := startCluster(t, "-tableLockTimeout", "1s")
	db := open(t, leader)
	execute(t, db, "CREATE DATABASE app", "CREATE TABLE app.t (id INT PRIMARY KEY)")
	ctx := within(t, 90*time.Second)
	for i, text := range []string{"LOCK TABLES app.t WRITE", "FLUSH TABLES WITH READ LOCK"} {
		for _, busy := range []string{"", "SELECT SLEEP(80)"} {
			conn := oneConn(t, db)
			_, err := conn.ExecContext(ctx, text)
			check(t, err)
			if busy != "" {
				if _, err := conn.ExecContext(ctx, busy); err != nil && code(err) != 1317 {
					t.Errorf("%s: %v", busy, err)
				}
			}
			_, err = db.ExecContext(ctx, "INSERT INTO app.t VALUES (?)", 2*i+len(busy)) // waits for the lock
			check(t, err)
			if _, err := conn.ExecContext(ctx, "DO 1"); err == nil {
				t.Errorf("%s %s: the session lives on", text, busy)
			}
		}
	}
	conn := oneConn(t, db)
	for _, text := range []string{"LOCK TABLES app.t WRITE", "UNLOCK TABLES", "DO SLEEP(1.5)", "INSERT INTO app.t VALUES (100)"} {
		_, err := conn.ExecContext(ctx, text)
		check(t, err)
	}
}

// mariadb-dump takes a dump through a node, whatever its options, and the client puts it back.
func TestDumpAndRestore(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	db := open(t, leader)
	execute(t, db, "CREATE DATABASE app", "CREATE TABLE app.t (id INT PRIMARY KEY AUTO_INCREMENT, v VARCHAR(20), ts TIMESTAMP(3) DEFAULT NOW(3), KEY (v)) ENGINE=MyISAM",
		"INSERT INTO app.t (v) VALUES ('one'), ('two'), ('thrée')", "CREATE TABLE app.child (id INT PRIMARY KEY, t INT, FOREIGN KEY (t) REFERENCES app.t (id))",
		"INSERT INTO app.child VALUES (1, 1)", "CREATE VIEW app.w AS SELECT v FROM app.t", "CREATE FUNCTION app.f(n INT) RETURNS INT RETURN n+1",
		"CREATE TRIGGER app.tr BEFORE INSERT ON app.child FOR EACH ROW SET NEW.t=NEW.t", "CREATE TABLE app.empty (id INT)", "CREATE SEQUENCE app.s")
	want := mustQuery(t, db, "SELECT * FROM app.t ORDER BY id")
	dir := t.TempDir()
	for i, options := range []string{
		"app", "--single-transaction --routines --triggers app", "--databases app --routines --add-drop-database", "--all-databases --lock-all-tables --ignore-database=mysql",
		"--lock-tables --add-locks --flush-logs app", "--opt --master-data=0 --skip-extended-insert app", "--single-transaction --flush-logs --routines app",
	} {
		file := filepath.Join(dir, fmt.Sprint("dump-", i, ".sql"))
		client := func(program, stdin, stdout string, args ...string) {
			t.Helper()
			port := fmt.Sprint(leader.Ports.Client)
			cmd := osexec.CommandContext(within(t, 60*time.Second), program, append([]string{"--no-defaults", "-h127.0.0.1", "-P" + port, "-uroot"}, args...)...)
			if stdin != "" {
				in, err := os.Open(stdin)
				check(t, err)
				defer in.Close()
				cmd.Stdin = in
			}
			var errs strings.Builder
			cmd.Stderr = &errs
			if stdout != "" {
				out, err := os.Create(stdout)
				check(t, err)
				defer out.Close()
				cmd.Stdout = out
			}
			if err := cmd.Run(); err != nil {
				t.Fatalf("%s %s: %v: %s", program, args, err, errs.String())
			}
		}
		client("mariadb-dump", "", file, strings.Fields(options)...)
		execute(t, db, "DROP DATABASE app", "CREATE DATABASE app")
		client("mariadb", file, "", "app")
		if got := mustQuery(t, db, "SELECT * FROM app.t ORDER BY id"); got != want {
			t.Errorf("%s: restored %s, want %s", options, got, want)
		}
		if got := mustQuery(t, db, "SELECT COUNT(*) FROM app.w"); got != "3" {
			t.Errorf("%s: the view has %s rows", options, got)
		}
		execute(t, db, "CREATE OR REPLACE FUNCTION app.f(n INT) RETURNS INT RETURN n+1")
		awaitEqual(t, c)
	}
}

package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
)

// An account with rights on its own database alone tries to write on the leader's server beside the log, and to make a
// COMMIT that commits nothing. Whatever it is answered, the servers stay equal.
func TestNobodyWritesBesideTheLog(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	db := open(t, leader)
	execute(t, db, "CREATE DATABASE app", "CREATE TABLE app.t (id INT PRIMARY KEY)", "CREATE USER u@'%'", "GRANT ALL ON app.* TO u@'%'",
		"CREATE FUNCTION app.f(x INT) RETURNS INT BEGIN INSERT INTO app.t VALUES (x); RETURN x; END")
	for _, attack := range []struct {
		name  string
		texts []string
	}{
		{"a block that changes how texts are read", []string{"BEGIN NOT ATOMIC SET NAMES gbk; END", "BEGIN NOT ATOMIC SET `character_set_client`=gbk; END",
			"SET @a='\xbf\\', SESSION tx_read_only=0 -- '", "SELECT f(50)"}},
		{"a text that is read otherwise than it was looked at", []string{
			`SET STATEMENT sql_mode='NO_BACKSLASH_ESCAPES' FOR EXECUTE IMMEDIATE 'SET @a=''\\'', SESSION tx_read_only=0 -- '''`, "SELECT f(60)"}},
		{"a block that guesses the name of its transaction", []string{`BEGIN NOT ATOMIC DECLARE CONTINUE HANDLER FOR SQLEXCEPTION BEGIN END; INSERT INTO t VALUES (70);
FOR e IN 1..8 DO FOR i IN 1..100 DO EXECUTE IMMEDIATE CONCAT('X','A END ''nexus-',e,'-',i,''''); EXECUTE IMMEDIATE CONCAT('X','A PREPARE ''nexus-',e,'-',i,'''');
EXECUTE IMMEDIATE CONCAT('X','A COMMIT ''nexus-',e,'-',i,''''); END FOR; END FOR; END`}},
		{"a procedure that does", []string{`CREATE PROCEDURE p() BEGIN DECLARE CONTINUE HANDLER FOR SQLEXCEPTION BEGIN END; INSERT INTO t VALUES (80);
FOR e IN 1..8 DO FOR i IN 1..100 DO EXECUTE IMMEDIATE CONCAT('X','A END ''nexus-',e,'-',i,''''); EXECUTE IMMEDIATE CONCAT('X','A PREPARE ''nexus-',e,'-',i,'''');
EXECUTE IMMEDIATE CONCAT('X','A COMMIT ''nexus-',e,'-',i,''''); END FOR; END FOR; END`, "CALL p()"}},
		{"a value that reads like a part of another one", []string{"SET STATEMENT default_master_connection=VALUE FOR BEGIN NOT ATOMIC DECLARE c CURSOR FOR SELECT 1; SET SESSION TRANSACTION READ WRITE; INSERT INTO t VALUES (90); END"}},
		{"an expression that is more", []string{"EXECUTE IMMEDIATE 1 INTO OUTFILE '/tmp/nexus-smuggled' FROM t ORDER BY 1"}},
	} {
		u, err := sql.Open("mysql", "u@tcp("+leader.Addr()+")/app")
		check(t, err)
		for _, text := range attack.texts {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			got, err := query(ctx, u, text)
			cancel()
			t.Logf("%s: %.60q: %q, %v", attack.name, text, got, err)
		}
		check(t, u.Close())
		awaitEqual(t, c)
		if n := metric(t, leader, "nexus_mysql_beside_total"); n != "0" {
			t.Errorf("%s: %v transactions beside the log", attack.name, n)
		}
	}
}

// A transaction that somebody commits on the leader's server itself takes it out of service, and a repair removes what nobody else
// has.
func TestWhatIsWrittenBesideTheLogIsFound(t *testing.T) {
	t.Parallel()
	for _, ending := range [][]string{{"XA COMMIT 'x' ONE PHASE"}, {"XA PREPARE 'x'", "XA COMMIT 'x'"}} {
		c, leader := startCluster(t)
		db := open(t, leader)
		execute(t, db, "CREATE DATABASE app", "CREATE TABLE app.t (id INT PRIMARY KEY)", "INSERT INTO app.t VALUES (1)")
		server, err := leader.MariaDB.Client()
		check(t, err)
		conn := oneConn(t, server)
		for _, text := range append([]string{"XA START 'x'", "INSERT INTO app.t VALUES (2)", "XA END 'x'"}, ending...) {
			_, err = conn.ExecContext(within(t, 40*time.Second), text)
			check(t, err)
		}
		check(t, conn.Close())
		check(t, server.Close())
		eventually(t, 60*time.Second, func() error {
			if metric(t, leader, "nexus_mysql_beside_total") == "0" {
				return errors.New("nothing was found")
			}
			out, err := repl(t, leader, "status")
			if err == nil && !strings.Contains(out, "beside the log") {
				err = fmt.Errorf("status: %s", out)
			}
			return err
		})
		eventually(t, 60*time.Second, func() error {
			next, err := c.Leader(within(t, 60*time.Second))
			if err == nil && next == leader {
				err = fmt.Errorf("%s leads still", next.Name)
			}
			return err
		})
		next, err := c.Leader(within(t, 60*time.Second))
		check(t, err)
		if got := mustQuery(t, open(t, next), "SELECT COUNT(*) FROM app.t"); got != "1" {
			t.Errorf("%s has %s rows", next.Name, got)
		}
		eventually(t, 60*time.Second, func() error {
			out, err := repl(t, leader, "repair")
			if err != nil {
				err = fmt.Errorf("%w: %s", err, out)
			}
			return err
		})
		awaitEqual(t, c)
	}
}

// ownTransaction begins a transaction in k and returns its name, as its server was told it. Who has the luck to look at the right moment finds it in the list of processes.
func ownTransaction(t *testing.T, k *sql.Conn, server *sql.DB) string {
	t.Helper()
	id := mustQuery(t, k, "SELECT CONNECTION_ID()")
	execute(t, server, "SET GLOBAL log_output='TABLE'", "SET GLOBAL general_log=1")
	exec(t, k, "BEGIN", "DO 0") // the server is told of the transaction with the first statement
	text := mustQuery(t, server, "SELECT GROUP_CONCAT(CONVERT(argument USING utf8mb4)) FROM mysql.general_log WHERE thread_id="+id)
	execute(t, server, "SET GLOBAL general_log=0", "TRUNCATE mysql.general_log")
	name := regexp.MustCompile(`XA START (0x[0-9a-f]{20,})`).FindStringSubmatch(text)
	if name == nil {
		t.Fatalf("the server was told %q", text)
	}
	return name[1]
}

// What ends the snapshot of LOCK TABLES ... READ makes COMMIT mean what it says again.
func TestCommitAfterALockThatEnded(t *testing.T) {
	t.Parallel()
	_, leader := startCluster(t)
	db := open(t, leader)
	execute(t, db, "CREATE DATABASE app", "CREATE TABLE app.t (id INT PRIMARY KEY)")
	k := oneConn(t, db)
	for _, text := range []string{"SET autocommit=0", "LOCK TABLES app.t READ", "SET autocommit=1", "SET autocommit=0", "INSERT INTO app.t VALUES (1)", "COMMIT"} {
		_, err := k.ExecContext(within(t, 40*time.Second), text)
		check(t, err)
	}
	check(t, k.Close())
	if got := mustQuery(t, open(t, leader), "SELECT id FROM app.t"); got != "1" {
		t.Errorf("after COMMIT: %q", got)
	}
}

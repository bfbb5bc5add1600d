package mysql

import (
	"fmt"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// checkNothingPrepared makes sure that no transaction stays prepared on a server, with all the locks that it has.
func checkNothingPrepared(t *testing.T, n *cluster.Node) {
	t.Helper()
	server, err := n.MariaDB.Client()
	check(t, err)
	defer server.Close()
	eventually(t, 40*time.Second, func() error {
		if got := mustQuery(t, server, "XA RECOVER"); got != "" {
			return fmt.Errorf("prepared on %s: %s", n.Name, got)
		}
		return nil
	})
}

// A program that changes the number of its transaction, and has a handler for all that follows, keeps the transaction neither open nor prepared.
func TestProgramMistakesItsTransaction(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	db := open(t, leader)
	execute(t, db, "CREATE DATABASE app", "CREATE TABLE app.t (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(80))", "CREATE USER u@'%'", "GRANT ALL ON app.* TO u@'%'")
	u := openAs(t, leader, "u", "", "app", nil)
	execute(t, u, "CREATE PROCEDURE puts(x VARCHAR(80)) BEGIN INSERT INTO t (v) VALUES (x); COMMIT; END")
	const handler = "DECLARE CONTINUE HANDLER FOR SQLEXCEPTION BEGIN END; CALL puts('kept'); INSERT INTO t (v) VALUES ('lost'); SET @s=@nexus_sequence, @nexus_sequence="
	for i, body := range []string{
		"1; COMMIT; INSERT INTO t (v) VALUES ('lost'); SET @nexus_sequence=@s; COMMIT;",
		"1; ROLLBACK; INSERT INTO t (v) VALUES ('lost'); SET @nexus_sequence=@s; COMMIT;",
		"1; CALL undoes(); INSERT INTO t (v) VALUES ('lost'); SET @nexus_sequence=@s; COMMIT;",
		"'none'; ROLLBACK; INSERT INTO t (v) VALUES ('lost'); COMMIT;",
		"NULL; ROLLBACK; INSERT INTO t (v) VALUES ('lost');",
	} {
		execute(t, u, "CREATE OR REPLACE PROCEDURE undoes() ROLLBACK", "CREATE OR REPLACE PROCEDURE p() BEGIN "+handler+body+" END")
		conn := oneConn(t, u)
		if _, err := conn.ExecContext(within(t, 40*time.Second), "CALL p()"); err == nil {
			t.Errorf("%s: executed", body)
		}
		conn.Close()
		checkNothingPrepared(t, leader)
		if got, want := mustQuery(t, db, "SELECT COUNT(*), COUNT(DISTINCT v) FROM app.t"), fmt.Sprintf("%d,1", i+1); got != want {
			t.Errorf("%s: rows and their values are %s, want %s", body, got, want)
		}
	}
	awaitEqual(t, c)
	checkNothingLeft(t, c)
}

// A program whose node is gone ends, also where the server lets its account end no connection: that of a definer without a name.
func TestProgramOfNobodyEndsWithItsNode(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	db := open(t, leader)
	execute(t, db, "CREATE DATABASE app", "CREATE TABLE app.t (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(80))", "CREATE USER ''@'%'", "GRANT ALL ON app.* TO ''@'%'", "CREATE USER u@'%'", "GRANT ALL ON app.* TO u@'%'",
		"CREATE DEFINER=''@'%' PROCEDURE app.p() BEGIN DECLARE CONTINUE HANDLER FOR SQLEXCEPTION BEGIN END; INSERT INTO t (v) VALUES ('lost'); DO SLEEP(5); ROLLBACK; SET SESSION TRANSACTION READ WRITE; INSERT INTO t (v) VALUES ('beside'); END")
	server, err := leader.MariaDB.Client()
	check(t, err)
	defer server.Close()
	caller := account(t, leader, "u", "app")
	called := make(chan error, 1)
	go func() {
		_, err := caller.ExecContext(within(t, 60*time.Second), "CALL p()")
		called <- err
	}()
	const sleeps = "SELECT COUNT(*) FROM information_schema.processlist WHERE state='User sleep' AND info LIKE '%SLEEP(5)%'"
	eventually(t, 40*time.Second, func() error {
		if got := mustQuery(t, server, sleeps); got != "1" {
			return fmt.Errorf("%s programs sleep", got)
		}
		return nil
	})
	check(t, leader.Kill())
	if err := <-called; err == nil {
		t.Error("the program was answered")
	}
	eventually(t, 40*time.Second, func() error { // then it has come to its ROLLBACK
		if got := mustQuery(t, server, sleeps); got != "0" {
			return fmt.Errorf("%s programs sleep", got)
		}
		return nil
	})
	check(t, leader.StartReady(within(t, 60*time.Second)))
	awaitEqual(t, c)
	checkNothingLeft(t, c)
}

// What stands in for procedures of a database that has letters of others in its name is dropped again.
func TestStandInsOfOtherLetters(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	db := open(t, leader)
	execute(t, db, "CREATE DATABASE `größe`", "CREATE DATABASE `数据`", "CREATE TABLE `größe`.t (v VARCHAR(80))", "CREATE USER u@'%'", "GRANT EXECUTE ON *.* TO u@'%'")
	for _, database := range []string{"`größe`", "`数据`"} {
		execute(t, db, "CREATE PROCEDURE "+database+".puts() BEGIN INSERT INTO `größe`.t VALUES ('ä'); COMMIT; END", "CREATE PROCEDURE "+database+".p() BEGIN CALL "+database+".puts(); SET NAMES latin1; CALL "+database+".puts(); END")
		u := account(t, leader, "u", "information_schema")
		for _, text := range []string{"CALL " + database + ".puts()", "CALL " + database + ".p()"} {
			_, err := u.ExecContext(within(t, 60*time.Second), text)
			if err != nil {
				t.Errorf("%s: %v", text, err)
			}
		}
	}
	if got := mustQuery(t, db, "SELECT COUNT(*), SUM(v='ä') FROM `größe`.t"); got != "6,6" {
		t.Errorf("rows: %s", got)
	}
	awaitEqual(t, c)
	checkNothingLeft(t, c)
}

// Between two transactions of a program nothing that it has a handler for leads it to a statement that is in neither.
func TestProgramIsInATransaction(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	db := open(t, leader)
	execute(t, db, "CREATE DATABASE app", "CREATE TABLE app.t (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(80))", "CREATE USER u@'%'", "GRANT ALL ON app.* TO u@'%'", "CREATE USER mighty@'%'", "GRANT ALL ON *.* TO mighty@'%' WITH GRANT OPTION")
	const escape = " BEGIN SET SESSION TRANSACTION READ WRITE; INSERT INTO t (v) VALUES ('beside'); END; "
	for _, attack := range []struct{ user, body string }{
		{"u", "DECLARE EXIT HANDLER FOR SQLWARNING" + escape + "CREATE TEMPORARY TABLE plain (a INT) ENGINE=MyISAM; INSERT INTO t (v) VALUES ('lost'); INSERT INTO plain VALUES (1); ROLLBACK; INSERT INTO t (v) VALUES ('kept');"},
		{"u", "DECLARE CONTINUE HANDLER FOR SQLWARNING" + escape + "CREATE TEMPORARY TABLE plain (a INT) ENGINE=Aria; INSERT INTO t (v) VALUES ('lost'); INSERT INTO plain VALUES (1); ROLLBACK; INSERT INTO t (v) VALUES ('kept');"},
		{"mighty", "DECLARE EXIT HANDLER FOR NOT FOUND" + escape + "INSERT INTO t (v) VALUES ('lost'); SET pseudo_thread_id=99999999; ROLLBACK; INSERT INTO t (v) VALUES ('kept');"},
		{"mighty", "DECLARE CONTINUE HANDLER FOR SQLEXCEPTION, NOT FOUND" + escape + "INSERT INTO t (v) VALUES ('lost'); SET pseudo_thread_id=99999999; ROLLBACK; INSERT INTO t (v) VALUES ('kept');"},
	} {
		u := openAs(t, leader, attack.user, "", "app", nil)
		execute(t, u, "CREATE OR REPLACE PROCEDURE p() BEGIN "+attack.body+" END")
		conn := oneConn(t, u)
		if _, err := conn.ExecContext(within(t, 40*time.Second), "CALL p()"); err != nil {
			t.Logf("%s: %v", attack.body, err) // the end of the session would do as well
		}
		conn.Close()
	}
	if got := mustQuery(t, db, "SELECT COUNT(*) FROM app.t WHERE v<>'kept'"); got != "0" {
		t.Errorf("%s rows beside the log", got)
	}
	checkNothingPrepared(t, leader)
	awaitEqual(t, c)
	checkNothingLeft(t, c)
}

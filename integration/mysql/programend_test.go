package mysql

import (
	"fmt"
	"testing"
	"time"
)

// A program whose node is gone ends, also where the server lets its account end no connection: that of a definer without a name.
func TestProgramOfNobodyEndsWithItsNode(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	db := open(t, leader)
	execute(t, db, "CREATE DATABASE app", "CREATE TABLE app.t (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(80))", "CREATE USER ''@'%'", "GRANT ALL ON app.* TO ''@'%'", "CREATE USER u@'%'", "GRANT ALL ON app.* TO u@'%'",
		"CREATE DEFINER=''@'%' PROCEDURE app.p() BEGIN DECLARE CONTINUE HANDLER FOR SQLEXCEPTION BEGIN END; INSERT INTO t (v) VALUES ('lost'); DO SLEEP(5); ROLLBACK; INSERT INTO t (v) VALUES ('beside'); END")
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

// Between two transactions of a program nothing that it has a handler for leads it to a statement that is in neither.
func TestProgramIsInATransaction(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	db := open(t, leader)
	execute(t, db, "CREATE DATABASE app", "CREATE TABLE app.t (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(80))", "CREATE USER u@'%'", "GRANT ALL ON app.* TO u@'%'", "CREATE USER mighty@'%'", "GRANT ALL ON *.* TO mighty@'%' WITH GRANT OPTION")
	const escape = " BEGIN INSERT INTO t (v) VALUES ('beside'); END; "
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
	awaitEqual(t, c)
	checkAlike(t, c)
	checkNothingLeft(t, c)
}

// A program whose node has lost the connection that leads it ends, with what it has told to commit, and leaves nothing.
func TestProgramThatIsNotLed(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	db := open(t, leader)
	execute(t, db, "CREATE DATABASE app", "CREATE TABLE app.t (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(80))", "CREATE USER u@'%'", "GRANT EXECUTE ON app.* TO u@'%'",
		"CREATE PROCEDURE app.inside() BEGIN INSERT INTO t (v) VALUES ('1'); COMMIT; INSERT INTO t (v) VALUES ('2'); DO SLEEP(5); ROLLBACK; INSERT INTO t (v) VALUES ('3'); END",
		"CREATE PROCEDURE app.outermost() BEGIN DECLARE CONTINUE HANDLER FOR SQLEXCEPTION BEGIN END; CALL inside(); INSERT INTO t (v) VALUES ('4'); COMMIT; END")
	server, err := leader.MariaDB.Client()
	check(t, err)
	defer server.Close()
	caller := account(t, leader, "u", "app")
	called := make(chan error, 1)
	go func() {
		_, err := caller.ExecContext(within(t, 60*time.Second), "CALL outermost()")
		called <- err
	}()
	var leads string
	eventually(t, 40*time.Second, func() error {
		if got := mustQuery(t, server, "SELECT COUNT(*) FROM information_schema.processlist WHERE state='User sleep' AND info LIKE '%SLEEP(%'"); got != "1" {
			return fmt.Errorf("%s programs sleep", got)
		}
		leads = mustQuery(t, server, "SELECT MAX(SUBSTRING_INDEX(REGEXP_SUBSTR(routine_definition, 'IS_USED_LOCK[^=]*=[0-9]+'), '=', -1)) FROM information_schema.routines WHERE routine_name LIKE 'nexus_call%'")
		return nil
	})
	execute(t, server, "KILL "+leads)
	if err := <-called; err == nil {
		t.Error("the program was answered")
	}
	if got := mustQuery(t, db, "SELECT GROUP_CONCAT(v) FROM app.t"); got != "1" {
		t.Errorf("rows %s", got)
	}
	awaitEqual(t, c)
	checkAlike(t, c)
	eventually(t, 40*time.Second, func() error {
		if got := mustQuery(t, server, "SELECT COUNT(*) FROM nexus.program_answer"); got != "0" {
			return fmt.Errorf("%s answers are left", got)
		}
		return nil
	})
	checkNothingLeft(t, c)
}

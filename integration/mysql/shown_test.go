package mysql

import (
	"strings"
	"testing"
	"time"
)

// An account that has nothing to do in the database nexus does not see it among the databases; one that has does, when something of somebody's is there.
func TestShowDatabases(t *testing.T) {
	t.Parallel()
	_, leader := startCluster(t)
	db := open(t, leader)
	if got := mustQuery(t, db, "SHOW DATABASES"); strings.Contains(got, "nexus") {
		t.Errorf("nobody has anything in the database nexus, which is shown: %s", got)
	}
	execute(t, db, "CREATE DATABASE app", "CREATE TABLE nexus.mine (id INT PRIMARY KEY, v INT)", "CREATE ROLE keeper", "GRANT SELECT ON nexus.* TO keeper",
		"CREATE USER small@'%'", "GRANT ALL ON app.* TO small@'%'", "CREATE USER reader@'%'", "GRANT SELECT ON nexus.mine TO reader@'%'",
		"CREATE USER columnist@'%'", "GRANT SELECT (v) ON nexus.mine TO columnist@'%'", "CREATE USER schemer@'%'", "GRANT INSERT ON nexus.* TO schemer@'%'",
		"CREATE USER chief@'%'", "GRANT PROCESS ON *.* TO chief@'%'", "CREATE USER actor@'%'", "GRANT keeper TO actor@'%'", "SET DEFAULT ROLE keeper FOR actor@'%'")
	ctx := within(t, 60*time.Second)
	for user, sees := range map[string]bool{"small": false, "reader": true, "columnist": true, "schemer": true, "chief": true, "actor": true, "root": true} {
		conn := account(t, leader, user, "")
		prepared, err := conn.PrepareContext(ctx, "SHOW DATABASES")
		check(t, err)
		rows, err := prepared.QueryContext(ctx)
		check(t, err)
		seen := false
		for rows.Next() {
			var name string
			check(t, rows.Scan(&name))
			seen = seen || name == "nexus"
		}
		check(t, rows.Err())
		if seen != sees {
			t.Errorf("%s: prepared, nexus is shown: %v", user, seen)
		}
		for _, text := range []string{"SHOW DATABASES", "show schemas;", "SHOW DATABASES LIKE 'nex%'", "SHOW DATABASES WHERE `Database`<>'mysql'"} {
			if got := mustQuery(t, conn, text); strings.Contains(got, "nexus") != sees {
				t.Errorf("%s: %s: %s", user, text, got)
			}
		}
		if user == "small" {
			if _, err := conn.ExecContext(ctx, "START TRANSACTION"); err != nil {
				t.Fatal(err)
			}
			if got := mustQuery(t, conn, "SHOW DATABASES"); got != "app;information_schema" {
				t.Errorf("in a transaction: %s", got)
			}
		}
	}
}

// Programs that ask whether events are executed are told so.
func TestEventSchedulerIsOn(t *testing.T) {
	t.Parallel()
	_, leader := startCluster(t)
	conn := oneConn(t, open(t, leader))
	for _, ask := range []string{"SELECT @@event_scheduler", "SELECT @@global.event_scheduler", "SHOW VARIABLES LIKE 'event_scheduler'", "SHOW GLOBAL VARIABLES WHERE Variable_name='event_scheduler'"} {
		if got := mustQuery(t, conn, ask); !strings.HasSuffix(got, "ON") {
			t.Errorf("%s: %s", ask, got)
		}
	}
	if got := mustQuery(t, conn, "SHOW GLOBAL VARIABLES LIKE 'tx_read_only'"); got != "tx_read_only,OFF" {
		t.Error(got)
	}
}

// The error of a schema change tells a value of the table only to who may read it.
func TestValuesInErrors(t *testing.T) {
	t.Parallel()
	_, leader := startCluster(t)
	execute(t, open(t, leader), "CREATE DATABASE app", "CREATE TABLE app.t (a INT) PARTITION BY LIST (a) (PARTITION p1 VALUES IN (71), PARTITION p2 VALUES IN (72))", "INSERT INTO app.t VALUES (71), (72)",
		"CREATE USER small@'%'", "GRANT ALTER, DROP, CREATE, INSERT ON app.* TO small@'%'", "CREATE USER reader@'%'", "GRANT ALL ON app.* TO reader@'%'")
	ctx := within(t, 60*time.Second)
	for user, want := range map[string]string{"small": "for some existing values", "reader": "for value 71"} {
		conn := account(t, leader, user, "app")
		_, err := conn.ExecContext(ctx, "SET autocommit=0")
		check(t, err)
		_, err = conn.ExecContext(ctx, "ALTER TABLE t PARTITION BY LIST (a) (PARTITION p2 VALUES IN (72))")
		if code(err) != 1526 || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s: %v, want %q", user, err, want)
		}
		if got := mustQuery(t, conn, "SHOW WARNINGS"); !strings.HasSuffix(got, want) {
			t.Errorf("%s: %s, want %q", user, got, want)
		}
		for _, text := range []string{"INSERT INTO t VALUES (71)", "COMMIT"} { // the session lives on
			if _, err := conn.ExecContext(ctx, text); err != nil {
				t.Errorf("%s: %s: %v", user, text, err)
			}
		}
	}
}

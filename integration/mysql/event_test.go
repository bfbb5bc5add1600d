package mysql

import (
	"database/sql"
	"fmt"
	"strconv"
	"testing"
	"time"
)

// An event is executed once for each due time, whoever leads then, with the rights of its definer, and the servers stay equal.
func TestEventsOverLeaders(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	db := open(t, leader)
	execute(t, db, "CREATE DATABASE app", "CREATE TABLE app.runs (id INT AUTO_INCREMENT PRIMARY KEY, due DATETIME, chance CHAR(36), who VARCHAR(80))", "CREATE TABLE app.secret (id INT)",
		"CREATE USER small@'%'", "GRANT EVENT, INSERT ON app.* TO small@'%'", "GRANT SELECT ON nexus.* TO small@'%'", "REVOKE INSERT ON app.* FROM small@'%'", "GRANT INSERT ON app.runs TO small@'%'")
	small, err := sql.Open("mysql", "small@tcp("+leader.Addr()+")/app")
	check(t, err)
	defer small.Close()
	execute(t, small, "CREATE EVENT tick ON SCHEDULE EVERY 1 SECOND DO INSERT INTO runs (due, chance, who) SELECT due, UUID(), CURRENT_USER() FROM nexus.event_run WHERE name='tick'",
		"CREATE EVENT steals ON SCHEDULE EVERY 1 HOUR DO INSERT INTO secret VALUES (1)")
	if _, err := small.ExecContext(within(t, 40*time.Second), "CREATE DEFINER=root@localhost EVENT more ON SCHEDULE EVERY 1 SECOND DO DELETE FROM secret"); code(err) != 1227 {
		t.Errorf("an event of another account: %v", err)
	}
	runs := func(at *sql.DB) int {
		t.Helper()
		n, err := strconv.Atoi(mustQuery(t, at, "SELECT COUNT(*) FROM app.runs"))
		check(t, err)
		return n
	}
	atLeast := func(at *sql.DB, want int) {
		t.Helper()
		eventually(t, 60*time.Second, func() error {
			if n := runs(at); n < want {
				return fmt.Errorf("executed %d times, want %d", n, want)
			}
			return nil
		})
	}
	atLeast(db, 2)
	before := runs(db)
	lead(t, c, other(c, leader))
	db = open(t, other(c, leader))
	atLeast(db, before+2)
	victim, err := c.Leader(within(t, 40*time.Second))
	check(t, err)
	check(t, victim.Kill())
	check(t, victim.MariaDB.Kill())
	survivor, err := c.Leader(within(t, 60*time.Second))
	check(t, err)
	db = open(t, survivor)
	atLeast(db, runs(db)+2)
	check(t, victim.MariaDB.StartReady(within(t, 60*time.Second)))
	check(t, victim.StartReady(within(t, 60*time.Second)))
	execute(t, db, "ALTER EVENT app.tick DISABLE", "DROP EVENT app.steals")
	if got := mustQuery(t, db, "SELECT COUNT(*)-COUNT(DISTINCT due), COUNT(*)-COUNT(DISTINCT chance), COUNT(DISTINCT who), MAX(who) FROM app.runs"); got != "0,0,1,small@%" {
		t.Errorf("got %s: an event was executed twice for a due time, or as somebody else", got)
	}
	if got := mustQuery(t, db, "SELECT COUNT(*) FROM app.secret"); got != "0" {
		t.Error("an event did what its definer may not")
	}
	awaitEqual(t, c)
	for _, n := range c.Nodes {
		if got := metric(t, n, "nexus_mysql_beside_total"); got != "0" {
			t.Errorf("%s transactions beside the log on %s", got, n.Name)
		}
	}
}

// Events end, are of a time zone, fail without being tried again, and are in snapshots.
func TestEvents(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	db := open(t, leader)
	conn := oneConn(t, db)
	ctx := within(t, 120*time.Second)
	for _, text := range []string{
		"CREATE DATABASE app", "USE app", "CREATE TABLE t (what VARCHAR(40), at DATETIME, PRIMARY KEY (what))", "SET GLOBAL event_scheduler=ON", "SET time_zone='+05:30'",
		`CREATE EVENT once ON SCHEDULE AT NOW() DO INSERT INTO t VALUES (IF('5' REGEXP '^\\d$', 'once', 'lost'), NOW())`,
		"CREATE EVENT kept ON SCHEDULE AT NOW() ON COMPLETION PRESERVE COMMENT 'stays' DO BEGIN INSERT INTO t VALUES ('kept', NOW()); END",
		"CREATE EVENT later ON SCHEDULE EVERY 1 DAY STARTS '2020-01-01 00:00:00' DO INSERT INTO t VALUES ('later', NOW())", // not before it was made
		"CREATE EVENT monthly ON SCHEDULE EVERY 2 MONTH DO INSERT INTO t VALUES ('monthly', NOW())",
		"CREATE EVENT fails ON SCHEDULE EVERY 1 SECOND DO INSERT INTO t VALUES ('fails', NOW())", // twice the same key
		"CREATE EVENT commits ON SCHEDULE AT NOW() DO BEGIN INSERT INTO t VALUES ('first', NOW()); COMMIT; CREATE TABLE made (a INT); INSERT INTO t VALUES ('second', NOW()); END",
	} {
		if _, err := conn.ExecContext(ctx, text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
	eventually(t, 60*time.Second, func() error {
		if got := mustQuery(t, db, "SELECT GROUP_CONCAT(what ORDER BY what) FROM app.t"); got != "fails,first,kept,monthly,once,second" {
			return fmt.Errorf("%s were executed", got)
		}
		if got := metric(t, leader, "nexus_mysql_failed_events_total"); got == "0" {
			return fmt.Errorf("none has failed")
		}
		if got := mustQuery(t, db, "SELECT GROUP_CONCAT(event_name, ' ', status ORDER BY event_name) FROM information_schema.events"); got != "fails ENABLED,kept DISABLED,later ENABLED,monthly ENABLED" {
			return fmt.Errorf("there are %s", got)
		}
		return nil
	})
	if got := mustQuery(t, db, "SELECT SUM(ABS(TIMESTAMPDIFF(MINUTE, at, UTC_TIMESTAMP() + INTERVAL 330 MINUTE))<5)=COUNT(*) FROM app.t"); got != "1" {
		t.Error("events do not run in their time zone")
	}
	execute(t, db, "DROP EVENT app.fails")
	const ask = "SELECT GROUP_CONCAT(event_name, status, definer, IFNULL(starts, ''), created, event_comment ORDER BY event_name), (SELECT COUNT(*) FROM information_schema.routines WHERE routine_schema='app') FROM information_schema.events"
	want := mustQuery(t, db, ask)
	eventually(t, 60*time.Second, func() error { return allAnswer(ctx, c, ask, want) })
	if out, err := repl(t, leader, "verify"); err != nil {
		t.Errorf("verify: %v: %s", err, out)
	}
	if got := mustQuery(t, open(t, restored(t, leader)), ask); got != want {
		t.Errorf("restored: %s, want %s", got, want)
	}
	awaitEqual(t, c)
}

// An event that would never end is ended, counts as failed, and leaves nothing behind.
func TestEventThatNeverEnds(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t, "-eventTimeout", "2s")
	db := open(t, leader)
	execute(t, db, "CREATE DATABASE app", "CREATE TABLE app.t (what VARCHAR(40))",
		"CREATE EVENT app.endless ON SCHEDULE AT NOW() DO BEGIN INSERT INTO t VALUES ('endless'); LOOP SET @n=1; END LOOP; END",
		"CREATE EVENT app.asleep ON SCHEDULE AT NOW() DO BEGIN INSERT INTO t VALUES ('asleep'); LOOP SET @n=SLEEP(0.1); END LOOP; END",
		"CREATE EVENT app.other ON SCHEDULE AT NOW() DO INSERT INTO t VALUES ('other')")
	eventually(t, 40*time.Second, func() error {
		if got := mustQuery(t, db, "SELECT GROUP_CONCAT(event_name) FROM information_schema.events"); got != "" {
			return fmt.Errorf("there are %s", got)
		}
		return nil
	})
	if got := metric(t, leader, "nexus_mysql_failed_events_total"); got != "2" {
		t.Errorf("%s events have failed", got)
	}
	if got := mustQuery(t, db, "SELECT GROUP_CONCAT(what) FROM app.t"); got != "other" {
		t.Errorf("done is %s", got)
	}
	awaitEqual(t, c)
}

// An event writes nothing of what Nexus keeps about events, and executes no text that nobody has looked at.
func TestEventsReachNothing(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	db := open(t, leader)
	owner := ownerOfNexus(t, leader, db)
	execute(t, db, "GRANT SUPER ON *.* TO owner@'%'", "CREATE TABLE app.log (what VARCHAR(40))")
	execute(t, owner, "CREATE EVENT app.runs ON SCHEDULE EVERY 1 SECOND DO BEGIN INSERT INTO app.log VALUES ('runs'); UPDATE nexus.event_run SET due='2037-01-01'; END",
		"CREATE EVENT app.adds ON SCHEDULE EVERY 1 SECOND DO INSERT INTO nexus.event_run VALUES ('a', 'b', NOW(), NOW())",
		"CREATE EVENT app.texts ON SCHEDULE EVERY 1 SECOND DO BEGIN INSERT INTO app.log VALUES ('texts'); EXECUTE IMMEDIATE 'SET GLOBAL wait_timeout=4321'; END",
		"CREATE EVENT app.good ON SCHEDULE EVERY 1 SECOND DO INSERT INTO app.log VALUES ('good')")
	eventually(t, 60*time.Second, func() error {
		if got := mustQuery(t, db, "SELECT COUNT(*) FROM app.log WHERE what='good'"); len(got) < 1 || got == "0" || got == "1" || got == "2" {
			return fmt.Errorf("%s executions", got)
		}
		return nil
	})
	for _, event := range []string{"runs", "adds", "texts", "good"} {
		execute(t, db, "DROP EVENT app."+event)
	}
	if got := mustQuery(t, db, "SELECT GROUP_CONCAT(DISTINCT what) FROM app.log"); got != "good" {
		t.Errorf("done is %s", got)
	}
	if got := mustQuery(t, db, "SELECT COUNT(*) FROM nexus.event_run WHERE due>'2036-01-01' OR db='a'"); got != "0" {
		t.Errorf("%s runs were made up", got)
	}
	awaitEqual(t, c)
	if got := metric(t, leader, "nexus_mysql_beside_total"); got != "0" {
		t.Errorf("%s transactions beside the log", got)
	}
	checkAlike(t, c)
}

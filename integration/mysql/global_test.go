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

// Global variables are the same on all servers, after a change of leader, on a server that was started again, and on one
// that was filled from a snapshot.
func TestGlobalVariables(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	db := open(t, leader)
	conn := oneConn(t, db)
	ctx := within(t, 120*time.Second)
	do := func(text string) {
		t.Helper()
		if _, err := conn.ExecContext(ctx, text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
	do("SET GLOBAL max_connections=600, long_query_time=2.5")
	do("SET @mode=@@global.sql_mode, @@global.sql_mode='ANSI,ORACLE'")
	do("SET @@global.sql_mode=CONCAT(@mode, ',ANSI_QUOTES'), SESSION sort_buffer_size=300000, @x=7")
	do("SET GLOBAL wait_timeout=1000, lock_wait_timeout=3, innodb_lock_wait_timeout=4, max_statement_time=7, sql_select_limit=1000, sql_big_selects=0, net_write_timeout=9")
	do("SET GLOBAL TRANSACTION ISOLATION LEVEL READ COMMITTED")
	do("SET GLOBAL time_zone='+03:00', default_storage_engine=MyISAM, sql_auto_is_null=1, sql_safe_updates=1")
	do("SET GLOBAL general_log=DEFAULT, event_scheduler=ON")
	if got := mustQuery(t, conn, "SELECT @@sort_buffer_size, @x, @@long_query_time"); got != "300000,7,10" {
		t.Errorf("the session has %s", got)
	}
	const ask = "SELECT @@global.max_connections, @@global.long_query_time, @@global.sql_mode, @@global.wait_timeout, @@global.tx_isolation, @@global.time_zone, @@global.sql_safe_updates"
	want := mustQuery(t, conn, ask)
	if !strings.HasPrefix(want, "600,2.5,") || !strings.Contains(want, "ANSI_QUOTES") || !strings.HasSuffix(want, ",1000,READ-COMMITTED,+03:00,1") {
		t.Fatalf("the leader has %s", want)
	}
	onAll := func() {
		t.Helper()
		eventually(t, 40*time.Second, func() error { return allAnswer(ctx, c, ask, want) })
	}
	onAll()
	// The nodes go on, whatever the variables are.
	fresh := oneConn(t, db)
	for _, text := range []string{
		"CREATE DATABASE app", "CREATE TABLE app.t (id INT PRIMARY KEY AUTO_INCREMENT, ts TIMESTAMP, v VARCHAR(20) DEFAULT 'x') ENGINE=MyISAM",
		"CREATE TABLE app.u (id INT) ROW_FORMAT=FIXED", "INSERT INTO app.t (ts) VALUES ('2020-01-01 00:00:00'), (NOW())", "CREATE PROCEDURE app.p() BEGIN SELECT 1; END",
	} {
		if _, err := fresh.ExecContext(ctx, text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
	awaitEqual(t, c)
	for _, tc := range []struct {
		text string
		code uint16
	}{
		{"SET GLOBAL max_connections=10", 1235}, {"SET GLOBAL read_only=1", 1235}, {"SET GLOBAL binlog_format=STATEMENT", 1235}, {"SET GLOBAL nosuch=1", 1193},
		{"SET GLOBAL version='x'", 1238}, {"SET GLOBAL last_insert_id=1", 1228}, {"SET GLOBAL init_connect='DELETE FROM app.t'", 1235},
		{"SET GLOBAL sql_mode='nosuch'", 1231}, {"SET GLOBAL max_connections='x'", 1232}, {"SET GLOBAL innodb_buffer_pool_size=1000000", 1235},
	} {
		if _, err := conn.ExecContext(ctx, tc.text); code(err) != tc.code {
			t.Errorf("%s: %v, want %d", tc.text, err, tc.code)
		}
	}
	do("CREATE USER small@'%'")
	small, err := sql.Open("mysql", "small@tcp("+leader.Addr()+")/")
	check(t, err)
	defer small.Close()
	if _, err := small.ExecContext(ctx, "SET GLOBAL max_connections=700"); code(err) != 1227 {
		t.Errorf("without SUPER: %v", err)
	}
	onAll()

	follower := other(c, leader)
	check(t, follower.MariaDB.Kill())
	check(t, follower.MariaDB.StartReady(within(t, 40*time.Second)))
	onAll()
	check(t, leader.MariaDB.Kill())
	check(t, leader.MariaDB.StartReady(within(t, 40*time.Second)))
	onAll()
	awaitEqual(t, c)
}

func other(c *cluster.Cluster, n *cluster.Node) *cluster.Node {
	if c.Nodes[0] == n {
		return c.Nodes[1]
	}
	return c.Nodes[0]
}

// allAnswer asks each server itself.
func allAnswer(ctx context.Context, c *cluster.Cluster, text, want string) error {
	for _, n := range c.Nodes {
		db, err := n.MariaDB.Client()
		if err != nil {
			return err
		}
		got, err := query(ctx, db, text)
		db.Close()
		if err != nil {
			return err
		}
		if got != want {
			return fmt.Errorf("%s has %s, want %s", n.Name, got, want)
		}
	}
	return nil
}

//go:build clients

package mysql

import (
	"database/sql"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster"
	"github.com/nexus-replication/nexus/integration/cluster/clustertest"
)

// The words of these tests.
var (
	within = clustertest.Within
	check  = clustertest.Check
)

func startCluster(t *testing.T, flags ...string) (*cluster.Cluster, *cluster.Node) {
	t.Helper()
	c := clustertest.New(t, cluster.Options{MySQL: true, Binary: nodeBinary, Flags: flags})
	check(t, c.StartReady(within(t, 90*time.Second)))
	leader, err := c.Leader(within(t, 20*time.Second))
	check(t, err)
	execute(t, open(t, leader), "CREATE USER app@'%' IDENTIFIED BY 'app'")
	return c, leader
}

// open returns connections of root's to a node.
func open(t *testing.T, n *cluster.Node) *sql.DB {
	t.Helper()
	db, err := n.SQL()
	check(t, err)
	t.Cleanup(func() { db.Close() })
	return db
}

func execute(t *testing.T, db *sql.DB, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if _, err := db.ExecContext(within(t, 30*time.Second), text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
}

// createDatabase makes one that belongs to the account app.
func createDatabase(t *testing.T, n *cluster.Node, database string) {
	t.Helper()
	execute(t, open(t, n), "CREATE DATABASE "+database+" CHARACTER SET utf8mb4", "GRANT ALL ON "+database+".* TO app@'%'")
}

// mustQuery returns rows as text, columns with commas and rows with semicolons between.
func mustQuery(t *testing.T, db *sql.DB, text string) string {
	t.Helper()
	rows, err := db.QueryContext(within(t, 30*time.Second), text)
	check(t, err)
	defer rows.Close()
	columns, err := rows.Columns()
	check(t, err)
	var out []string
	for rows.Next() {
		values, pointers := make([]sql.NullString, len(columns)), make([]any, len(columns))
		for i := range values {
			pointers[i] = &values[i]
		}
		check(t, rows.Scan(pointers...))
		texts := make([]string, len(values))
		for i, v := range values {
			texts[i] = v.String
		}
		out = append(out, strings.Join(texts, ","))
	}
	check(t, rows.Err())
	return strings.Join(out, ";")
}

// repl runs the operator's command line against a node.
func repl(t *testing.T, n *cluster.Node, args ...string) (string, error) {
	t.Helper()
	out, err := exec.CommandContext(within(t, time.Minute), replBinary, append([]string{n.GRPCAddr()}, args...)...).CombinedOutput()
	return string(out), err
}

// verify lets the nodes compare their data.
func verify(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	leader, err := c.Leader(within(t, 30*time.Second))
	check(t, err)
	if out, err := repl(t, leader, "verify"); err != nil {
		t.Errorf("verify: %v\n%s", err, out)
	}
}

// transfer makes another node the leader.
func transfer(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	before, err := c.Leader(within(t, 30*time.Second))
	check(t, err)
	if out, err := repl(t, before, "transferLeader"); err != nil {
		t.Fatalf("transfer the leadership: %v\n%s", err, out)
	}
}

// awaitEqual waits until the servers of all nodes hold the same rows of the databases of clients.
func awaitEqual(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	for {
		var held []string
		for _, n := range c.Nodes {
			held = append(held, rowsOf(t, n))
		}
		if held[0] == held[1] && held[0] == held[2] {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the servers differ:\n%s", strings.Join(held, "\n"))
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func rowsOf(t *testing.T, n *cluster.Node) string {
	t.Helper()
	db, err := n.MariaDB.Client()
	check(t, err)
	defer db.Close()
	tables := mustQuery(t, db, "SELECT CONCAT('`', table_schema, '`.`', table_name, '`') FROM information_schema.tables WHERE table_type='BASE TABLE'"+
		" AND table_schema NOT IN ('mysql','information_schema','performance_schema','sys','nexus') ORDER BY 1")
	if tables == "" {
		return ""
	}
	return mustQuery(t, db, fmt.Sprintf("CHECKSUM TABLE %s EXTENDED", strings.ReplaceAll(tables, ";", ",")))
}

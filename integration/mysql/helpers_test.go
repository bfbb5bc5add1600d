package mysql

import (
	"context"
	"database/sql"
	"fmt"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster"
	"github.com/nexus-replication/nexus/integration/cluster/clustertest"
)

// The words of these tests.
var (
	within     = clustertest.Within
	signalled  = clustertest.Signalled
	check      = clustertest.Check
	eventually = clustertest.Eventually
	metric     = clustertest.Metric
)

// startCluster returns a cluster of three of which each node serves, and its leader.
func startCluster(t *testing.T, flags ...string) (*cluster.Cluster, *cluster.Node) {
	t.Helper()
	c := newCluster(t, cluster.Options{Flags: flags})
	check(t, c.StartReady(within(t, 60*time.Second)))
	leader, err := c.Leader(within(t, 40*time.Second))
	check(t, err)
	return c, leader
}

// startAlone returns connections to a server without Nexus.
func startAlone(t *testing.T) *sql.DB {
	t.Helper()
	native, err := startServerAlone(t).Client()
	check(t, err)
	t.Cleanup(func() { native.Close() })
	return native
}

// startServerAlone returns a server without Nexus.
func startServerAlone(t *testing.T) *cluster.MariaDB {
	t.Helper()
	port, err := cluster.FreePort()
	check(t, err)
	alone, err := cluster.NewMariaDB("alone", filepath.Join(t.TempDir(), "alone"), port)
	check(t, err)
	check(t, alone.StartReady(within(t, 40*time.Second)))
	t.Cleanup(func() { _ = alone.Kill() })
	return alone
}

// newCluster is clustertest.New with the program that was built for this run, unless opts names another one.
func newCluster(t *testing.T, opts cluster.Options) *cluster.Cluster {
	t.Helper()
	opts.MySQL = true
	if opts.Binary == "" {
		opts.Binary = nodeBinary
	}
	return clustertest.New(t, opts)
}

// open returns connections to a node, closed when the test ends.
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
		if _, err := db.ExecContext(within(t, 40*time.Second), text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
}

type queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// query returns rows as text, columns with commas and rows with semicolons between.
func query(ctx context.Context, db queryer, text string, args ...any) (string, error) {
	rows, err := db.QueryContext(ctx, text, args...)
	if err != nil {
		return "", err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return "", err
	}
	var out []string
	for rows.Next() {
		values := make([]sql.NullString, len(columns))
		pointers := make([]any, len(columns))
		for i := range values {
			pointers[i] = &values[i]
		}
		if err := rows.Scan(pointers...); err != nil {
			return "", err
		}
		texts := make([]string, len(values))
		for i, v := range values {
			texts[i] = v.String
		}
		out = append(out, strings.Join(texts, ","))
	}
	return strings.Join(out, ";"), rows.Err()
}

func mustQuery(t *testing.T, db queryer, text string, args ...any) string {
	t.Helper()
	got, err := query(within(t, 40*time.Second), db, text, args...)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return got
}

// awaitAnswer waits until text is answered with want.
func awaitAnswer(t *testing.T, db queryer, text, want string) {
	t.Helper()
	eventually(t, 40*time.Second, func() error {
		if got := mustQuery(t, db, text); got != want {
			return fmt.Errorf("%s: %s, want %s", text, got, want)
		}
		return nil
	})
}

// digest is what a server holds of the databases of clients: definitions and rows.
func digest(ctx context.Context, n *cluster.Node) (map[string]string, error) {
	db, err := n.MariaDB.Client()
	if err != nil {
		return nil, err
	}
	defer db.Close()
	tables, err := query(ctx, db, "SELECT CONCAT('`', table_schema, '`.`', REPLACE(table_name, '`', '``'), '`') FROM information_schema.tables WHERE table_type='BASE TABLE'"+
		" AND table_schema NOT IN ('mysql','information_schema','performance_schema','sys') AND NOT (table_schema='nexus' AND table_name IN ('position','applied','schema_change','address','global_variable','program_answer','rehearsal'))")
	if err != nil {
		return nil, err
	}
	held := make(map[string]string)
	for _, table := range strings.Split(tables, ";") {
		if table == "" {
			continue
		}
		create, err := query(ctx, db, "SHOW CREATE TABLE "+table)
		if err != nil {
			return nil, err
		}
		if at := strings.Index(create, " AUTO_INCREMENT="); at >= 0 { // the next id is the leader's business
			rest := create[at+1:]
			create = create[:at] + rest[strings.IndexByte(rest, ' '):]
		}
		rows, err := query(ctx, db, "CHECKSUM TABLE "+table+" EXTENDED")
		if err != nil {
			return nil, err
		}
		held[table] = create + rows
	}
	return held, nil
}

// awaitEqual waits until the servers of all running nodes hold the same.
func awaitEqual(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	eventually(t, 40*time.Second, func() error {
		var first map[string]string
		for _, n := range c.Nodes {
			if !n.Running() {
				continue
			}
			held, err := digest(within(t, 40*time.Second), n)
			if err != nil {
				return err
			}
			if first == nil {
				first = held
				continue
			}
			for table := range held {
				if held[table] != first[table] {
					return fmt.Errorf("%s of %s differs:\n%s\n%s", table, n.Name, held[table], first[table])
				}
			}
			if len(held) != len(first) {
				return fmt.Errorf("%s holds %d tables, another %d", n.Name, len(held), len(first))
			}
		}
		return nil
	})
}

// repl runs the operator's command line against a node and returns what it prints.
func repl(t *testing.T, n *cluster.Node, args ...string) (string, error) {
	t.Helper()
	out, err := osexec.CommandContext(within(t, 40*time.Second), replBinary, append([]string{n.GRPCAddr()}, args...)...).CombinedOutput()
	return strings.TrimSuffix(string(out), "\n"), err
}

// restored is a node of a cluster of its own, which begins with a backup of n.
func restored(t *testing.T, n *cluster.Node) *cluster.Node {
	t.Helper()
	file := filepath.Join(t.TempDir(), "backup")
	if out, err := repl(t, n, "backup", file); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	c := newCluster(t, cluster.Options{Size: 1, Flags: []string{"-restore", file}})
	check(t, c.StartReady(within(t, 60*time.Second)))
	return c.Nodes[0]
}

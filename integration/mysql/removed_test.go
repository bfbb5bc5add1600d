package mysql

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// A machine that was removed is used again, with a new mariadbd: its old log is deleted on request.
func TestRemovedMachineComesBack(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	l := newBank(t, open(t, leader))
	stop := l.run(t, c, 4)
	defer stop()
	l.awaitCommits(t, 20)
	gone, err := c.Follower(within(t, 40*time.Second))
	check(t, err)
	if out, err := repl(t, leader, "removeNode", gone.URL()); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	check(t, gone.Kill())
	if err := gone.StartReady(within(t, 10*time.Second)); err == nil || !strings.Contains(err.Error(), "removed") {
		t.Errorf("with its old data: %v", err)
	}
	check(t, gone.Kill())
	emptyServer(t, gone)

	gone.Args = append(gone.Args, "-nexus-wipe-removed")
	check(t, gone.Start())
	if out, err := repl(t, leader, "addNode", gone.URL()); err != nil {
		t.Fatalf("%v: %s\n%s", err, out, gone.Output())
	}
	check(t, gone.AwaitReady(within(t, 60*time.Second)))
	l.awaitCommits(t, 20)
	stop()
	awaitEqual(t, c)
	l.audit(t, open(t, gone))
}

// A node that was removed closes the connections of its clients, and tells those who come that it serves them no more.
func TestRemovedNodeTurnsAway(t *testing.T) {
	t.Parallel()
	c, leader, readers := startReaders(t)
	gone, err := c.Follower(within(t, 40*time.Second))
	check(t, err)
	reader := readers[slices.Index(c.Nodes, gone)]
	var sessions []*sql.Conn
	for _, db := range []*sql.DB{open(t, gone), reader} {
		conn, err := db.Conn(within(t, 40*time.Second))
		check(t, err)
		t.Cleanup(func() { conn.Close() })
		mustQuery(t, conn, "SELECT 1")
		sessions = append(sessions, conn)
	}
	if out, err := repl(t, leader, "removeNode", gone.URL()); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	const reason = "Nexus: this node was removed from its cluster; connect to another node"
	for i, addr := range []string{gone.Addr(), addressOf(t, gone)} {
		eventually(t, 60*time.Second, func() error { return wantTurnedAway(logInAt(addr, "root", ""), reason) })
		eventually(t, 60*time.Second, func() error {
			if _, err := query(within(t, 40*time.Second), sessions[i], "SELECT 1"); err == nil {
				return fmt.Errorf("a connection to %s that was open is served", addr)
			}
			return nil
		})
	}
	mustQuery(t, open(t, leader), "SELECT 1")
}

// emptyServer has the server of a node start again with nothing.
func emptyServer(t *testing.T, n *cluster.Node) {
	t.Helper()
	check(t, n.MariaDB.Kill())
	dir := filepath.Dir(n.MariaDB.DataDir)
	check(t, os.RemoveAll(dir))
	fresh, err := cluster.NewMariaDB(n.MariaDB.Name, dir, n.MariaDB.Port)
	check(t, err)
	n.MariaDB = fresh
	check(t, n.MariaDB.StartReady(within(t, 40*time.Second)))
}

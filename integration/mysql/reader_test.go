package mysql

import (
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// startReaders returns a cluster that serves, its leader, and for each node connections to its port for reading.
func startReaders(t *testing.T) (*cluster.Cluster, *cluster.Node, []*sql.DB) {
	t.Helper()
	c := newCluster(t, cluster.Options{Flags: []string{"-nexus-repl-timeout", "2s"}})
	readers := make([]*sql.DB, len(c.Nodes))
	for i, n := range c.Nodes {
		var err error
		readers[i], err = sql.Open("mysql", "root@tcp("+readOnlyPort(t, n)+")/?multiStatements=true&timeout=2s&readTimeout=15s")
		check(t, err)
		t.Cleanup(func() { readers[i].Close() })
	}
	check(t, c.StartReady(within(t, 60*time.Second)))
	leader, err := c.Leader(within(t, 40*time.Second))
	check(t, err)
	return c, leader, readers
}

// readOnlyPort has a node serve a port for reading, and returns its address.
func readOnlyPort(t *testing.T, n *cluster.Node) string {
	t.Helper()
	port, err := cluster.FreePort()
	check(t, err)
	n.Args = append(n.Args, "-readOnlyPort", strconv.Itoa(port))
	return cluster.Address(port)
}

// addressOf is where a node serves its port for reading.
func addressOf(t *testing.T, n *cluster.Node) string {
	t.Helper()
	i := slices.Index(n.Args, "-readOnlyPort")
	port, err := strconv.Atoi(n.Args[i+1])
	check(t, err)
	return cluster.Address(port)
}

// A node that joins with an empty server does not call a right password wrong on its port for reading.
func TestReaderOfJoiningNode(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t, "-nexus-snapshot-count", "50")
	db := open(t, leader)
	execute(t, db, "CREATE USER teller@'%' IDENTIFIED BY 'secret'", "CREATE DATABASE app", "CREATE TABLE app.t (id INT PRIMARY KEY)")
	for i := range 100 {
		execute(t, db, fmt.Sprintf("INSERT INTO app.t VALUES (%d)", i))
	}
	joiner, err := c.AddNode()
	check(t, err)
	addr := readOnlyPort(t, joiner)
	check(t, joiner.MariaDB.StartReady(within(t, 40*time.Second)))
	check(t, joiner.Start())
	eventually(t, 60*time.Second, func() error {
		return wantTurnedAway(logInAt(addr, "teller", "secret"), "Nexus: this node waits to be added to the cluster")
	})
	added := make(chan error, 1)
	go func() {
		out, err := repl(t, leader, "addNode", joiner.URL())
		if err != nil {
			err = fmt.Errorf("%w: %s", err, out)
		}
		added <- err
	}()
	eventually(t, 60*time.Second, func() error {
		err := logInAt(addr, "teller", "secret")
		if err != nil && code(err) != 1053 {
			t.Fatalf("a login while the node is filled: %v", err)
		}
		return err
	})
	check(t, <-added)
	if err := logInAt(addr, "teller", "wrong"); code(err) != 1045 {
		t.Errorf("a wrong password: %v", err)
	}
}

// A node whose server does not answer serves no readers: it ends their connections where they ask, and turns new ones away.
func TestReaderOfSilentServer(t *testing.T) {
	t.Parallel()
	c, leader, readers := startReaders(t)
	n := c.Others(leader)[0]
	conn, err := readers[slices.Index(c.Nodes, n)].Conn(within(t, 40*time.Second))
	check(t, err)
	defer conn.Close()
	mustQuery(t, conn, "SELECT 1")
	check(t, n.MariaDB.Pause())
	eventually(t, 60*time.Second, func() error {
		if n.Ready(within(t, 10*time.Second)) == nil {
			return errors.New("the node says that it serves")
		}
		return nil
	})
	if _, err := query(within(t, 40*time.Second), conn, "SELECT 1"); code(err) != 1053 {
		t.Errorf("a session that was open: %v", err)
	}
	if err := conn.PingContext(within(t, 40*time.Second)); err == nil || code(err) != 0 {
		t.Errorf("it goes on: %v", err)
	}
	check(t, wantTurnedAway(logInAt(addressOf(t, n), "root", ""), "Nexus: the server behind this node"))
	check(t, n.MariaDB.Resume())
	check(t, n.AwaitReady(within(t, 60*time.Second)))
	check(t, logInAt(addressOf(t, n), "root", ""))
}

// Every node answers reads from its own server, and never without what was acknowledged before, by whichever node.
func TestReadOnlyPort(t *testing.T) {
	t.Parallel()
	c, leader, readers := startReaders(t)
	db := open(t, leader)
	execute(t, db, "CREATE DATABASE app", "CREATE TABLE app.t (id INT PRIMARY KEY, v INT)", "INSERT INTO app.t VALUES (1, 0)",
		"CREATE FUNCTION app.locks() RETURNS INT BEGIN DECLARE x INT; SELECT v INTO x FROM app.t WHERE id=1 LOCK IN SHARE MODE; RETURN x; END",
		"CREATE FUNCTION app.writes() RETURNS INT BEGIN UPDATE app.t SET v=-1; RETURN 1; END",
		"CREATE PROCEDURE app.opens() BEGIN UPDATE app.t SET v=-1; END")
	for i, n := range c.Nodes {
		if got := mustQuery(t, readers[i], "SELECT @@port"); got != strconv.Itoa(n.MariaDB.Port) {
			t.Errorf("%s answers from the server at %s", n.Name, got)
		}
	}

	writers := make([]*sql.DB, len(c.Nodes))
	for i, n := range c.Nodes {
		writers[i] = open(t, n)
	}
	for v := 1; v <= 60; v++ {
		if _, err := writers[v%3].Exec("UPDATE app.t SET v=? WHERE id=1", v); err != nil {
			t.Fatal(err)
		}
		for i, reader := range readers {
			read := func(q queryer) string { return mustQuery(t, q, "SELECT v FROM app.t WHERE id=1") }
			if v%2 == 0 {
				tx, err := reader.Begin()
				check(t, err)
				if got := read(tx); got != strconv.Itoa(v) {
					t.Errorf("a transaction on node %d reads %s after %d was acknowledged", i+1, got, v)
				}
				check(t, tx.Commit())
			} else if got := read(reader); got != strconv.Itoa(v) {
				t.Errorf("node %d reads %s after %d was acknowledged", i+1, got, v)
			}
		}
	}
	for i, reader := range readers {
		t.Run(fmt.Sprint("Refusals", i+1), func(t *testing.T) { testReaderRefusals(t, reader) })
		t.Run(fmt.Sprint("Locks", i+1), func(t *testing.T) { testReaderLocks(t, c, db, reader, c.Nodes[i] != leader) })
	}
	awaitEqual(t, c)

	// Without a majority nothing is read.
	for _, n := range c.Nodes[1:] {
		check(t, n.Kill())
	}
	if got, err := query(within(t, 40*time.Second), readers[0], "SELECT v FROM app.t"); err == nil {
		t.Errorf("a node without a majority reads %s", got)
	}
}

func testReaderRefusals(t *testing.T, reader *sql.DB) {
	conn, err := reader.Conn(t.Context())
	check(t, err)
	defer conn.Close()
	for _, text := range []string{"INSERT INTO app.t VALUES (2, 2)", "UPDATE app.t SET v=-1", "DELETE FROM app.t", "CREATE TABLE app.u (a INT)", "DROP TABLE app.t",
		"TRUNCATE app.t", "CALL app.opens()", "SELECT * FROM app.t FOR UPDATE", "SELECT * FROM app.t LOCK IN SHARE MODE", "CREATE USER u", "ANALYZE TABLE app.t",
		"START TRANSACTION READ WRITE", "SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE", "SET tx_isolation='SERIALIZABLE'", "SET tx_isolation=CONCAT('SERIAL', 'IZABLE')",
		"PREPARE p FROM 'DELETE FROM app.t'", "SELECT 1; DELETE FROM app.t"} {
		_, err := conn.ExecContext(t.Context(), text)
		if code(err) != 1290 || !strings.Contains(err.Error(), "-proxyPort") {
			t.Errorf("%s: %v", text, err)
		}
	}
	if _, err := conn.PrepareContext(t.Context(), "DELETE FROM app.t"); code(err) != 1290 {
		t.Errorf("a statement that writes is prepared: %v", err)
	}
	for _, text := range []string{"SELECT app.writes()", "SET tx_read_only=0; SELECT app.writes()", "BEGIN; SELECT app.writes()", "ROLLBACK; SET autocommit=0; SELECT app.writes()", "SET @a=app.writes()"} {
		if _, err := conn.ExecContext(t.Context(), text); code(err) != 1792 {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, text := range []string{"SET autocommit=1", "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED", "START TRANSACTION READ ONLY", "SELECT v FROM app.t", "COMMIT",
		"SET @a=(SELECT v FROM app.t)", "SHOW TABLES FROM app", "EXPLAIN SELECT * FROM app.t", "USE app"} {
		if _, err := conn.ExecContext(t.Context(), text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// A reader that holds locks, of rows or of the table, does not keep the log from being applied.
func testReaderLocks(t *testing.T, c *cluster.Cluster, db, reader *sql.DB, follower bool) {
	tx, err := reader.Begin()
	check(t, err)
	defer func() { _ = tx.Rollback() }() // it may be disconnected
	if got := mustQuery(t, tx, "SELECT app.locks()"); got == "" {
		t.Error("nothing was read")
	}
	if follower { // on the leader, a writer waits for it as for any other
		execute(t, db, "UPDATE app.t SET v=v+1 WHERE id=1")
		awaitEqual(t, c)
		if tx, err = reader.Begin(); err != nil {
			t.Fatal(err)
		}
		mustQuery(t, tx, "SELECT app.locks()")
	}
	execute(t, db, "ALTER TABLE app.t COMMENT='changed'")
	if err := tx.Commit(); err != nil && !errors.Is(err, mysql.ErrInvalidConn) && code(err) == 0 {
		t.Logf("the reader was disconnected: %v", err)
	}
	awaitEqual(t, c)
}

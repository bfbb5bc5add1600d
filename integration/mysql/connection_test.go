package mysql

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	"github.com/go-sql-driver/mysql"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// Connections are told, counted, killed and reset as those of one server are, whichever node they go through.
func TestConnections(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t, "-maxConnections", "12")
	follower, err := c.Follower(within(t, 40*time.Second))
	check(t, err)
	execute(t, open(t, leader), "CREATE DATABASE app", "CREATE TABLE app.t (id INT PRIMARY KEY, v INT)", "INSERT INTO app.t VALUES (1, 1), (2, 2)")
	t.Run("KillFromAnotherNode", func(t *testing.T) { testKillFromAnotherNode(t, leader, follower) })
	t.Run("KillQuery", func(t *testing.T) { testKillQuery(t, leader, follower) })
	t.Run("KillWaiting", func(t *testing.T) { testKillWaiting(t, leader, follower) })
	t.Run("Vanish", func(t *testing.T) { testVanish(t, leader, follower) })
	t.Run("Quit", func(t *testing.T) { testQuit(t, leader, follower) })
	t.Run("WaitTimeout", func(t *testing.T) { testWaitTimeout(t, follower) })
	t.Run("Reset", func(t *testing.T) { testReset(t, follower) })
	t.Run("ProcessKill", func(t *testing.T) { testProcessKill(t, leader, follower) })
	t.Run("TooMany", func(t *testing.T) { testTooMany(t, leader) })
}

// exec executes statements on one connection, of which none may fail.
func exec(t *testing.T, conn *sql.Conn, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if _, err := conn.ExecContext(within(t, 40*time.Second), text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
}

func testKillFromAnotherNode(t *testing.T, leader, follower *cluster.Node) {
	victim, killer := oneConn(t, open(t, follower)), oneConn(t, open(t, leader))
	id := mustQuery(t, victim, "SELECT CONNECTION_ID()")
	exec(t, victim, "BEGIN", "UPDATE app.t SET v=-1 WHERE id=1")
	if got := mustQuery(t, killer, "SHOW PROCESSLIST"); !strings.Contains(";"+got, ";"+id+",root,") {
		t.Errorf("connection %s is not in %s", id, got)
	}
	exec(t, killer, "KILL CONNECTION "+id)
	exec(t, killer, "UPDATE app.t SET v=10 WHERE id=1") // its locks are gone
	if _, err := victim.ExecContext(t.Context(), "COMMIT"); err == nil {
		t.Error("a killed connection commits")
	}
	if _, err := killer.ExecContext(t.Context(), "KILL 999999999"); code(err) != 1094 {
		t.Errorf("killing nobody: %v", err)
	}
	if got := mustQuery(t, killer, "SELECT v FROM app.t WHERE id=1"); got != "10" {
		t.Errorf("got %s", got)
	}
}

func testKillQuery(t *testing.T, leader, follower *cluster.Node) {
	victim, killer := oneConn(t, open(t, leader)), oneConn(t, open(t, follower))
	id := mustQuery(t, victim, "SELECT CONNECTION_ID()")
	exec(t, victim, "BEGIN", "UPDATE app.t SET v=20 WHERE id=2")
	slept := make(chan error, 1)
	go func() {
		_, err := query(context.Background(), victim, "SELECT COUNT(*) FROM app.t WHERE SLEEP(20)=0")
		slept <- err
	}()
	eventually(t, 40*time.Second, func() error {
		if got := mustQuery(t, killer, "SELECT info FROM information_schema.processlist WHERE id="+id); !strings.Contains(got, "SLEEP") {
			return fmt.Errorf("it executes %q", got)
		}
		return nil
	})
	exec(t, killer, "KILL QUERY "+id)
	if err := <-slept; code(err) != 1317 {
		t.Errorf("the killed query: %v", err)
	}
	exec(t, victim, "COMMIT") // of what was done before
	if got := mustQuery(t, killer, "SELECT v FROM app.t WHERE id=2"); got != "20" {
		t.Errorf("got %s", got)
	}
}

// Who waits in the node, for the transactions of others to end, is interrupted too, and goes on.
func testKillWaiting(t *testing.T, leader, follower *cluster.Node) {
	blocker, victim, killer := oneConn(t, open(t, leader)), oneConn(t, open(t, follower)), oneConn(t, open(t, follower))
	id := mustQuery(t, victim, "SELECT CONNECTION_ID()")
	exec(t, blocker, "BEGIN", "UPDATE app.t SET v=v+1 WHERE id=2")
	for _, text := range []string{"ALTER TABLE app.t ADD w INT", "LOCK TABLES app.t WRITE"} {
		waited := make(chan error, 1)
		go func() {
			_, err := victim.ExecContext(within(t, 40*time.Second), text)
			waited <- err
		}()
		eventually(t, 40*time.Second, func() error { // before it waits there is nothing to interrupt
			exec(t, killer, "KILL QUERY "+id)
			select {
			case err := <-waited:
				if code(err) != 1317 {
					t.Errorf("%s: %v", text, err)
				}
				return nil
			default:
				return errors.New("it waits still")
			}
		})
		if got := mustQuery(t, victim, "SELECT 5"); got != "5" {
			t.Errorf("later: %s", got)
		}
	}
	exec(t, blocker, "COMMIT")
	exec(t, victim, "ALTER TABLE app.t ADD w INT", "ALTER TABLE app.t DROP w")
}

// A client that vanishes in a transaction leaves no locks and no changes.
func testVanish(t *testing.T, leader, follower *cluster.Node) {
	for _, n := range []*cluster.Node{leader, follower} {
		var raw net.Conn
		network := "vanish-" + n.Name
		mysql.RegisterDialContext(network, func(ctx context.Context, addr string) (net.Conn, error) {
			var err error
			raw, err = new(net.Dialer).DialContext(ctx, "tcp", addr)
			return raw, err
		})
		db, err := sql.Open("mysql", "root@"+network+"("+n.Addr()+")/app")
		check(t, err)
		exec(t, oneConn(t, db), "BEGIN", "UPDATE t SET v=-1", "INSERT INTO t VALUES (3, 3)")
		check(t, raw.(*net.TCPConn).SetLinger(0))
		check(t, raw.Close())
		exec(t, oneConn(t, open(t, n)), "UPDATE app.t SET v=v+1 WHERE id=1", "DELETE FROM app.t WHERE id=3")
		if got := mustQuery(t, open(t, n), "SELECT COUNT(*) FROM app.t WHERE v<0"); got != "0" {
			t.Errorf("%s: %s rows of a client that is gone", n.Name, got)
		}
	}
}

// testQuit sees that a client that takes its leave is none of those that the server warns of in its log.
func testQuit(t *testing.T, leader, follower *cluster.Node) {
	direct, err := leader.MariaDB.Client()
	check(t, err)
	defer direct.Close()
	aborted := func() int {
		count, err := strconv.Atoi(mustQuery(t, direct, "SELECT variable_value FROM information_schema.global_status WHERE variable_name='Aborted_clients'"))
		check(t, err)
		return count
	}
	const clients = 20
	before := aborted()
	for i := range clients {
		client := oneConn(t, open(t, []*cluster.Node{leader, follower}[i%2]))
		id := mustQuery(t, client, "SELECT CONNECTION_ID()")
		check(t, client.Raw(func(c any) error { return c.(driver.Conn).Close() }))
		awaitAnswer(t, direct, "SELECT COUNT(*) FROM information_schema.processlist WHERE id="+id, "0")
	}
	if after := aborted(); after >= before+clients {
		t.Errorf("of %d clients that quit, the server calls %d aborted", clients, after-before)
	}
	before = aborted()
	db := open(t, leader)
	for range clients {
		execute(t, db, "CREATE OR REPLACE VIEW app.q AS SELECT 1") // each on a connection of its node's own
	}
	if after := aborted(); after >= before+clients/2 {
		t.Errorf("behind %d schema changes, the server calls %d clients aborted", clients, after-before)
	}
}

func testWaitTimeout(t *testing.T, n *cluster.Node) {
	idle, other := oneConn(t, open(t, n)), oneConn(t, open(t, n))
	exec(t, idle, "SET wait_timeout=1", "BEGIN", "UPDATE app.t SET v=-1 WHERE id=1")
	exec(t, other, "UPDATE app.t SET v=30 WHERE id=1") // as soon as the other's time is over
	if _, err := idle.ExecContext(t.Context(), "COMMIT"); err == nil {
		t.Error("a connection commits that was idle for too long")
	}
}

// COM_RESET_CONNECTION and COM_CHANGE_USER begin a new session; what was open is rolled back.
func testReset(t *testing.T, n *cluster.Node) {
	c, err := client.Connect(n.Addr(), "root", "", "app")
	check(t, err)
	defer c.Close()
	command := func(payload ...byte) []byte {
		c.ResetSequence()
		check(t, c.WritePacket(append(make([]byte, 4), payload...)))
		p, err := c.ReadPacket()
		check(t, err)
		if p[0] == 0xfe { // proof by another salt is asked for, which is empty for no password
			check(t, c.WritePacket(make([]byte, 4)))
			p, err = c.ReadPacket()
			check(t, err)
		}
		return p
	}
	for _, reset := range [][]byte{{0x1f}, []byte("\x11root\x00\x00app\x00\x2d\x00mysql_native_password\x00\x00")} {
		for _, text := range []string{"SET @v=1", "SET SESSION TRANSACTION READ ONLY", "CREATE TEMPORARY TABLE app.mine (a INT)", "SET autocommit=0"} {
			_, err := c.Execute(text)
			if err != nil && !strings.Contains(text, "TEMPORARY") { // the session is READ ONLY by then
				t.Fatalf("%s: %v", text, err)
			}
		}
		for _, text := range []string{"START TRANSACTION READ WRITE", "UPDATE app.t SET v=-1"} {
			_, err := c.Execute(text)
			check(t, err)
		}
		if p := command(reset...); p[0] != 0 {
			t.Fatalf("%x: %q", reset[0], p)
		}
		r, err := c.Execute("SELECT @v IS NULL, @@autocommit, @@tx_read_only, (SELECT COUNT(*) FROM app.t WHERE v<0)")
		check(t, err)
		for i, want := range []int64{1, 1, 0, 0} {
			if got, _ := r.GetInt(0, i); got != want {
				t.Errorf("%x: column %d is %d, want %d", reset[0], i, got, want)
			}
		}
		_, err = c.Execute("UPDATE app.t SET v=40 WHERE id=1")
		check(t, err)
	}
	if p := command([]byte("\x11nobody\x00\x00app\x00\x2d\x00mysql_native_password\x00\x00")...); p[0] != 0xff || binary.LittleEndian.Uint16(p[1:]) != 1045 {
		t.Errorf("somebody else: %q", p)
	}
	// Who was logged in before goes on, in a new session that writes through the log as ever.
	for _, text := range []string{"SELECT @v", "UPDATE app.t SET v=41 WHERE id=1", "BEGIN", "UPDATE app.t SET v=42 WHERE id=1", "COMMIT"} {
		if _, err := c.Execute(text); err != nil {
			t.Errorf("after a login that was refused: %s: %v", text, err)
		}
	}
}

// COM_PROCESS_KILL ends also a connection that is idle.
func testProcessKill(t *testing.T, leader, follower *cluster.Node) {
	victim := oneConn(t, open(t, leader))
	id := mustQuery(t, victim, "SELECT CONNECTION_ID()")
	exec(t, victim, "BEGIN", "UPDATE app.t SET v=-1 WHERE id=1")
	c, err := client.Connect(follower.Addr(), "root", "", "app")
	check(t, err)
	defer c.Close()
	number, err := strconv.ParseUint(id, 10, 32)
	check(t, err)
	c.ResetSequence()
	check(t, c.WritePacket(binary.LittleEndian.AppendUint32([]byte{0, 0, 0, 0, 0x0c}, uint32(number))))
	p, err := c.ReadPacket()
	if err != nil || p[0] != 0 {
		t.Fatalf("%q, %v", p, err)
	}
	if _, err := victim.ExecContext(t.Context(), "COMMIT"); err == nil {
		t.Error("a killed connection commits")
	}
}

func testTooMany(t *testing.T, n *cluster.Node) {
	db := open(t, n)
	var held []*sql.Conn
	defer func() {
		for _, c := range held {
			c.Close()
		}
	}()
	for range 20 {
		conn, err := db.Conn(within(t, 40*time.Second))
		if err != nil {
			if code(err) != 1040 {
				t.Errorf("too many connections: %v", err)
			}
			return
		}
		held = append(held, conn)
	}
	t.Error("20 connections are served where 12 may be")
}

package mysql

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	"github.com/go-mysql-org/go-mysql/mysql"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// awaitClients waits until so many clients are connected to a node.
func awaitClients(t *testing.T, n *cluster.Node, want int) {
	t.Helper()
	eventually(t, 60*time.Second, func() error {
		got, err := strconv.Atoi(metric(t, n, "nexus_mysql_clients"))
		if err == nil && got != want {
			err = fmt.Errorf("%d clients are connected to %s, want %d", got, n.Name, want)
		}
		return err
	})
}

// TestLimits lets hostile clients run into the limits of live nodes: of the leader, and of a follower that relays them.
// How many may come, and for how long they may be idle, is in TestConnections.
func TestLimits(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t, "-maxRequest", "200000", "-slowClientTimeout", "500ms", "-handshakeTimeout", "1s")
	follower, err := c.Follower(within(t, 40*time.Second))
	check(t, err)
	db := open(t, leader)
	execute(t, db, "CREATE DATABASE limits", "CREATE TABLE limits.t (id INT PRIMARY KEY, v LONGTEXT)")
	check(t, db.Close())
	for name, n := range map[string]*cluster.Node{"leader": leader, "follower": follower} {
		t.Run(name, func(t *testing.T) {
			t.Run("SaysNothing", func(t *testing.T) { testSilent(t, n, nil) })
			t.Run("SendsALot", func(t *testing.T) { testSilent(t, n, append([]byte{0xff, 0xff, 0xff, 1}, make([]byte, 1<<20)...)) })
			t.Run("TooLarge", func(t *testing.T) { testTooLarge(t, n) })
			t.Run("DoesNotRead", func(t *testing.T) { testDoesNotRead(t, n) })
			db := open(t, n)
			defer db.Close()
			if got := mustQuery(t, db, "SELECT COUNT(*) FROM limits.t"); got != "0" {
				t.Errorf("afterwards there are %s rows", got)
			}
		})
	}
}

// testSilent connects, sends what is no login, and waits to be closed.
func testSilent(t *testing.T, n *cluster.Node, login []byte) {
	t.Helper()
	conn, err := net.Dial("tcp", n.Addr())
	check(t, err)
	defer conn.Close()
	check(t, conn.SetDeadline(time.Now().Add(60*time.Second)))
	go func() { _, _ = conn.Write(login) }() // it may be closed before all is sent
	if got, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) || got > 1000 {
		t.Errorf("got %d bytes, %v", got, err)
	}
}

func testTooLarge(t *testing.T, n *cluster.Node) {
	conn, err := client.Connect(n.Addr(), "root", "", "")
	check(t, err)
	defer conn.Close()
	if _, err := conn.Execute("INSERT INTO limits.t VALUES (1, '" + strings.Repeat("x", 300_000) + "')"); err == nil {
		t.Error("a statement of 300 kB was executed")
	}
	if err := conn.Ping(); err == nil {
		t.Error("the connection is kept")
	}
}

// testDoesNotRead asks for a result that does not fit into any buffer, and does not take it.
func testDoesNotRead(t *testing.T, n *cluster.Node) {
	awaitClients(t, n, 0)
	conn, err := client.Connect(n.Addr(), "root", "", "")
	check(t, err)
	defer conn.Close()
	conn.ResetSequence()
	check(t, conn.WritePacket(append(make([]byte, 4), "\x03SELECT REPEAT('x', 1000000) FROM limits.seq_1_to_1000"...)))
	awaitClients(t, n, 0)
}

// TestRateLimit: a client that sends more statements a second than it may is held up, also where it puts them into one
// text, through the leader and through a follower. Others go on meanwhile.
func TestRateLimit(t *testing.T) {
	t.Parallel()
	const perSecond = 20
	c, leader := startCluster(t, "-maxClientRate", strconv.Itoa(perSecond))
	follower, err := c.Follower(within(t, 40*time.Second))
	check(t, err)
	for name, n := range map[string]*cluster.Node{"leader": leader, "follower": follower} {
		for what, text := range map[string]string{"statements": "SELECT 1", "texts of several statements": "SELECT 1; SELECT 2; SELECT 3; SELECT 4"} {
			greedy, err := client.Connect(n.Addr(), "root", "", "", func(c *client.Conn) error {
				c.SetCapability(mysql.CLIENT_MULTI_STATEMENTS)
				return nil
			})
			check(t, err)
			if _, err := greedy.Execute("SELECT 1"); err != nil {
				t.Fatal(err)
			}
			statements := 1
			began := time.Now()
			for statements < 3*perSecond {
				if strings.Contains(text, ";") {
					_, err = greedy.ExecuteMultiple(text, func(_ *mysql.Result, err error) { check(t, err) })
				} else {
					_, err = greedy.Execute(text)
				}
				check(t, err)
				statements += 1 + strings.Count(text, ";")
			}
			if took, least := time.Since(began), (3*perSecond-2-perSecond)*time.Second/perSecond; took < least {
				t.Errorf("%s, %s: %d took %v, want %v at least", name, what, statements, took, least)
			}
			check(t, greedy.Close())
		}
	}
	if got := metric(t, leader, "nexus_mysql_clients_slowed_total"); got == "0" {
		t.Error("the metric does not say that a client was slowed down")
	}
}

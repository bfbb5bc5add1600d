package mysql

import (
	"bytes"
	"database/sql"
	"encoding/binary"
	"fmt"
	"net"
	osexec "os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	gomysql "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/nexus-replication/nexus/proxy/mysql/wire"
)

// raw is a connection of which a test writes the packets.
type raw struct {
	t *testing.T
	c *client.Conn
}

func openRaw(t *testing.T, addr string) *raw {
	t.Helper()
	c, err := client.Connect(addr, "root", "", "")
	check(t, err)
	t.Cleanup(func() { c.Close() })
	return &raw{t, c}
}

func (r *raw) send(payload ...byte) {
	r.t.Helper()
	r.c.ResetSequence()
	check(r.t, r.c.WritePacket(append(make([]byte, 4), payload...)))
}

func (r *raw) read() []byte {
	r.t.Helper()
	p, err := r.c.ReadPacket()
	check(r.t, err)
	if len(p) > 0 && p[0] == 0xff {
		r.t.Fatalf("%q", p)
	}
	return append([]byte(nil), p...)
}

// until reads packets up to one that ends rows or columns, and returns how many came before, and its status.
func (r *raw) until() (packets int, status uint16) {
	r.t.Helper()
	for {
		p := r.read()
		if p[0] == 0xfe && len(p) < 9 {
			return packets, binary.LittleEndian.Uint16(p[3:])
		}
		packets++
	}
}

// A cursor gives its rows piece by piece, outside and inside of a transaction, and between other statements.
func TestCursors(t *testing.T) {
	t.Parallel()
	_, leader := startCluster(t)
	db := open(t, leader)
	execute(t, db, "CREATE DATABASE app", "CREATE TABLE app.t (id INT PRIMARY KEY)", "INSERT INTO app.t VALUES (1),(2),(3),(4),(5)",
		"CREATE PROCEDURE app.p() BEGIN DECLARE n INT; DECLARE c CURSOR FOR SELECT id FROM app.t; OPEN c; FETCH c INTO n; SELECT n, id FROM app.t; FETCH c INTO n; SELECT n; CLOSE c; END")
	r := openRaw(t, leader.Addr())
	const cursor, lastRow = 1 << 6, 1 << 7
	for _, around := range [][]string{{"DO 1", "DO 2"}, {"BEGIN", "COMMIT"}, {"INSERT INTO app.t VALUES (6)", "DELETE FROM app.t WHERE id>5"}} {
		_, err := r.c.Execute("DO 0")
		check(t, err)
		r.send([]byte("\x16SELECT id FROM app.t WHERE id<6 ORDER BY id")...)
		id := r.read()[1:5]
		r.until() // columns
		if around[0] == "BEGIN" {
			_, err := r.c.Execute(around[0])
			check(t, err)
		}
		r.send(append(append([]byte{0x17}, id...), 1, 1, 0, 0, 0)...) // with a read-only cursor
		if p := r.read(); p[0] != 1 {
			t.Fatalf("%d columns", p[0])
		}
		if _, status := r.until(); status&cursor == 0 {
			t.Fatalf("no cursor: status %x", status)
		}
		if around[0] != "BEGIN" {
			_, err := r.c.Execute(around[0])
			check(t, err)
		}
		got := []int{}
		for range 3 {
			r.send(append(append([]byte{0x1c}, id...), 2, 0, 0, 0)...)
			n, status := r.until()
			got = append(got, n)
			if (len(got) == 3) != (status&lastRow != 0) {
				t.Errorf("%q: status %x after %v", around[0], status, got)
			}
		}
		if got[0] != 2 || got[1] != 2 || got[2] != 1 {
			t.Errorf("%q: fetched %v", around[0], got)
		}
		r.send(append([]byte{0x19}, id...)...)
		_, err = r.c.Execute(around[1])
		check(t, err)
	}
	// A cursor inside of a procedure is not one of the client.
	if got := mustQuery(t, db, "CALL app.p()"); got != "1,1;1,2;1,3;1,4;1,5" {
		t.Errorf("CALL: %s", got)
	}
	if got := mustQuery(t, db, "SELECT COUNT(*) FROM app.t"); got != "5" {
		t.Errorf("%s rows", got)
	}
}

// A client has no part in the statements that its node has prepared on the same connection: whatever it says to their ids is answered as for those that there are not.
func TestStatementsOfTheNode(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	alone := startServerAlone(t)
	var answers [2][]string
	for i, addr := range []string{leader.Addr(), alone.Addr()} {
		r := openRaw(t, addr)
		write := func(n int) {
			if got := r.say(fmt.Sprintf("INSERT INTO app.t VALUES (%d)", n)); strings.HasPrefix(got, "ERROR") {
				t.Fatalf("%s: %s", addr, got)
			}
		}
		r.say("CREATE DATABASE app")
		r.say("CREATE TABLE app.t (id INT PRIMARY KEY)")
		for n := range 20 {
			write(n)
		}
		for id := uint32(0); id < 20; id++ {
			name := binary.LittleEndian.AppendUint32(nil, id)
			say := func(command byte, rest ...byte) { r.send(slices.Concat([]byte{command}, name, rest)...) }
			for _, ask := range []func(){
				func() { say(wire.ComStmtReset) }, func() { say(wire.ComStmtFetch, 1, 0, 0, 0) }, func() { say(wire.ComStmtExecute, 0, 1, 0, 0, 0) },
			} {
				ask()
				answers[i] = append(answers[i], r.answers())
			}
			say(wire.ComStmtSendLongData, 0, 0, 'x')
			say(wire.ComStmtClose)
		}
		for n := range 20 {
			write(100 + n)
		}
	}
	if got, want := answers[0], answers[1]; !slices.Equal(got, want) {
		t.Errorf("%q\nwant %q", got, want)
	}
	awaitEqual(t, c)
}

// What MariaDB's own clients are told about the type of a column.
func TestExtendedMetadata(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	execute(t, open(t, leader), "CREATE DATABASE app", "CREATE TABLE app.t (id INT PRIMARY KEY, j JSON)")
	for _, n := range []string{leader.Addr(), other(c, leader).Addr()} {
		host, port, _ := strings.Cut(n, ":")
		cmd := osexec.CommandContext(within(t, 40*time.Second), "mariadb", "--no-defaults", "-h"+host, "-P"+port, "-uroot", "--column-type-info", "-t", "-e",
			"SELECT j FROM app.t; CREATE TABLE app.u (id INT); SHOW WARNINGS; ANALYZE TABLE app.u; INSERT INTO app.u VALUES (1); SELECT * FROM app.u; DROP TABLE app.u")
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "format=json") || !strings.Contains(string(out), "analyze") {
			t.Errorf("%v: %s", err, out)
		}
	}
}

// Compression is between a client and the leader, through whatever node.
func TestCompression(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	execute(t, open(t, leader), "CREATE DATABASE app", "CREATE TABLE app.t (id INT PRIMARY KEY, v LONGTEXT)")
	for i, n := range []string{leader.Addr(), other(c, leader).Addr()} {
		db, err := sql.Open("mysql", "root@tcp("+n+")/app?compress=true&interpolateParams=true")
		check(t, err)
		t.Cleanup(func() { db.Close() })
		long := strings.Repeat("compressible ", 2_000_000) // more than one packet
		_, err = db.ExecContext(within(t, 60*time.Second), "INSERT INTO t VALUES (?, ?)", i, long)
		check(t, err)
		var got string
		check(t, db.QueryRowContext(within(t, 60*time.Second), "SELECT v FROM t WHERE id=?", i).Scan(&got))
		if got != long {
			t.Errorf("%d bytes came back of %d", len(got), len(long))
		}
		host, port, _ := strings.Cut(n, ":")
		out, err := osexec.CommandContext(within(t, 40*time.Second), "mariadb", "--no-defaults", "-h"+host, "-P"+port, "-uroot", "-C", "-BN", "-e",
			"SHOW STATUS LIKE 'Compression'; SELECT REPEAT('a', 1000), LENGTH(v) FROM app.t WHERE id="+fmt.Sprint(i)).CombinedOutput()
		if err != nil || !strings.HasSuffix(strings.TrimSpace(string(out)), fmt.Sprint(len(long))) {
			t.Errorf("%v: %.200s", err, out)
		}
	}
	awaitEqual(t, c)
}

// What a client wants to be told about its session it is told as by the server itself, and nothing of what the node does there.
func TestSessionTracking(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	execute(t, open(t, leader), "CREATE DATABASE app", "CREATE TABLE app.t (id INT PRIMARY KEY)")
	tracking := func(addr string) *raw {
		c, err := client.Connect(addr, "root", "", "", func(c *client.Conn) error {
			c.SetCapability(gomysql.CLIENT_SESSION_TRACK)
			return nil
		})
		check(t, err)
		t.Cleanup(func() { c.Close() })
		return &raw{t, c}
	}
	for _, addr := range []string{leader.Addr(), other(c, leader).Addr()} {
		through, direct := tracking(addr), tracking(leader.MariaDB.Addr())
		for _, text := range []string{
			"USE app", "SET time_zone='+01:00'", "SET NAMES latin1", "SET autocommit=0", "SET autocommit=1", "SET session_track_system_variables='*'",
			"SET sql_mode='ANSI', @a=1", "SET session_track_transaction_info=OFF", "SET SESSION sort_buffer_size=300000", "USE information_schema",
		} {
			through.send(append([]byte{3}, text...)...)
			direct.send(append([]byte{3}, text...)...)
			if got, want := through.read(), direct.read(); !bytes.Equal(got, want) {
				t.Errorf("%s:\n got %q\nwant %q", text, got, want)
			}
		}
		for _, text := range []string{
			"REPLACE INTO app.t VALUES (1)", "BEGIN", "REPLACE INTO app.t VALUES (2)", "COMMIT", "CREATE OR REPLACE TABLE app.u (a INT)", "SET SESSION TRANSACTION READ ONLY",
			"SET SESSION TRANSACTION READ WRITE", "BEGIN", "ROLLBACK", "CREATE OR REPLACE TABLE app.u AS SELECT 1", "DO 1",
		} {
			through.send(append([]byte{3}, text...)...)
			if p := through.read(); p[0] != 0 || bytes.Contains(p, []byte("read_only")) || bytes.Contains(p, []byte("nexus")) {
				t.Errorf("%s: %q", text, p)
			}
		}
	}
}

// Attributes of queries, which would stand before their texts, are not offered, as MariaDB does not.
func TestQueryAttributesAreNotOffered(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	for _, addr := range []string{leader.Addr(), other(c, leader).Addr()} {
		conn, err := net.Dial("tcp", addr)
		check(t, err)
		t.Cleanup(func() { conn.Close() })
		p, err := wire.NewConn(conn, 1<<16).ReadPacket()
		check(t, err)
		g, err := wire.ParseGreeting(p)
		check(t, err)
		if g.Capabilities&wire.CapQueryAttributes != 0 {
			t.Errorf("%s offers %x", addr, g.Capabilities)
		}
	}
}

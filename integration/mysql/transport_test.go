package mysql

import (
	"fmt"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// Everything that a node says to its server, and what its clients do, goes through TLS where the server lets nobody in
// without, and a server that somebody else vouches for is not used.
func TestTLSToTheServer(t *testing.T) {
	t.Parallel()
	certs, others := t.TempDir(), t.TempDir()
	for _, dir := range []string{certs, others} {
		check(t, cluster.WriteCertificates(dir, "127.0.0.1"))
	}
	pem := func(name string) string { return filepath.Join(certs, name+".pem") }
	secure := func(n *cluster.Node) {
		n.MariaDB.Args = append(n.MariaDB.Args, "--ssl-cert="+pem("node"), "--ssl-key="+pem("node-key"), "--ssl-ca="+pem("ca"), "--require-secure-transport=ON")
		check(t, n.MariaDB.Start())
	}
	c := newCluster(t, cluster.Options{Flags: []string{"-mysqlTLS", "-mysqlCA", pem("ca"), "-nexus-snapshot-count", "5"}})
	for _, n := range c.Nodes {
		secure(n)
	}
	for _, n := range c.Nodes {
		check(t, n.Start())
	}
	for _, n := range c.Nodes {
		eventually(t, 60*time.Second, func() error { return readyz(n) })
	}
	n := c.Nodes[0]
	db := open(t, n)
	execute(t, db, "CREATE DATABASE d", "CREATE TABLE d.t (id INT PRIMARY KEY, v LONGTEXT)")
	for i, n := range c.Nodes {
		db := open(t, n)
		execute(t, db, fmt.Sprintf("INSERT INTO d.t VALUES (%d, REPEAT('x', 1000000))", i))
		if got := mustQuery(t, db, "SELECT COUNT(*) FROM d.t"); got != fmt.Sprint(i+1) {
			t.Errorf("%s has %s rows", n.Name, got)
		}
		if got := mustQuery(t, db, "SELECT VARIABLE_VALUE<>'' FROM information_schema.SESSION_STATUS WHERE VARIABLE_NAME='Ssl_cipher'"); got != "1" {
			t.Errorf("%s: the session of a client has no TLS to the server: %q", n.Name, got)
		}
	}
	for i := range 20 {
		execute(t, db, fmt.Sprintf("INSERT INTO d.t VALUES (%d, 'y')", 10+i))
	}

	joining, err := c.AddNode() // by a snapshot
	check(t, err)
	secure(joining)
	check(t, joining.Start())
	if out, err := repl(t, n, "addNode", joining.URL()); err != nil {
		t.Fatalf("%v: %s\n%s", err, out, joining.Output())
	}
	if got := mustQuery(t, open(t, joining), "SELECT COUNT(*) FROM d.t"); got != "23" {
		t.Errorf("the new node has %s rows", got)
	}

	wrong := c.Nodes[2]
	args := wrong.Args
	for want, more := range map[string][]string{
		"signed by unknown authority":          {"-mysqlCA", filepath.Join(others, "ca.pem")},
		"start: open the backend: connect to ": {"-mysqlTLS=false", "-mysqlCA="},
	} {
		wrong.Args = append(append([]string{}, args...), more...)
		check(t, wrong.Kill())
		check(t, wrong.Start())
		eventually(t, 60*time.Second, func() error {
			if !strings.Contains(wrong.Output(), want) {
				return fmt.Errorf("%q is not in\n%s", want, wrong.Output())
			}
			return nil
		})
	}
	wrong.Args = args
	check(t, wrong.Kill())
	check(t, wrong.StartReady(within(t, 60*time.Second)))
	if out, err := repl(t, n, "verify"); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// The node's own account may be one without a password, which the server knows by the socket. Clients do not become it.
func TestSocketToTheServer(t *testing.T) {
	t.Parallel()
	me, err := user.Current()
	check(t, err)
	c := newCluster(t, cluster.Options{Size: 1})
	n := c.Nodes[0]
	check(t, n.MariaDB.StartReady(within(t, 60*time.Second)))
	server, err := n.MariaDB.Client()
	check(t, err)
	execute(t, server, "SET sql_log_bin=0; CREATE OR REPLACE USER '"+me.Username+"'@localhost IDENTIFIED VIA unix_socket; GRANT ALL ON *.* TO '"+me.Username+"'@localhost WITH GRANT OPTION; "+
		"CREATE OR REPLACE USER '"+me.Username+"'@'127.0.0.1' IDENTIFIED VIA unix_socket; GRANT ALL ON *.* TO '"+me.Username+"'@'127.0.0.1'; "+
		"CREATE OR REPLACE USER app@'%' IDENTIFIED BY 'app-password'; GRANT ALL ON d.* TO app@'%'; CREATE DATABASE d")
	check(t, server.Close())
	n.Args = append(without(n.Args, "-mysqlConnUrl"), "-mysqlConnUrl", me.Username+"@tcp("+n.BackendAddr()+")/", "-mysqlSocket", filepath.Join(n.MariaDB.Dir, "s"))
	check(t, n.Start())
	eventually(t, 60*time.Second, func() error { return readyz(n) })
	db := openAs(t, n, "app", "app-password", "d", nil)
	execute(t, db, "CREATE TABLE t (id INT PRIMARY KEY)", "INSERT INTO t VALUES (1)")
	if got := mustQuery(t, db, "SELECT COUNT(*) FROM t"); got != "1" {
		t.Errorf("%s rows", got)
	}
	if err := openAs(t, n, me.Username, "", "", nil).PingContext(within(t, 40*time.Second)); code(err) != 1698 && code(err) != 1045 {
		t.Errorf("a client logs in as the account of the node: %v", err)
	}
}

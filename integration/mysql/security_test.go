package mysql

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"fmt"
	"net/http"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/nexus-replication/nexus/integration/cluster"
	"github.com/nexus-replication/nexus/integration/cluster/clustertest"
)

// TestSecurity runs a cluster in which everything is protected: TLS between nodes, also for clients that a follower hands
// over, for clients and for operators, with tokens and accounts.
func TestSecurity(t *testing.T) {
	t.Parallel()
	certs := t.TempDir()
	check(t, cluster.WriteCertificates(certs, "127.0.0.1"))
	pem := func(name string) string { return filepath.Join(certs, name+".pem") }
	c := startSecure(t, []string{"NEXUS_GRPC_TOKEN=admin-token", "NEXUS_GRPC_READ_TOKEN=read-token", "NEXUS_METRICS_TOKEN=metrics-token"},
		"-nexus-peer-cert", pem("node"), "-nexus-peer-key", pem("node-key"), "-nexus-peer-ca", pem("ca"),
		"-proxyCert", pem("node"), "-proxyKey", pem("node-key"), "-grpcCert", pem("node"), "-grpcKey", pem("node-key"),
		"-bind", "0.0.0.0")

	root := openAs(t, c.Nodes[0], "root", "root-password", "", clientTLS(t, certs))
	execute(t, root, "CREATE DATABASE app", "CREATE TABLE app.t (id INT PRIMARY KEY, v LONGTEXT)",
		"CREATE USER 'app'@'%' IDENTIFIED BY 'app-password'", "GRANT ALL ON app.* TO 'app'@'%'")
	for i, n := range c.Nodes { // the leader, and followers that hand over
		db := openAs(t, n, "app", "app-password", "app", clientTLS(t, certs))
		if _, err := db.ExecContext(within(t, 40*time.Second), "INSERT INTO t VALUES (?, ?)", i, strings.Repeat("x", 1<<20)); err != nil {
			t.Fatalf("%s: %.200s", n.Name, err.Error())
		}
		if got := mustQuery(t, db, "SELECT COUNT(*), MAX(LENGTH(v)) FROM t"); got != fmt.Sprintf("%d,%d", i+1, 1<<20) {
			t.Errorf("%s: got %s", n.Name, got)
		}
		for name, db := range map[string]*sql.DB{
			"a wrong password":              openAs(t, n, "app", "wrong", "", clientTLS(t, certs)),
			"no TLS":                        openAs(t, n, "app", "app-password", "", nil),
			"without knowing the authority": openAs(t, n, "app", "app-password", "", &tls.Config{ServerName: "127.0.0.1"}),
			"the certificate of nothing":    openAs(t, n, "app", "app-password", "", &tls.Config{ServerName: "127.0.0.1", InsecureSkipVerify: true, NextProtos: []string{"nexus-relay"}}),
		} {
			err := db.PingContext(within(t, 40*time.Second))
			want := map[string]uint16{"a wrong password": 1045, "no TLS": 3159}[name]
			if err == nil || want != 0 && code(err) != want {
				t.Errorf("%s, %s: %v", n.Name, name, err)
			}
		}
	}

	n := c.Nodes[0]
	for name, tc := range map[string]struct{ token, verb, want string }{
		"the token of an operator":      {"admin-token", "listNodes", "Current cluster members:"},
		"somebody looks":                {"read-token", "status", "Serving:"},
		"somebody who may look acts":    {"read-token", "transferLeader", "repl: the token is good for looking only"},
		"a wrong token":                 {"wrong", "status", "repl: the token is not one of this node's"},
		"no token":                      {"", "status", "repl: this node asks for a token"},
		"an operator executes":          {"admin-token", "mysql save INSERT INTO app.t VALUES (100, 'saved'); SELECT 5 AS five", "'1 row affected\n\nfive\n5'"},
		"somebody who may look changes": {"read-token", "mysql save DELETE FROM app.t", "repl: the token is good for looking only"},
	} {
		args := strings.SplitN(tc.verb, " ", 3)
		if out := replWith(t, n, []string{"NEXUS_GRPC_TOKEN=" + tc.token, "NEXUS_TLS_CA=" + pem("ca")}, args...); !strings.Contains(out, tc.want) {
			t.Errorf("%s: %q, want %q", name, out, tc.want)
		}
	}
	awaitEqual(t, c)
	clustertest.CheckMetricsToken(t, n, "metrics-token")
	for _, n := range c.Nodes {
		for _, secret := range []string{"root-password", "app-password", "admin-token", "read-token", "metrics-token"} {
			if strings.Contains(n.Output(), secret) {
				t.Errorf("%s has written %q to its log", n.Name, secret)
			}
		}
	}
}

// Clients get the certificate that lies there when they come, and may do without TLS where that is allowed.
func TestCertificateIsReadAgain(t *testing.T) {
	t.Parallel()
	peers, clients, later := t.TempDir(), t.TempDir(), t.TempDir()
	for _, dir := range []string{peers, clients, later} {
		check(t, cluster.WriteCertificates(dir, "127.0.0.1"))
	}
	pem := func(dir, name string) string { return filepath.Join(dir, name+".pem") }
	c := startSecure(t, nil,
		"-nexus-peer-cert", pem(peers, "node"), "-nexus-peer-key", pem(peers, "node-key"), "-nexus-peer-ca", pem(peers, "ca"),
		"-proxyCert", pem(clients, "node"), "-proxyKey", pem(clients, "node-key"), "-proxyTLSOptional")
	for _, n := range c.Nodes {
		check(t, openAs(t, n, "root", "root-password", "", clientTLS(t, clients)).PingContext(within(t, 40*time.Second)))
		check(t, openAs(t, n, "root", "root-password", "", nil).PingContext(within(t, 40*time.Second)))
	}
	replace := func(file string) {
		t.Helper()
		data, err := os.ReadFile(pem(later, file))
		check(t, err)
		check(t, os.WriteFile(pem(clients, file), data, 0o600))
	}
	const unusable = `nexus_certificate_unusable{port="proxy"}`
	replace("node-key")
	for _, n := range c.Nodes { // the last pair that fits is shown
		check(t, openAs(t, n, "root", "root-password", "", clientTLS(t, clients)).PingContext(within(t, 40*time.Second)))
		if got := clustertest.Metric(t, n, unusable); got != "1" {
			t.Errorf("%s: %s is %s while only the key was replaced", n.Name, unusable, got)
		}
	}
	replace("node")
	for _, n := range c.Nodes {
		check(t, openAs(t, n, "root", "root-password", "", clientTLS(t, later)).PingContext(within(t, 40*time.Second)))
		if err := openAs(t, n, "root", "root-password", "", clientTLS(t, clients)).PingContext(within(t, 40*time.Second)); err == nil {
			t.Errorf("%s shows the old certificate", n.Name)
		}
	}
}

// startSecure returns a cluster whose node URLs are https and whose servers' account root has a password. It serves.
func startSecure(t *testing.T, env []string, flags ...string) *cluster.Cluster {
	t.Helper()
	c := newCluster(t, cluster.Options{Flags: flags})
	var urls []string
	for _, n := range c.Nodes {
		urls = append(urls, strings.Replace(n.URL(), "http:", "https:", 1))
	}
	for i, n := range c.Nodes {
		check(t, n.MariaDB.StartReady(within(t, 40*time.Second)))
		db, err := n.MariaDB.Client()
		check(t, err)
		execute(t, db, "SET sql_log_bin=0; SET PASSWORD FOR root@localhost=PASSWORD('root-password'); "+
			"CREATE OR REPLACE USER root@'127.0.0.1' IDENTIFIED BY 'root-password'; GRANT ALL ON *.* TO root@'127.0.0.1' WITH GRANT OPTION")
		db.Close()
		n.MariaDB.Password = "root-password"
		n.Args = append(n.Args, "-nexus-cluster-url", strings.Join(urls, ","), "-nexus-node-url", urls[i])
		n.Env = append([]string{"NEXUS_MYSQL_CONN_URL=root:root-password@tcp(" + n.BackendAddr() + ")/nexus"}, env...)
		n.Args = without(n.Args, "-mysqlConnUrl")
		check(t, n.Start())
	}
	for _, n := range c.Nodes {
		eventually(t, 40*time.Second, func() error { return readyz(n) })
	}
	return c
}

// without returns args without a flag and its value.
func without(args []string, flag string) []string {
	for i, a := range args {
		if a == flag {
			return append(append([]string{}, args[:i]...), args[i+2:]...)
		}
	}
	return args
}

func readyz(n *cluster.Node) error {
	resp, err := http.Get("http://" + n.MetricsAddr() + "/readyz")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", n.Name, resp.Status)
	}
	return nil
}

// openAs returns connections of an account's to a node.
func openAs(t *testing.T, n *cluster.Node, user, password, database string, secure *tls.Config) *sql.DB {
	t.Helper()
	cfg := mysql.NewConfig()
	cfg.Net, cfg.Addr, cfg.User, cfg.Passwd, cfg.DBName = "tcp", n.Addr(), user, password, database
	cfg.MultiStatements, cfg.Timeout, cfg.ReadTimeout = true, 2*time.Second, 20*time.Second
	cfg.TLS = secure
	connector, err := mysql.NewConnector(cfg)
	check(t, err)
	db := sql.OpenDB(connector)
	t.Cleanup(func() { db.Close() })
	return db
}

// clientTLS trusts the authority in dir.
func clientTLS(t *testing.T, dir string) *tls.Config {
	t.Helper()
	ca, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	check(t, err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	return &tls.Config{RootCAs: roots, ServerName: "127.0.0.1"}
}

// replWith returns what repl prints, on either stream, with env added to the environment.
func replWith(t *testing.T, n *cluster.Node, env []string, args ...string) string {
	t.Helper()
	cmd := osexec.CommandContext(within(t, 40*time.Second), replBinary, append([]string{n.GRPCAddr()}, args...)...)
	cmd.Env = append(os.Environ(), env...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	_ = cmd.Run() // some are to fail; what they say is what counts
	return out.String()
}

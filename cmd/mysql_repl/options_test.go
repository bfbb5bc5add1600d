package main

import (
	"bytes"
	"context"
	"testing"

	"github.com/nexus-replication/nexus/cmd/internal/node"
	"github.com/nexus-replication/nexus/cmd/internal/settings"
	"github.com/nexus-replication/nexus/cmd/internal/settings/settingstest"
)

func noEnv(string) string { return "" }

func args(extra ...string) []string {
	return append([]string{
		"-nexus-cluster-url", "http://127.0.0.1:9031,http://127.0.0.1:9032,http://127.0.0.1:9033", "-nexus-node-url", "http://127.0.0.1:9031",
	}, extra...)
}

// The predecessor's command line is understood, and nodes on one machine get ports of their own.
func TestOptions(t *testing.T) {
	o := newOptions()
	if err := o.Settings().Parse(args("-grpcPort=9131", "-mysqlConnUrl", "root:pa:ss@tcp(127.0.0.1:33061)/nexus?autocommit=false"), noEnv); err != nil {
		t.Fatal(err)
	}
	if err := o.Complete(); err != nil {
		t.Fatal(err)
	}
	if o.backend.User != "root" || o.backend.Passwd != "pa:ss" || o.backend.Addr != "127.0.0.1:33061" || o.backend.DBName != "nexus" {
		t.Errorf("got %+v", o.backend)
	}
	if o.ProxyPort != 7101 || o.MetricsPort != 9231 || o.advertised() != "127.0.0.1:7101" {
		t.Errorf("ports %d and %d, advertised %s", o.ProxyPort, o.MetricsPort, o.advertised())
	}
}

func TestOptionsErrors(t *testing.T) {
	const want = `, want USER:PASSWORD@tcp(HOST:PORT)/DATABASE, such as "root:root@tcp(127.0.0.1:3306)/nexus"`
	for _, tc := range []struct {
		args []string
		want string
	}{
		{args("-mysqlConnUrl", "root:secret@unix(/tmp/s)/nexus"), `mysql_repl: flag -mysqlConnUrl is a unix socket, which would take clients for the user of this process, want USER:PASSWORD@tcp(HOST:PORT)/DATABASE for their sessions, and the socket as -mysqlSocket for the node's own`},
		{args("-mysqlCA", "ca.pem"), `mysql_repl: flag -mysqlTLS is not set, but files for it are given, want both or neither`},
		{args("-mysqlTLS", "-mysqlCert", "c.pem"), `mysql_repl: flag -mysqlCert and -mysqlKey go together, want both or neither`},
		{args("-mysqlConnUrl", "tcp(127.0.0.1:3306)/nexus"), `mysql_repl: flag -mysqlConnUrl names no user, or no address of TCP` + want},
		{args("-mysqlConnUrl", "root:secret"), `mysql_repl: flag -mysqlConnUrl cannot be read: invalid DSN: missing the slash separating the database name` + want},
		{args("-nexus-node-url", "https://127.0.0.1:9031"), `mysql_repl: flag -nexus-node-url: "https://127.0.0.1:9031", want http://127.0.0.1:9031: URLs are https with -nexus-peer-cert, http without`},
		{args("-bind", "0.0.0.0"), `mysql_repl: flag -bind "0.0.0.0" opens to other machines, for anybody, the port of the node URL, want -nexus-peer-cert, -nexus-peer-key and -nexus-peer-ca, or -insecure where the network lets nobody else in`},
		{args("-bind", "0.0.0.0", "-nexus-node-url", "https://127.0.0.1:9031", "-nexus-peer-cert", "c", "-nexus-peer-key", "k", "-nexus-peer-ca", "a"),
			`mysql_repl: flag -bind "0.0.0.0" opens to other machines, for anybody, the port of -proxyPort, want passwords or certificates for its clients, or -insecure where the network lets nobody else in`},
		{args("-proxyCert", "c", "-proxyKey", "k"), `mysql_repl: flag -proxyCert is given without -nexus-peer-cert, want both: a follower hands its clients over to the leader, which would not be encrypted`},
		{args("-proxyTLSOptional"), `mysql_repl: flag -proxyTLSOptional is given without -proxyCert, want both or neither`},
		{args("-maxConnections", "0"), `mysql_repl: flag -maxConnections: "0" is not a number from 1 to 100000`},
	} {
		var stdout, stderr bytes.Buffer
		code := realMain(context.Background(), tc.args, noEnv, &stdout, &stderr)
		if code != node.ExitUsage || stderr.String() != tc.want+"\n" {
			t.Errorf("%q: exit %d\n got %s\nwant %s", tc.args, code, stderr.String(), tc.want)
		}
	}
}

// What is made from the settings shows all of them; "go test ./cmd/mysql_repl -update" makes it.
func TestMadeFromSettings(t *testing.T) {
	settingstest.Sample(t, "../../deploy/mysql_repl.sample.yaml", func() *settings.Set { return newOptions().Settings() },
		map[string]string{"nexus-cluster-url": `["http://a:1", "http://b:1"]`, "nexus-node-url": `"http://a:1"`})
	settingstest.Compare(t, "../../deploy/man/mysql_repl.8", newOptions().Settings().WriteMan)
}

package main

import (
	"bytes"
	"context"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/cmd/internal/node"
	"github.com/nexus-replication/nexus/cmd/internal/settings"
	"github.com/nexus-replication/nexus/cmd/internal/settings/settingstest"
	"github.com/nexus-replication/nexus/integration/cluster"
)

func noEnv(string) string { return "" }

// seedArgs are those of the predecessor's README.
func seedArgs(more ...string) []string {
	return append([]string{
		"-nexus-cluster-url", "http://127.0.0.1:9021,http://127.0.0.1:9022,http://127.0.0.1:9023",
		"-nexus-node-url", "http://127.0.0.1:9021",
		"-grpcPort", "9121",
		"-redisPort", "6379",
	}, more...)
}

func TestOptionsSeed(t *testing.T) {
	for _, dash := range []string{"-", "--"} {
		o := newOptions()
		args := seedArgs()
		for i := range args {
			if strings.HasPrefix(args[i], "-") {
				args[i] = dash + strings.TrimPrefix(args[i], "-")
			}
		}
		if err := o.Settings().Parse(args, noEnv); err != nil {
			t.Fatal(err)
		}
		if err := o.Complete(); err != nil {
			t.Fatal(err)
		}
		if len(o.ClusterURLs) != 3 || o.GRPCPort != 9121 || o.ProxyPort != 7001 || o.MetricsPort != 9221 || o.DataDir != "nexus-data/9021" || o.Timeout != 5*time.Second || o.LeaseReads {
			t.Errorf("got %+v", o)
		}
	}
}

func TestOptionsErrors(t *testing.T) {
	for _, tc := range []struct {
		args []string
		env  map[string]string
		want string
	}{
		{nil, nil, `redis_repl: flag -nexus-cluster-url is missing, want the node URLs of the first members, such as "http://10.0.0.1:9021,http://10.0.0.2:9021,http://10.0.0.3:9021"`},
		{[]string{"-nexus-cluster-url", "http://a:1"}, nil, `redis_repl: flag -nexus-node-url is missing, want the URL at which the other nodes reach this one, such as http://10.0.0.1:9021`},
		{[]string{"-nexus-cluster-url", "a:1"}, nil, `redis_repl: flag -nexus-cluster-url: "a:1" is not a node URL, want http://host:port`},
		{seedArgs("-grpcPort", "abc"), nil, `redis_repl: flag -grpcPort: "abc" is not a port, want a number from 1 to 65535`},
		{seedArgs(), map[string]string{"NEXUS_PROXY_PORT": "abc"}, `redis_repl: flag -proxyPort (from NEXUS_PROXY_PORT): "abc" is not a port, want a number from 1 to 65535, 0 for none, or auto`},
		{seedArgs("-grpcPort", "0"), nil, `redis_repl: flag -grpcPort: "0" is not a port, want a number from 1 to 65535`},
		{seedArgs("-metadataDB", "16"), nil, `redis_repl: flag -metadataDB: "16" is not a number from 1 to 15`},
		{seedArgs("-metadataDB", "0"), nil, `redis_repl: flag -metadataDB: "0" is not a number from 1 to 15`},
		{seedArgs("-nexus-repl-timeout", "5"), nil, `redis_repl: flag -nexus-repl-timeout: "5" is not a time span, want a number with a unit, such as 5s or 500ms`},
		{seedArgs("-nexusLeaseBasedReads=maybe"), nil, `redis_repl: flag -nexusLeaseBasedReads: "maybe" is neither true nor false`},
		{seedArgs("-log-level", "loud"), nil, `redis_repl: flag -log-level: "loud" is not one of debug, info, warn, error`},
		{seedArgs("-proxyPort", "9121"), nil, `redis_repl: flag -proxyPort: "9121" is also the port of -grpcPort, want a port of its own`},
		{seedArgs("-metricsPort", "9021"), nil, `redis_repl: flag -metricsPort: "9021" is also the port of -nexus-node-url, want a port of its own`},
		{seedArgs("-nexus-node-url", "http://10.0.0.1:9021"), nil, `redis_repl: flag -bind: "127.0.0.1" cannot be reached at the -nexus-node-url http://10.0.0.1:9021, want 10.0.0.1, or 0.0.0.0 for all addresses`},
		{seedArgs("-nexus-cluster-url", "http://a:1,http://a:1/"), nil, `redis_repl: flag -nexus-cluster-url names "http://a:1" twice, want each member once`},
		{seedArgs("-redisUsername", "nexus"), nil, `redis_repl: flag -redisUsername is "nexus" without a -redisPassword, want both or neither`},
		{seedArgs("-nexus-force-new-cluster", "-restore", "f"), nil, `redis_repl: flag -restore does not go with -nexus-force-new-cluster, want one of them`},
		{seedArgs("-restore", "f"), nil, `redis_repl: flag -restore does not go with a -nexus-cluster-url of http://127.0.0.1:9021,http://127.0.0.1:9022,http://127.0.0.1:9023, want http://127.0.0.1:9021 alone there: a backup begins a new cluster of this node, which others join by repl addNode`},
		{seedArgs("-nexus-wipe-removed", "-nexus-cluster-url", "http://127.0.0.1:9021", "-restore", "f"), nil, `redis_repl: flag -nexus-wipe-removed does not go with -restore or -nexus-force-new-cluster, want one of them`},
		{seedArgs("-users", "/nonexistent/users.acl"), nil, `redis_repl: flag -users names "/nonexistent/users.acl", which does not exist, want a file with a line for each user, such as "user alice on >PASSWORD ~* &* +@all"`},
		{seedArgs("-nosuch"), nil, `redis_repl: flag provided but not defined: -nosuch; -h lists the flags`},
		{seedArgs("serve"), nil, `redis_repl: unexpected argument "serve", want flags only (a switch takes its value with =); -h lists them`},
	} {
		var stdout, stderr bytes.Buffer
		code := realMain(context.Background(), tc.args, func(name string) string { return tc.env[name] }, &stdout, &stderr)
		if code != node.ExitUsage || stderr.String() != tc.want+"\n" {
			t.Errorf("%q %v: exit %d\n got %s\nwant %s", tc.args, tc.env, code, stderr.String(), tc.want)
		}
	}
}

// Nodes on one machine whose commands differ as in the predecessor's README get ports of their own.
func TestAutoPorts(t *testing.T) {
	for _, tc := range []struct {
		node, port     string
		proxy, metrics int
	}{
		{"http://127.0.0.1:9023", "auto", 7003, 9223},
		{"http://127.0.0.1:9024", "0", 0, 0},
		{"http://127.0.0.1:2380", "auto", 7001, 2580},
		{"http://127.0.0.1:65500", "auto", 63480, 9221},
	} {
		o := newOptions()
		if err := o.Settings().Parse(seedArgs("-nexus-node-url", tc.node, "-proxyPort", tc.port, "-metricsPort", tc.port), noEnv); err != nil {
			t.Fatal(err)
		}
		if err := o.Complete(); err != nil || o.ProxyPort != tc.proxy || o.MetricsPort != tc.metrics {
			t.Errorf("%s: %d and %d, %v", tc.node, o.ProxyPort, o.MetricsPort, err)
		}
	}
}

func TestOptionsNamesAndAliases(t *testing.T) {
	o := newOptions()
	env := map[string]string{"NEXUS_LEASE_BASED_READS": "true", "NEXUS_REDIS_PASSWORD": "secret", "NEXUS_METADATA_DB": "5", "NEXUS_REPL_TIMEOUT": "1s"}
	if err := o.Settings().Parse(seedArgs("--nexus-lease-based-reads=false"), func(n string) string { return env[n] }); err != nil {
		t.Fatal(err)
	}
	if o.LeaseReads || o.redisPassword != "secret" || o.metadataDB != 5 || o.Timeout != time.Second {
		t.Errorf("got %+v", o)
	}
}

// What is made from the settings shows all of them; "go test ./cmd/redis_repl -update" makes it.
func TestMadeFromSettings(t *testing.T) {
	settingstest.Sample(t, "../../deploy/redis_repl.sample.yaml", func() *settings.Set { return newOptions().Settings() },
		map[string]string{"nexus-cluster-url": `["http://a:1", "http://b:1"]`, "nexus-node-url": `"http://a:1"`})
	settingstest.Compare(t, "../../deploy/man/redis_repl.8", newOptions().Settings().WriteMan)
}

func TestHelpAndVersion(t *testing.T) {
	for _, arg := range []string{"-h", "--help", "-version"} {
		var stdout, stderr bytes.Buffer
		if code := realMain(context.Background(), []string{arg}, noEnv, &stdout, &stderr); code != node.ExitOK || stderr.Len() != 0 || stdout.Len() == 0 {
			t.Errorf("%s: exit %d, %q, %q", arg, code, stdout.String(), stderr.String())
		}
		if arg == "-version" {
			continue
		}
		for _, want := range []string{"-nexus-cluster-url URLS  [NEXUS_CLUSTER_URL]", "-redisPort PORT  [NEXUS_REDIS_PORT]", "Also -nexus-lease-based-reads", "Default: 6379."} {
			if !strings.Contains(stdout.String(), want) {
				t.Errorf("help lacks %q", want)
			}
		}
	}
}

// A port in use is found before anything else happens, and nothing stays open.
func TestPortInUse(t *testing.T) {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer lis.Close()
	grpcPort, err := cluster.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	args := seedArgs("-nexus-data-dir", t.TempDir(), "-grpcPort", strconv.Itoa(grpcPort), "-proxyPort", strconv.Itoa(lis.Addr().(*net.TCPAddr).Port), "-metricsPort", "0")
	var stdout, stderr bytes.Buffer
	code := realMain(context.Background(), args, noEnv, &stdout, &stderr)
	want := "redis_repl: flag -proxyPort: " + lis.Addr().String() + " is in use by another process: stop that one, or choose another port\n"
	if code != node.ExitFailure || stderr.String() != want {
		t.Errorf("exit %d\n got %s\nwant %s", code, stderr.String(), want)
	}
	again, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(grpcPort)))
	if err != nil {
		t.Fatalf("the gRPC port stayed open: %v", err)
	}
	_ = again.Close()
}

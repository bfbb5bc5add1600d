package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/nexus-replication/nexus/cmd/internal/settings"
	"github.com/nexus-replication/nexus/raft"
)

// options are the settings of the program.
type options struct {
	clusterURLs   []string
	nodeURL       string
	clusterName   string
	dataDir       string
	timeout       time.Duration
	snapshotCount uint64
	leaseReads    bool
	verifyEvery   time.Duration
	autoRepair    bool

	bind        string
	proxyPort   int
	grpcPort    int
	metricsPort int

	maxConnections int

	connURL string
	backend *mysql.Config // connURL, parsed

	logLevel  slog.Level
	logFormat string

	restore         string
	forceNewCluster bool
}

func newOptions() *options {
	return &options{
		clusterName:    "nexus",
		timeout:        5 * time.Second,
		snapshotCount:  100_000,
		verifyEvery:    24 * time.Hour,
		bind:           "127.0.0.1",
		proxyPort:      settings.AutoPort,
		grpcPort:       9131,
		metricsPort:    settings.AutoPort,
		maxConnections: 400,
		connURL:        "root@tcp(127.0.0.1:3306)/nexus",
		logFormat:      "text",
	}
}

func (o *options) settings() *settings.Set {
	nodeURL := func(s string) error { _, err := raft.ParseNodeURL(s); return err }
	s := settings.New("mysql_repl", "mysql_repl is one node of a replicated MariaDB, in front of one mariadbd.")
	s.Group("The cluster",
		settings.Setting{Name: "nexus-cluster-url", Value: settings.List(&o.clusterURLs, "URLS", nodeURL),
			Usage: "Node URLs of the first members, separated by commas, the same on all of them. A node whose own URL is not among them joins: see repl addNode. Required."},
		settings.Setting{Name: "nexus-node-url", Value: settings.Text(&o.nodeURL, "URL", nodeURL),
			Usage: "URL at which the other nodes reach this one, such as http://10.0.0.1:9021. Required."},
		settings.Setting{Name: "nexus-cluster-name", Value: settings.Text(&o.clusterName, "NAME", notEmpty),
			Usage: "Name that all nodes of the cluster share, so that nodes of two clusters cannot mix."},
		settings.Setting{Name: "nexus-data-dir", Value: settings.String(&o.dataDir), Default: "./nexus-data/ and the port of the node URL",
			Usage: "Directory of this node's own for its identity and log."},
		settings.Setting{Name: "nexus-repl-timeout", Value: settings.Duration(&o.timeout, 10*time.Millisecond, 10*time.Minute),
			Usage: "Time after which a request that got no answer from the cluster is given up."},
		settings.Setting{Name: "nexus-snapshot-count", Value: settings.Count(&o.snapshotCount, 1),
			Usage: "Number of applied log entries after which a snapshot of the mariadbd is taken and the log before it dropped."},
		settings.Setting{Name: "nexus-verify-interval", Value: settings.Duration(&o.verifyEvery, 0, 365*24*time.Hour),
			Usage: "How often the leader compares the data of all nodes; 0s for never. A node that differs from the majority stops serving."},
		settings.Setting{Name: "nexus-auto-repair", Value: settings.Bool(&o.autoRepair),
			Usage: "If this node is found to differ, fill its mariadbd from a snapshot of another, as repl repair does."},
		settings.Setting{Name: "nexusLeaseBasedReads", Alias: "nexus-lease-based-reads", Value: settings.Bool(&o.leaseReads),
			Usage: "Answer reads on the leader while a lease from a quorum holds, instead of asking a quorum for each."},
	)
	s.Group("What is listened on",
		settings.Setting{Name: "bind", Value: settings.Text(&o.bind, "HOST", notEmpty),
			Usage: "Address or host name on which all ports are opened; 0.0.0.0 for all addresses of the machine."},
		settings.Setting{Name: "proxyPort", Value: settings.OptionalPort(&o.proxyPort), Default: "auto, which is 1930 below the port of the node URL: 7101 for 9031",
			Usage: "Port for MySQL clients; 0 for none."},
		settings.Setting{Name: "maxConnections", Value: settings.Int(&o.maxConnections, 1, 100_000),
			Usage: "Number of clients served at a time. Each has a connection of its own to the mariadbd, whose max_connections must be greater."},
		settings.Setting{Name: "grpcPort", Value: settings.Port(&o.grpcPort),
			Usage: "Port for the repl command and other clients of the gRPC service."},
		settings.Setting{Name: "metricsPort", Value: settings.OptionalPort(&o.metricsPort), Default: "auto, which is 200 above the port of the node URL: 9231 for 9031",
			Usage: "Port for /metrics, /livez and /readyz over HTTP; 0 for none."},
	)
	s.Group("The mariadbd behind this node, which nobody else may write to",
		settings.Setting{Name: "mysqlConnUrl", Alias: "mysql-conn-url", Value: settings.Text(&o.connURL, "DSN", notEmpty), Secret: true,
			Usage: "Where it is and as whom, as USER:PASSWORD@tcp(HOST:PORT)/DATABASE. The account needs all privileges, and is not replicated. Parameters behind a ? are ignored."},
	)
	s.Group("For once, not for every start",
		settings.Setting{Name: "restore", Value: settings.String(&o.restore),
			Usage: "File that repl backup wrote. Begins a new cluster of this node alone with it, in a new data directory and an empty mariadbd, and runs; others join it with repl addNode. Leave it out from then on."},
		settings.Setting{Name: "nexus-force-new-cluster", Value: settings.Bool(&o.forceNewCluster),
			Usage: "When a majority of the nodes is lost for good: make this node, which must be stopped, the only member of its cluster, and exit. No other node may ever start again with its old data."},
	)
	s.Group("Messages",
		settings.Setting{Name: "log-level", Value: settings.Level(&o.logLevel), Usage: "Least level that is written to standard error."},
		settings.Setting{Name: "log-format", Value: settings.Choice(&o.logFormat, "text", "json"), Usage: "Form of the messages."},
	)
	return s
}

// complete checks what concerns more than one setting, and fills in what follows from others.
func (o *options) complete() error {
	if len(o.clusterURLs) == 0 {
		return usageError("nexus-cluster-url", "is missing", `want the node URLs of the first members, such as "http://10.0.0.1:9021,http://10.0.0.2:9021,http://10.0.0.3:9021"`)
	}
	if o.nodeURL == "" {
		return usageError("nexus-node-url", "is missing", "want the URL at which the other nodes reach this one, such as http://10.0.0.1:9021")
	}
	o.nodeURL = strings.TrimSuffix(o.nodeURL, "/")
	seen := make(map[string]bool)
	for i, u := range o.clusterURLs {
		u = strings.TrimSuffix(u, "/")
		if seen[u] {
			return usageError("nexus-cluster-url", fmt.Sprintf("names %q twice", u), "want each member once")
		}
		seen[u] = true
		o.clusterURLs[i] = u
	}
	if err := o.parseConnURL(); err != nil {
		return err
	}
	node, err := url.Parse(o.nodeURL)
	if err != nil {
		return usageError("nexus-node-url", err.Error(), "want http://host:port")
	}
	if err := o.checkReachable(node); err != nil {
		return err
	}
	if o.dataDir == "" {
		o.dataDir = filepath.Join("nexus-data", node.Port())
	}
	if o.restore != "" && o.forceNewCluster {
		return usageError("restore", "does not go with -nexus-force-new-cluster", "want one of them")
	}
	o.proxyPort = autoPort(o.proxyPort, node.Port(), -1930, 7101)
	o.metricsPort = autoPort(o.metricsPort, node.Port(), 200, 9231)
	return o.checkPorts(node)
}

// parseConnURL takes this form, "root:root@tcp(127.0.0.1:3306)/nexus?autocommit=false".
func (o *options) parseConnURL() error {
	const want = `want USER:PASSWORD@tcp(HOST:PORT)/DATABASE, such as "root:root@tcp(127.0.0.1:3306)/nexus"`
	dsn, _, _ := strings.Cut(o.connURL, "?")
	cfg, err := mysql.ParseDSN(dsn)
	if err != nil {
		return usageError("mysqlConnUrl", "cannot be read: "+err.Error(), want) // without its value, which holds a password
	}
	if cfg.Net != "tcp" || cfg.User == "" {
		return usageError("mysqlConnUrl", "names no user, or no address of TCP", want)
	}
	o.backend = cfg
	return nil
}

// autoPort lets several nodes share a machine though only their node URLs differ: the predecessor's nodes had no other
// ports, and its commands are to work here.
func autoPort(port int, nodePort string, offset, fallback int) int {
	if port != settings.AutoPort {
		return port
	}
	n, err := strconv.Atoi(nodePort)
	if err != nil || n+offset < 1024 || n+offset > 65535 {
		return fallback
	}
	return n + offset
}

// checkReachable refuses a node that would listen where the others, going by its node URL, cannot reach it.
func (o *options) checkReachable(node *url.URL) error {
	at, on := net.ParseIP(node.Hostname()), net.ParseIP(o.bind)
	loopback := o.bind == "localhost" || (on != nil && on.IsLoopback())
	if at != nil && !at.IsLoopback() && loopback {
		return usageError("bind", fmt.Sprintf("%q cannot be reached at the -nexus-node-url %s", o.bind, o.nodeURL),
			fmt.Sprintf("want %s, or 0.0.0.0 for all addresses", node.Hostname()))
	}
	return nil
}

func (o *options) checkPorts(node *url.URL) error {
	used := map[string]string{node.Port(): "nexus-node-url"}
	for _, l := range o.listeners() {
		port := strconv.Itoa(l.port)
		if other := used[port]; other != "" && l.port != 0 {
			return usageError(l.flag, fmt.Sprintf("%q is also the port of -%s", port, other), "want a port of its own")
		}
		used[port] = l.flag
	}
	return nil
}

func usageError(flag, problem, want string) error {
	if strings.HasPrefix(problem, `"`) {
		return fmt.Errorf("mysql_repl: flag -%s: %s, %s", flag, problem, want)
	}
	return fmt.Errorf("mysql_repl: flag -%s %s, %s", flag, problem, want)
}

func notEmpty(s string) error {
	if strings.TrimSpace(s) == "" {
		return errors.New(`"" is empty, want a name`)
	}
	return nil
}

func (o *options) logger(w io.Writer) *slog.Logger {
	opts := &slog.HandlerOptions{Level: o.logLevel}
	if o.logFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}

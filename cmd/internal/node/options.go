package node

import (
	"encoding/json"
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

	"github.com/nexus-replication/nexus/cmd/internal/security"
	"github.com/nexus-replication/nexus/cmd/internal/settings"
	"github.com/nexus-replication/nexus/proxy/admin"
	"github.com/nexus-replication/nexus/raft"
)

// metricsAbove is where the port for metrics is, from that of the node URL.
const metricsAbove = 200

// readAbove is where the port for reading is, if it is wanted without a number, from that for clients.
const readAbove = 100

// Options are the settings that every node has.
type Options struct {
	program Program

	ClusterURLs   []string
	NodeURL       string
	ClusterName   string
	DataDir       string
	Timeout       time.Duration
	SnapshotCount uint64
	LeaseReads    bool
	VerifyEvery   time.Duration
	AutoRepair    bool

	Bind        string
	ProxyPort   int // 0: none
	ReadPort    int // 0: none; only programs that declare it have one
	GRPCPort    int
	MetricsPort int // 0: none

	LogLevel  slog.Level
	LogFormat string
	// LogSlower is how long a command of a client may take without a line in the log; 0: as long as it likes.
	LogSlower time.Duration

	Security security.Options

	Restore         string
	ForceNewCluster bool
	WipeRemoved     bool

	web *admin.HTTPServer // which knows what the node tells the others of itself
}

// NewOptions returns the defaults for a program.
func NewOptions(p Program) *Options {
	return &Options{
		program:       p,
		ClusterName:   "nexus",
		Timeout:       5 * time.Second,
		SnapshotCount: 100_000,
		VerifyEvery:   24 * time.Hour,
		Bind:          "127.0.0.1",
		ProxyPort:     settings.AutoPort,
		GRPCPort:      p.NodePort + 100,
		MetricsPort:   settings.AutoPort,
		LogFormat:     "text",
		LogSlower:     time.Second,
	}
}

// Declare declares the settings, with those of the program where they belong: those of clients behind their port, and
// what own adds behind all ports and who may come to them.
func (o *Options) Declare(clients []settings.Setting, own func(*settings.Set)) *settings.Set {
	p := &o.program
	s := settings.New(p.Name, fmt.Sprintf("%s is one node of a replicated %s, in front of one %s.", p.Name, p.Data, p.Server))
	s.Group("The cluster", o.cluster()...)
	ports := []settings.Setting{
		{Name: "bind", Value: settings.Text(&o.Bind, "HOST", NotEmpty),
			Usage: "Address or host name on which all ports are opened; 0.0.0.0 for all addresses of the machine."},
		{Name: "proxyPort", Value: settings.OptionalPort(&o.ProxyPort),
			Default: fmt.Sprintf("auto, which is %d below the port of the node URL: %d for %d", p.ProxyBelow, p.NodePort-p.ProxyBelow, p.NodePort),
			Usage:   fmt.Sprintf("Port for %s clients; 0 for none.", p.Clients)},
	}
	ports = append(ports, clients...)
	ports = append(ports,
		settings.Setting{Name: "grpcPort", Value: settings.Port(&o.GRPCPort),
			Usage: "Port for the repl command and other clients of the gRPC service."},
		settings.Setting{Name: "metricsPort", Value: settings.OptionalPort(&o.MetricsPort),
			Default: fmt.Sprintf("auto, which is %d above the port of the node URL: %d for %d", metricsAbove, p.NodePort+metricsAbove, p.NodePort),
			Usage:   "Port for /metrics, /livez and /readyz over HTTP; 0 for none."},
	)
	s.Group("What is listened on", ports...)
	o.Security.Declare(s)
	own(s)
	s.Group("For once, not for every start",
		settings.Setting{Name: "restore", Value: settings.String(&o.Restore),
			Usage: fmt.Sprintf("File that repl backup wrote. Begins a new cluster of this node alone with it, in a new data directory and an empty %s, and runs; others join it with repl addNode. Leave it out from then on.", p.Server)},
		settings.Setting{Name: "nexus-force-new-cluster", Value: settings.Bool(&o.ForceNewCluster),
			Usage: "When a majority of the nodes is lost for good: make this node, which must be stopped, the only member of its cluster, and exit. No other node may ever start again with its old data."},
		settings.Setting{Name: "nexus-wipe-removed", Value: settings.Bool(&o.WipeRemoved),
			Usage: fmt.Sprintf("If the data directory says that this node was removed from the cluster, delete what is in it, and begin as a new node, to be added with repl addNode. Its %s is to be emptied by hand. The data directory of any other node is left alone.", p.Server)},
	)
	s.Group("Messages",
		settings.Setting{Name: "log-level", Value: settings.Level(&o.LogLevel), Usage: "Least level that is written to standard error."},
		settings.Setting{Name: "log-format", Value: settings.Choice(&o.LogFormat, "text", "json"), Usage: "Form of the messages."},
		settings.Setting{Name: "log-slower-than", Value: settings.Duration(&o.LogSlower, 0, 24*time.Hour),
			Usage: "Write a line about each command of a client that took at least so long: which it was, not what it was about; 0s for none."},
	)
	s.Note("Signals", "SIGTERM, SIGINT\tTakes no more clients, lets those there are take their answers (1 s at most), hands over leadership, and ends within 2 s.\n"+
		"SIGHUP\tReads files of users again, where there are any. Certificates are read again for each connection.\n"+
		"SIGQUIT\tEnds with the stacks of all goroutines on standard error.\n"+
		"SIGKILL\tLoses nothing.")
	s.Note("Exit status", "0\tStopped by a signal, or done with what is for once.\n"+
		"1\tCould not start, or had to stop; the last line says why.\n"+
		"2\tA setting makes no sense.")
	return s
}

func (o *Options) cluster() []settings.Setting {
	nodeURL := func(s string) error { _, err := raft.ParseNodeURL(s); return err }
	return []settings.Setting{
		{Name: "nexus-cluster-url", Value: settings.List(&o.ClusterURLs, "URLS", nodeURL),
			Usage: "Node URLs of the first members, separated by commas, the same on all of them. A node whose own URL is not among them joins: see repl addNode. Required."},
		{Name: "nexus-node-url", Value: settings.Text(&o.NodeURL, "URL", nodeURL),
			Usage: "URL at which the other nodes reach this one, such as http://10.0.0.1:9021. Required."},
		{Name: "nexus-cluster-name", Value: settings.Text(&o.ClusterName, "NAME", NotEmpty),
			Usage: "Name that all nodes of the cluster share, so that nodes of two clusters cannot mix."},
		{Name: "nexus-data-dir", Value: settings.String(&o.DataDir), Default: "./nexus-data/ and the port of the node URL",
			Usage: "Directory of this node's own for its identity and log."},
		{Name: "nexus-repl-timeout", Value: settings.Duration(&o.Timeout, 10*time.Millisecond, 10*time.Minute),
			Usage: "Time after which a request that got no answer from the cluster is given up."},
		{Name: "nexus-snapshot-count", Value: settings.Count(&o.SnapshotCount, 1),
			Usage: fmt.Sprintf("Number of applied log entries after which a snapshot of the %s is taken and the log before it dropped.", o.program.Server)},
		{Name: "nexus-verify-interval", Value: settings.Duration(&o.VerifyEvery, 0, 365*24*time.Hour),
			Usage: "How often the leader compares the data of all nodes; 0s for never. A node that differs from the majority stops serving."},
		{Name: "nexus-auto-repair", Value: settings.Bool(&o.AutoRepair),
			Usage: fmt.Sprintf("If this node is found to differ, fill its %s from a snapshot of another, as repl repair does.", o.program.Server)},
		{Name: "nexusLeaseBasedReads", Alias: "nexus-lease-based-reads", Value: settings.Bool(&o.LeaseReads),
			Usage: "Answer reads on the leader while a lease from a quorum holds, instead of asking a quorum for each."},
	}
}

// Complete checks what concerns more than one setting, and fills in what follows from others. It returns the node URL.
func (o *Options) Complete() (*url.URL, error) {
	if err := o.completeURLs(); err != nil {
		return nil, err
	}
	node, err := url.Parse(o.NodeURL)
	if err != nil {
		return nil, o.UsageError("nexus-node-url", err.Error(), "want http://host:port, or https://host:port")
	}
	if err := o.checkReachable(node); err != nil {
		return nil, err
	}
	if o.DataDir == "" {
		o.DataDir = filepath.Join("nexus-data", node.Port())
	}
	if o.Restore != "" && o.ForceNewCluster {
		return nil, o.UsageError("restore", "does not go with -nexus-force-new-cluster", "want one of them")
	}
	if o.Restore != "" && (len(o.ClusterURLs) != 1 || o.ClusterURLs[0] != o.NodeURL) {
		return nil, o.UsageError("restore", "does not go with a -nexus-cluster-url of "+strings.Join(o.ClusterURLs, ","),
			fmt.Sprintf("want %s alone there: a backup begins a new cluster of this node, which others join by repl addNode", o.NodeURL))
	}
	if o.WipeRemoved && (o.Restore != "" || o.ForceNewCluster) {
		return nil, o.UsageError("nexus-wipe-removed", "does not go with -restore or -nexus-force-new-cluster", "want one of them")
	}
	o.ProxyPort = o.autoPort(o.ProxyPort, node.Port(), -o.program.ProxyBelow)
	o.MetricsPort = o.autoPort(o.MetricsPort, node.Port(), metricsAbove)
	o.ReadPort = o.autoPort(o.ReadPort, node.Port(), readAbove-o.program.ProxyBelow)
	return node, o.checkPorts(node)
}

func (o *Options) completeURLs() error {
	if len(o.ClusterURLs) == 0 {
		return o.UsageError("nexus-cluster-url", "is missing", `want the node URLs of the first members, such as "http://10.0.0.1:9021,http://10.0.0.2:9021,http://10.0.0.3:9021"`)
	}
	if o.NodeURL == "" {
		return o.UsageError("nexus-node-url", "is missing", "want the URL at which the other nodes reach this one, such as http://10.0.0.1:9021")
	}
	o.NodeURL = strings.TrimSuffix(o.NodeURL, "/")
	seen := make(map[string]bool)
	for i, u := range o.ClusterURLs {
		u = strings.TrimSuffix(u, "/")
		if seen[u] {
			return o.UsageError("nexus-cluster-url", fmt.Sprintf("names %q twice", u), "want each member once")
		}
		seen[u] = true
		o.ClusterURLs[i] = u
	}
	return nil
}

// autoPort lets several nodes share a machine though only their node URLs differ: the predecessor's nodes had no other
// ports, and its commands are to work here.
func (o *Options) autoPort(port int, nodePort string, offset int) int {
	if port != settings.AutoPort {
		return port
	}
	n, err := strconv.Atoi(nodePort)
	if err != nil || n+offset < 1024 || n+offset > 65535 {
		return o.program.NodePort + offset
	}
	return n + offset
}

// CheckSecurity refuses what would let in anybody by mistake, and a node URL whose scheme is not what is spoken there.
func (o *Options) CheckSecurity(at *url.URL, clientsKnown bool) error {
	s := &o.Security
	err := s.Check(security.Listening{Bind: o.Bind, Proxy: o.ProxyPort != 0, ClientsKnown: clientsKnown, Metrics: o.MetricsPort != 0})
	if err != nil {
		return fmt.Errorf("%s: %w", o.program.Name, err)
	}
	scheme := "http"
	if s.PeerFiles() != nil {
		scheme = "https"
	}
	if at.Scheme != scheme {
		return o.UsageError("nexus-node-url", fmt.Sprintf("%q", o.NodeURL),
			fmt.Sprintf("want %s://%s: URLs are https with -nexus-peer-cert, http without", scheme, at.Host))
	}
	return nil
}

// checkReachable refuses a node that would listen where the others, going by its node URL, cannot reach it.
func (o *Options) checkReachable(node *url.URL) error {
	at := net.ParseIP(node.Hostname())
	if at != nil && !at.IsLoopback() && security.IsLoopback(o.Bind) {
		return o.UsageError("bind", fmt.Sprintf("%q cannot be reached at the -nexus-node-url %s", o.Bind, o.NodeURL),
			fmt.Sprintf("want %s, or 0.0.0.0 for all addresses", node.Hostname()))
	}
	return nil
}

func (o *Options) checkPorts(node *url.URL) error {
	used := map[string]string{node.Port(): "nexus-node-url"}
	for _, l := range o.listeners() {
		port := strconv.Itoa(l.port)
		if other := used[port]; other != "" && l.port != 0 {
			return o.UsageError(l.flag, fmt.Sprintf("%q is also the port of -%s", port, other), "want a port of its own")
		}
		used[port] = l.flag
	}
	return nil
}

// UsageError names the program, the flag, what is wrong with it and what to give instead. A problem that begins with a
// quote is about the value.
func (o *Options) UsageError(flag, problem, want string) error {
	if strings.HasPrefix(problem, `"`) {
		return fmt.Errorf("%s: flag -%s: %s, %s", o.program.Name, flag, problem, want)
	}
	return fmt.Errorf("%s: flag -%s %s, %s", o.program.Name, flag, problem, want)
}

// NotEmpty is a check for settings.Text.
func NotEmpty(s string) error {
	if strings.TrimSpace(s) == "" {
		return errors.New(`"" is empty, want a name`)
	}
	return nil
}

// RaftConfig is the replicator's configuration as far as the options say it.
func (o *Options) RaftConfig(store raft.Store, log *slog.Logger) raft.Config {
	cfg := raft.NewConfig()
	cfg.ClusterName = o.ClusterName
	cfg.NodeURL, cfg.ClusterURLs = o.NodeURL, o.ClusterURLs
	cfg.DataDir, cfg.Bind = o.DataDir, o.Bind
	cfg.Store = store
	cfg.LeaseReads = o.LeaseReads
	cfg.Timeout = o.Timeout
	cfg.SnapshotCount = o.SnapshotCount
	cfg.VerifyInterval, cfg.AutoRepair = o.VerifyEvery, o.AutoRepair
	cfg.TLS = o.Security.PeerFiles()
	cfg.About = o.about
	cfg.Logger = log.With("part", "raft")
	return cfg
}

// about is what the node tells the others of itself, once it is assembled.
func (o *Options) about() json.RawMessage {
	if o.web == nil {
		return nil
	}
	return o.web.About()
}

func (o *Options) logHandler(w io.Writer) slog.Handler {
	opts := &slog.HandlerOptions{Level: o.LogLevel}
	if o.LogFormat == "json" {
		return slog.NewJSONHandler(w, opts)
	}
	return slog.NewTextHandler(w, opts)
}

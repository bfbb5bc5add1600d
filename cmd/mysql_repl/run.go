package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	appliers "github.com/nexus-replication/nexus/appliers/mysql"
	"github.com/nexus-replication/nexus/proxy/admin"
	proxy "github.com/nexus-replication/nexus/proxy/mysql"
	"github.com/nexus-replication/nexus/raft"
)

// stopTimeout bounds the way from the signal to the end of the process; drainTimeout is the part of it that clients
// get to take their answers.
const (
	stopTimeout  = 10 * time.Second
	drainTimeout = 5 * time.Second
)

// maxTransactionBytes bounds the rows of one transaction.
const maxTransactionBytes = 256 << 20

// node is all the parts of a running node.
type node struct {
	opts       *options
	log        *slog.Logger
	replicator *raft.Replicator
	proxy      *proxy.Server
	admin      *admin.Server
	http       *admin.HTTPServer
}

// run runs the node until ctx ends, which is no error, or until it cannot go on.
func run(ctx context.Context, opts *options, log *slog.Logger) error {
	if opts.forceNewCluster {
		return forceNewCluster(opts, log)
	}
	n, err := build(opts, log)
	if err != nil {
		return err
	}
	if err := restoreBackup(opts, log); err != nil {
		return err
	}
	open, err := listen(opts)
	if err != nil {
		return err
	}
	log.Info("starting", "version", version, "node", opts.nodeURL, "data", opts.dataDir,
		"backend", opts.backend.Addr)
	failed := n.serve(open)

	// The listeners answer while the node waits for its backend and the others, so that it can be asked what it waits for.
	startCtx, cancelStart := context.WithCancel(ctx)
	defer cancelStart()
	started := make(chan struct{})
	var startErr error
	go func() {
		defer close(started)
		startErr = n.replicator.Start(startCtx)
	}()
	select {
	case <-started:
		err = startError(opts, startErr)
	case err = <-failed:
	case <-ctx.Done():
	}
	cancelStart()
	<-started // Start may not run beside Stop.
	if err == nil && startErr == nil && ctx.Err() == nil {
		log.Info("running", "proxyPort", opts.proxyPort, "grpcPort", opts.grpcPort, "metricsPort", opts.metricsPort)
		err = n.watch(ctx, failed)
	}
	if ctx.Err() != nil {
		log.Info("stopping")
		err = nil // Starting may have been broken off by the signal.
	}
	return errors.Join(err, n.stop())
}

// build makes all parts. Nothing is opened yet.
func build(opts *options, log *slog.Logger) (*node, error) {
	backend, err := newBackend(opts, log)
	if err != nil {
		return nil, err
	}

	proxyCfg := proxy.NewConfig()
	proxyCfg.Advertise = advertised(opts)
	proxyCfg.LeaseReads = opts.leaseReads
	proxyCfg.Timeout = opts.timeout
	proxyCfg.MaxConnections = opts.maxConnections
	proxyCfg.Logger = log.With("part", "proxy")

	raftCfg := raftConfig(opts, backend, log)
	replicator, err := raft.New(raftCfg)
	if err != nil {
		return nil, err
	}
	clients, err := proxy.New(proxyCfg, replicator, backend)
	if err != nil {
		return nil, err
	}

	adminCfg := admin.NewConfig()
	adminCfg.Node = replicator
	adminCfg.Datastore = proxy.NewStatements(clients, opts.backend.User, opts.backend.Passwd, opts.backend.DBName)
	adminCfg.Version = version
	adminCfg.Timeout = opts.timeout
	adminCfg.Logger = log.With("part", "admin")
	operators, err := admin.New(adminCfg)
	if err != nil {
		return nil, err
	}
	return &node{
		opts:       opts,
		log:        log,
		replicator: replicator,
		proxy:      clients,
		admin:      operators,
		http: admin.NewHTTP(admin.HTTPConfig{
			Node:       replicator,
			Build:      admin.Build{Version: version, Commit: commit, Date: date},
			Collectors: []prometheus.Collector{proxy.NewCollector(clients, backend)},
			Logger:     adminCfg.Logger,
		}),
	}, nil
}

// advertised is where other nodes reach the clients' port of this one.
func advertised(opts *options) string {
	node, err := url.Parse(opts.nodeURL)
	if err != nil || opts.proxyPort == 0 {
		return ""
	}
	return net.JoinHostPort(node.Hostname(), strconv.Itoa(opts.proxyPort))
}

func newBackend(opts *options, log *slog.Logger) (*appliers.Backend, error) {
	cfg := appliers.NewConfig()
	cfg.Addr = opts.backend.Addr
	cfg.User, cfg.Password = opts.backend.User, opts.backend.Passwd
	cfg.Logger = log.With("part", "backend")
	return appliers.New(cfg)
}

func raftConfig(opts *options, backend raft.Store, log *slog.Logger) raft.Config {
	cfg := raft.NewConfig()
	cfg.ClusterName = opts.clusterName
	cfg.NodeURL, cfg.ClusterURLs = opts.nodeURL, opts.clusterURLs
	cfg.DataDir, cfg.Bind = opts.dataDir, opts.bind
	cfg.Store = backend
	cfg.LeaseReads = opts.leaseReads
	// The proxy bounds each of its calls; a schema change may take longer than any of them.
	cfg.Timeout = time.Hour
	cfg.MaxProposalBytes = maxTransactionBytes
	cfg.SnapshotCount = opts.snapshotCount
	cfg.VerifyInterval, cfg.AutoRepair = opts.verifyEvery, opts.autoRepair
	cfg.Logger = log.With("part", "raft")
	return cfg
}

// serve answers on the open ports. A listener that fails is reported on the channel.
func (n *node) serve(open *ports) <-chan error {
	failed := make(chan error, 3)
	start := func(flag string, lis net.Listener, serve func(net.Listener) error) {
		if lis == nil {
			return
		}
		go func() {
			if err := serve(lis); err != nil {
				failed <- fmt.Errorf("port of -%s: %w", flag, err)
			}
		}()
	}
	start("grpcPort", open.grpc, n.admin.Serve)
	start("proxyPort", open.proxy, n.proxy.Serve)
	start("metricsPort", open.metrics, n.http.Serve)
	return failed
}

// watch returns when the node is to stop, or with the reason why it must. A node that was removed from its cluster stays:
// clients that still come are told where they are wrong until somebody stops it.
func (n *node) watch(ctx context.Context, failed <-chan error) error {
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		return nil
	case <-n.replicator.Done():
	}
	err := n.replicator.Err()
	if !errors.Is(err, raft.ErrRemoved) {
		return fmt.Errorf("the node stopped: %w", err)
	}
	n.log.Error("this node was removed from its cluster; it refuses every request until it is stopped", "err", err)
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		return nil
	}
}

// stop drains the clients, hands over leadership, and ends everything. Clients go first: what they have proposed is
// answered while the log still runs.
func (n *node) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	drain, cancelDrain := context.WithTimeout(ctx, drainTimeout)
	defer cancelDrain()
	if n.opts.proxyPort != 0 {
		n.warn(n.proxy.Close(drain))
	}
	n.warn(n.admin.Close(drain))

	stopped := make(chan error, 1)
	go func() { stopped <- n.replicator.Stop(ctx) }()
	var err error
	select {
	case err = <-stopped:
	case <-ctx.Done():
		return fmt.Errorf("not stopped after %v; what was acknowledged is on disk", stopTimeout)
	}
	n.warn(n.http.Close(ctx))
	n.log.Info("stopped")
	if err != nil {
		return fmt.Errorf("stop: %w", err)
	}
	return nil
}

// warn notes what did not end by itself: clients that are cut off are no failure of the node.
func (n *node) warn(err error) {
	if err != nil {
		n.log.Warn("while stopping", "err", err)
	}
}

// startError names the flag where starting failed because of one.
func startError(opts *options, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, syscall.EADDRINUSE) || errors.Is(err, syscall.EADDRNOTAVAIL) {
		return listenError("nexus-node-url", opts.nodeURL, err)
	}
	return fmt.Errorf("start: %w", err)
}

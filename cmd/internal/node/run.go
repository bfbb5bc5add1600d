package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/nexus-replication/nexus/proxy/admin"
	"github.com/nexus-replication/nexus/raft"
	"github.com/nexus-replication/nexus/raft/certificate"
)

// stopTimeout bounds the way from the signal to the end of the process; drainTimeout is the part of it that clients and
// operators get to take their answers. What is left of it is for handing over leadership and closing files.
const (
	stopTimeout  = 1900 * time.Millisecond
	drainTimeout = time.Second
)

// Server serves the clients of the datastore.
type Server interface {
	Serve(ln net.Listener) error
	// Close lets clients take their answers until ctx ends.
	Close(ctx context.Context) error
}

// Node is the parts of a node that the program makes.
type Node struct {
	Replicator *raft.Replicator
	Proxy      Server
	// Datastore runs the statements of operators.
	Datastore admin.Datastore
	// Collectors have the metrics of the proxy and the backend.
	Collectors []prometheus.Collector
	// Read serves the port for reading, until Proxy is closed. It is nil where there is no such port.
	Read func(ln net.Listener) error
	// Certificates are those that it shows, nil where it shows none, without those to other nodes and operators.
	Certificates []*certificate.Source
	// Backend is the address of the server behind the node, for messages.
	Backend string
	// Secure puts TLS behind the listener for clients. It may be nil.
	Secure func(net.Listener) net.Listener
	// Background runs beside the servers until the replicator ends. It may be nil.
	Background func()
	// Reload is called at SIGHUP. It may be nil where there is nothing to read again.
	Reload func() error

	opts  *Options
	log   *slog.Logger
	admin *admin.Server
	http  *admin.HTTPServer
}

// run runs the node until ctx ends, which is no error, or until it cannot go on. Whoever looks at stderr sees how far
// long work is.
func run(ctx context.Context, opts *Options, d Definition, log *slog.Logger, events *admin.Events, stderr io.Writer) error {
	if opts.ForceNewCluster {
		return forceNewCluster(opts, d, log)
	}
	n, err := d.Build(log)
	if err != nil {
		return err
	}
	if err := n.assemble(opts, log, events); err != nil {
		return err
	}
	if err := wipeRemoved(opts, d, log); err != nil {
		return err
	}
	if err := restoreBackup(opts, d, log, stderr); err != nil {
		return err
	}
	open, err := listen(opts)
	if err != nil {
		return err
	}
	if open.proxy != nil && n.Secure != nil {
		open.proxy = n.Secure(open.proxy)
	}
	log.Info("starting", "program", opts.program.Name, "version", opts.program.Version, "cluster", opts.ClusterName, "node", opts.NodeURL, "data", opts.DataDir, "backend", n.Backend)
	defer n.reloadOnHangup()()
	failed := n.serve(open)

	// The listeners answer while the node waits for its backend and the others, so that it can be asked what it waits for.
	startCtx, cancelStart := context.WithCancel(ctx)
	defer cancelStart()
	started := make(chan struct{})
	var startErr error
	go func() {
		defer close(started)
		startErr = n.Replicator.Start(startCtx)
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
		n.notify(daemon.SdNotifyReady)
		log.Info("running", "bind", opts.Bind, "proxyPort", opts.ProxyPort, "readOnlyPort", opts.ReadPort, "grpcPort", opts.GRPCPort, "metricsPort", opts.MetricsPort)
		err = n.watch(ctx, failed)
	}
	if ctx.Err() != nil {
		n.notify(daemon.SdNotifyStopping)
		log.Info("stopping")
		err = nil // Starting may have been broken off by the signal.
	}
	return errors.Join(err, n.stop())
}

// assemble adds what operators and monitoring see of a node, which is the same for all programs.
func (n *Node) assemble(opts *Options, log *slog.Logger, events *admin.Events) (err error) {
	n.opts, n.log = opts, log
	p := &opts.program
	cfg := admin.NewConfig()
	cfg.Node = n.Replicator
	cfg.Datastore = n.Datastore
	cfg.Kind, cfg.Version = p.Clients, p.Version
	cfg.Timeout = opts.Timeout
	cfg.Tokens = admin.Tokens{Admin: opts.Security.AdminToken, Read: opts.Security.ReadToken}
	cfg.Logger = log.With("part", "admin")
	var certificate *certificate.Source
	if cfg.TLS, certificate, err = opts.Security.GRPC.Server("grpc", cfg.Logger); err != nil {
		return err
	}
	collectors := append(n.Collectors, n.Replicator.Collector())
	for _, c := range append(n.Certificates, certificate) {
		if c != nil {
			collectors = append(collectors, c)
		}
	}
	if n.admin, err = admin.New(cfg); err != nil {
		return err
	}
	n.http = admin.NewHTTP(admin.HTTPConfig{
		Node:       n.Replicator,
		Build:      admin.Build{Version: p.Version, Commit: p.Commit, Date: p.Date},
		Collectors: collectors,
		Token:      opts.Security.MetricsToken,
		Events:     events,
		Logger:     cfg.Logger,
	})
	opts.web = n.http
	return nil
}

// serve answers on the open ports. A listener that fails is reported on the channel.
func (n *Node) serve(open *ports) <-chan error {
	failed := make(chan error, 4)
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
	start("proxyPort", open.proxy, n.Proxy.Serve)
	start("readOnlyPort", open.read, n.Read)
	start("metricsPort", open.metrics, n.http.Serve)
	if n.Background != nil {
		go n.Background()
	}
	return failed
}

// watch returns when the node is to stop, or with the reason why it must. A node that was removed from its cluster stays:
// clients that still come are told where they are wrong until somebody stops it.
func (n *Node) watch(ctx context.Context, failed <-chan error) error {
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		return nil
	case <-n.Replicator.Done():
	}
	err := n.Replicator.Err()
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
// answered while the log still runs. It does not wait longer than stopTimeout: a process that ends in the middle loses
// nothing, as one that is killed does not.
func (n *Node) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- n.end(ctx) }()
	select {
	case err := <-ended:
		n.log.Info("stopped")
		if err != nil {
			return fmt.Errorf("stop: %w", err)
		}
	case <-ctx.Done():
		n.log.Warn("stopped in the middle; what was acknowledged is on disk", "after", stopTimeout)
	}
	return nil
}

// end ends all parts, which it gives until ctx is done.
func (n *Node) end(ctx context.Context) error {
	drain, cancel := context.WithTimeout(ctx, drainTimeout)
	defer cancel()
	var sides sync.WaitGroup
	if n.opts.ProxyPort != 0 || n.opts.ReadPort != 0 {
		sides.Go(func() { n.warn(n.Proxy.Close(drain)) })
	}
	sides.Go(func() { n.warn(n.admin.Close(drain)) })
	sides.Wait()
	err := n.Replicator.Stop(ctx)
	n.warn(n.http.Close(ctx))
	return err
}

// reloadOnHangup calls Reload at each SIGHUP until the function that it returns is called. Without one the signal is
// taken all the same: whoever sends it wants something to be read again, not the node to end.
func (n *Node) reloadOnHangup() (end func()) {
	signals, done := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(signals, syscall.SIGHUP)
	go func() {
		defer close(done)
		for range signals {
			n.reload()
		}
	}()
	return func() {
		signal.Stop(signals)
		close(signals)
		<-done
	}
}

func (n *Node) reload() {
	if n.Reload == nil {
		n.log.Info("SIGHUP has nothing to do: certificates are read again for each connection, settings at a start")
		return
	}
	if err := n.Reload(); err != nil {
		n.log.Error("SIGHUP changed nothing", "err", err)
	}
}

// notify tells systemd, where it has started this process.
func (n *Node) notify(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		n.log.Warn("systemd could not be told", "state", state, "err", err)
	}
}

// warn notes what did not end by itself: clients that are cut off are no failure of the node.
func (n *Node) warn(err error) {
	if err != nil {
		n.log.Warn("while stopping", "err", err)
	}
}

// startError names the flag where starting failed because of one.
func startError(opts *Options, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, syscall.EADDRINUSE) || errors.Is(err, syscall.EADDRNOTAVAIL) {
		return listenError("nexus-node-url", opts.NodeURL, err)
	}
	return fmt.Errorf("start: %w", err)
}

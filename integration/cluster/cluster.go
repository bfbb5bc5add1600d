package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nexus-replication/nexus/integration/lan"
)

// Options of a Cluster. Binary and Dir are needed.
type Options struct {
	// Binary is the redis_repl to run, or the mysql_repl if MySQL is set.
	Binary string
	// MySQL puts a mariadbd behind each node instead of a redis-server.
	MySQL bool
	// Dir gets a directory for each node and each backend, and their logs.
	Dir string
	// Size is the number of nodes; 3 if it is zero.
	Size int
	// Name of the cluster; "nexus" if it is empty.
	Name string
	// Ports of each node; missing ones and zeros stand for free ports.
	Ports []Ports
	// Flags are given to each node after those the cluster sets itself, and override them.
	Flags []string
	// Apart lets each node listen on a loopback address of its own, 127.0.1.1 and so on, and not where its node URL says:
	// that is left to something that stands between the nodes. Only Linux has these addresses without more ado.
	Apart bool
	// LAN, if it is set, has a host for each node, by its name. There the node runs and listens, and its redis-server.
	LAN *lan.LAN
}

// Cluster is a set of nodes, each with a backend.
type Cluster struct {
	Nodes []*Node
	opts  Options
	urls  string
}

// New returns a cluster of which nothing is started yet.
func New(opts Options) (*Cluster, error) {
	if opts.Size == 0 {
		opts.Size = 3
	}
	if opts.Name == "" {
		opts.Name = "nexus"
	}
	c := &Cluster{opts: opts}
	var urls []string
	for i := range opts.Size {
		var ports Ports
		if i < len(opts.Ports) {
			ports = opts.Ports[i]
		}
		n, err := c.newNode(i+1, ports)
		if err != nil {
			return nil, err
		}
		c.Nodes = append(c.Nodes, n)
		urls = append(urls, n.URL())
	}
	c.urls = strings.Join(urls, ",")
	for _, n := range c.Nodes {
		n.Args = n.flags(c.urls, opts.Name, opts.Flags)
	}
	return c, nil
}

func (c *Cluster) newNode(number int, ports Ports) (*Node, error) {
	if err := ports.fill(); err != nil {
		return nil, err
	}
	name, backend := fmt.Sprintf("node-%d", number), fmt.Sprintf("redis-%d", number)
	if c.opts.MySQL {
		name, backend = "mysql-"+name, fmt.Sprintf("mariadb-%d", number)
	}
	host := loopback
	if c.opts.Apart {
		host = fmt.Sprintf("127.0.1.%d", number)
	}
	urlHost, namespace := loopback, (*os.File)(nil)
	if c.opts.LAN != nil {
		host = c.opts.LAN.Addr(name)
		urlHost, namespace = host, c.opts.LAN.Namespace(name)
	}
	n := &Node{
		Host:    host,
		urlHost: urlHost,
		Process: Process{
			Name: name,
			Path: c.opts.Binary,
			Dir:  c.opts.Dir,
			Log:  filepath.Join(c.opts.Dir, name+".log"),

			Namespace: namespace,
		},
		Ports:   ports,
		DataDir: filepath.Join(c.opts.Dir, name),
	}
	var err error
	if c.opts.MySQL {
		n.MariaDB, err = NewMariaDB(backend, filepath.Join(c.opts.Dir, backend), ports.Backend)
	} else {
		n.Backend, err = NewRedis(backend, filepath.Join(c.opts.Dir, backend), ports.Backend)
	}
	if err != nil {
		return nil, err
	}
	if namespace != nil {
		n.Backend.moveTo(namespace)
	}
	return n, nil
}

// URLs is the value of -nexus-cluster-url: the first members.
func (c *Cluster) URLs() string { return c.urls }

// AddNode returns one more node for the running cluster, not started: it waits to be added by an operator.
func (c *Cluster) AddNode() (*Node, error) {
	n, err := c.newNode(len(c.Nodes)+1, Ports{})
	if err != nil {
		return nil, err
	}
	n.Args = n.flags(c.urls, c.opts.Name, c.opts.Flags)
	c.Nodes = append(c.Nodes, n)
	return n, nil
}

// StartReady starts all backends and all nodes and waits until each node serves.
func (c *Cluster) StartReady(ctx context.Context) error {
	errs := make([]error, len(c.Nodes))
	var wg sync.WaitGroup
	for i, n := range c.Nodes {
		wg.Go(func() { errs[i] = n.server().StartReady(ctx) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for _, n := range c.Nodes {
		if err := n.Start(); err != nil {
			return err
		}
	}
	return c.AwaitReady(ctx)
}

// AwaitReady waits until each running node serves.
func (c *Cluster) AwaitReady(ctx context.Context) error {
	for _, n := range c.Nodes {
		if !n.Running() {
			continue
		}
		if err := n.AwaitReady(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Stop stops the nodes, then the backends, all nodes at a time. A paused process is resumed, that it can end.
func (c *Cluster) Stop(timeout time.Duration) error {
	var nodes, backends []*Process
	for _, n := range c.Nodes {
		nodes = append(nodes, &n.Process)
		backends = append(backends, n.BackendProcess())
	}
	return errors.Join(stopAll(nodes, timeout), stopAll(backends, timeout))
}

func stopAll(processes []*Process, timeout time.Duration) error {
	errs := make([]error, len(processes))
	var wg sync.WaitGroup
	for i, p := range processes {
		wg.Go(func() { errs[i] = errors.Join(p.Resume(), p.Stop(timeout)) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Kill ends everything at once.
func (c *Cluster) Kill() error {
	var errs []error
	for _, n := range c.Nodes {
		errs = append(errs, n.Kill(), n.BackendProcess().Kill())
	}
	return errors.Join(errs...)
}

// Leader waits until a running node, none of those in except, says that it leads and serves, and returns it.
func (c *Cluster) Leader(ctx context.Context, except ...*Node) (*Node, error) {
	for {
		for _, n := range c.Nodes {
			if !n.Running() || slices.Contains(except, n) {
				continue
			}
			try, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
			status, err := n.Status(try)
			cancel()
			if err == nil && status.GetRole() == "leader" && status.GetServing() {
				return n, nil
			}
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", errNoLeader, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Follower returns a running node that does not lead.
func (c *Cluster) Follower(ctx context.Context) (*Node, error) {
	leader, err := c.Leader(ctx)
	if err != nil {
		return nil, err
	}
	for _, n := range c.Nodes {
		if n != leader && n.Running() {
			return n, nil
		}
	}
	return nil, errors.New("no follower runs")
}

// Others returns all nodes but one.
func (c *Cluster) Others(than *Node) []*Node {
	return slices.DeleteFunc(slices.Clone(c.Nodes), func(n *Node) bool { return n == than })
}

// Logs returns the last lines that each node wrote, for the report of a failed test.
func (c *Cluster) Logs() string {
	var b strings.Builder
	for _, n := range c.Nodes {
		log, err := os.ReadFile(n.Log)
		if err != nil {
			continue
		}
		fmt.Fprintf(&b, "--- %s\n%s\n", n.Log, tail(string(log)))
	}
	return b.String()
}

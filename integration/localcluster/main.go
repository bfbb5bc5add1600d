// Localcluster runs a cluster of three on this machine: three redis-servers and three nodes, each started again when
// it dies. It is what "make run" starts. Ctrl-C or SIGTERM stops everything; the data directory stays, and the next
// run goes on from it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// config of the local cluster. The ports of node i are the base plus i.
type config struct {
	bin, data string
	ports     cluster.Ports
	flags     []string
}

func main() {
	var c config
	flag.StringVar(&c.bin, "bin", "bin", "directory of redis_repl")
	flag.StringVar(&c.data, "data", "data", "directory of the nodes and the redis-servers")
	flag.IntVar(&c.ports.Client, "client-port", 7001, "first of three ports for Redis clients")
	flag.IntVar(&c.ports.Raft, "raft-port", 9021, "first of three ports for the nodes among themselves")
	flag.IntVar(&c.ports.GRPC, "grpc-port", 9121, "first of three ports for the repl command line")
	flag.IntVar(&c.ports.Metrics, "metrics-port", 9221, "first of three ports for HTTP")
	flag.IntVar(&c.ports.Backend, "redis-port", 6401, "first of three ports for the redis-servers")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "Usage: localcluster [flags] [-- flags for each redis_repl]")
		flag.PrintDefaults()
	}
	flag.Parse()
	c.flags = flag.Args()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if err := run(ctx, c, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "localcluster:", err)
		os.Exit(1)
	}
}

// run is the whole life of the cluster, up to the end of ctx. It leaves no process behind.
func run(ctx context.Context, conf config, out io.Writer) (err error) {
	cl, err := prepare(conf)
	if err != nil {
		return err
	}
	out = &lines{w: out}
	fmt.Fprintln(out, "Starting three redis-servers and three nodes ...")
	watch, cancel := context.WithCancel(ctx)
	done := supervise(watch, cl, out)
	defer func() {
		fmt.Fprintln(out, "Stopping the nodes, then the redis-servers ...")
		cancel()
		<-done
		if stopErr := cl.Stop(20 * time.Second); stopErr != nil {
			err = errors.Join(err, stopErr)
			return
		}
		if err == nil {
			fmt.Fprintf(out, "Stopped. The data is in %s.\n", conf.data)
		}
	}()
	if err := awaitServing(ctx, cl); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	printEndpoints(out, cl)
	<-ctx.Done()
	return nil
}

// prepare checks what can be checked before anything runs.
func prepare(conf config) (*cluster.Cluster, error) {
	if _, err := exec.LookPath("redis-server"); err != nil {
		return nil, errors.New("redis-server is not installed: on Debian, apt-get install redis-server redis-tools")
	}
	binary, err := filepath.Abs(filepath.Join(conf.bin, "redis_repl"))
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(binary); err != nil {
		return nil, fmt.Errorf("%s is not there: run make build", binary)
	}
	data, err := filepath.Abs(conf.data)
	if err != nil {
		return nil, err
	}
	var ports []cluster.Ports
	var used []string
	for i := range 3 {
		p := cluster.Ports{
			Client: conf.ports.Client + i, Raft: conf.ports.Raft + i, GRPC: conf.ports.GRPC + i,
			Metrics: conf.ports.Metrics + i, Backend: conf.ports.Backend + i,
		}
		for name, port := range p.InUse() {
			used = append(used, fmt.Sprintf("%d (%s of node %d)", port, name, i+1))
		}
		ports = append(ports, p)
	}
	if len(used) > 0 {
		return nil, fmt.Errorf("in use on this machine: port %s. Is another local cluster running? "+
			"\"ss -ltnp\" shows what listens there; stop it, or choose other ports (localcluster -h)", strings.Join(used, ", "))
	}
	if err := os.MkdirAll(data, 0o755); err != nil {
		return nil, err
	}
	return cluster.New(cluster.Options{Binary: binary, Dir: data, Ports: ports, Flags: conf.flags})
}

// awaitServing waits until each node serves. Children that die meanwhile are the supervisor's business, unless they go
// on dying.
func awaitServing(ctx context.Context, cl *cluster.Cluster) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for _, n := range cl.Nodes {
		for {
			try, done := context.WithTimeout(ctx, time.Second)
			err := n.Ready(try)
			done()
			if err == nil {
				break
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("%s does not serve: %w; see %s", n.Name, err, n.Log)
			case <-time.After(50 * time.Millisecond):
			}
		}
	}
	return nil
}

func printEndpoints(out io.Writer, cl *cluster.Cluster) {
	fmt.Fprintln(out)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NODE\tREDIS CLIENTS\tGRPC\tMETRICS\tRAFT\tBACKEND\tLOG")
	for _, n := range cl.Nodes {
		fmt.Fprintf(w, "%s\t%s\t%s\thttp://%s/metrics\t%s\t%s\t%s\n",
			n.Name, n.Addr(), n.GRPCAddr(), n.MetricsAddr(), n.URL(), n.Backend.Addr(), relative(n.Log))
	}
	w.Flush()
	first, last := cl.Nodes[0], cl.Nodes[len(cl.Nodes)-1]
	fmt.Fprintf(out, `
Any node serves any client. Try:
  redis-cli -p %d set hello world
  redis-cli -p %d get hello
  bin/repl %s listNodes
Ctrl-C stops everything; the data stays.
`, first.Ports.Client, last.Ports.Client, first.GRPCAddr())
}

func relative(path string) string {
	wd, err := os.Getwd()
	if err != nil {
		return path
	}
	if rel, err := filepath.Rel(wd, path); err == nil && !strings.HasPrefix(rel, "..") {
		return rel
	}
	return path
}

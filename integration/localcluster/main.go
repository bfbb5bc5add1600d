// Localcluster runs clusters of three on this machine: three redis-servers and three nodes, three mariadbds and three
// nodes, each started again when it dies. It is what "make run" starts. Ctrl-C or SIGTERM stops everything; the data
// directory stays, and the next run goes on from it.
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
	"github.com/nexus-replication/nexus/raft"
)

// config of the local clusters.
type config struct {
	bin, data string
	only      string // one kind of backend; empty for all
	redis     kind
	mysql     kind
	flags     []string
}

// kind is one of the clusters. The ports of node i are the base plus i.
type kind struct {
	mysql                     bool
	name, program, needs, get string
	ports                     cluster.Ports
}

func main() {
	c := config{
		redis: kind{name: "redis", program: "redis_repl", needs: "redis-server", get: "redis-server redis-tools"},
		mysql: kind{name: "mysql", program: "mysql_repl", needs: "mariadbd", get: "mariadb-server mariadb-client", mysql: true},
	}
	flag.StringVar(&c.bin, "bin", "bin", "directory of the programs")
	flag.StringVar(&c.data, "data", "data", "directory of the nodes and their backends")
	flag.StringVar(&c.only, "only", "", "kind of cluster to run, redis or mysql; both if it is empty")
	portFlags("", "Redis", &c.redis.ports, cluster.Ports{Client: 7001, Raft: 9021, GRPC: 9121, Metrics: 9221})
	flag.IntVar(&c.redis.ports.Backend, "redis-port", 6401, "first of three ports for the redis-servers")
	portFlags("mysql-", "MySQL", &c.mysql.ports, cluster.Ports{Client: 7101, Raft: 9031, GRPC: 9131, Metrics: 9231})
	flag.IntVar(&c.mysql.ports.Backend, "mariadb-port", 33061, "first of three ports for the mariadbds")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "Usage: localcluster [flags] [-- flags for each node]")
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

func portFlags(prefix, clients string, ports *cluster.Ports, first cluster.Ports) {
	flag.IntVar(&ports.Client, prefix+"client-port", first.Client, "first of three ports for "+clients+" clients")
	flag.IntVar(&ports.Raft, prefix+"raft-port", first.Raft, "first of three ports for the nodes among themselves")
	flag.IntVar(&ports.GRPC, prefix+"grpc-port", first.GRPC, "first of three ports for the repl command line")
	flag.IntVar(&ports.Metrics, prefix+"metrics-port", first.Metrics, "first of three ports for HTTP")
}

// kinds returns the clusters that are wanted.
func (c *config) kinds() ([]kind, error) {
	switch c.only {
	case "":
		return []kind{c.redis, c.mysql}, nil
	case c.redis.name:
		return []kind{c.redis}, nil
	case c.mysql.name:
		return []kind{c.mysql}, nil
	}
	return nil, fmt.Errorf("flag -only: %q is neither redis nor mysql", c.only)
}

// run is the whole life of the clusters, up to the end of ctx. It leaves no process behind.
func run(ctx context.Context, conf config, out io.Writer) (err error) {
	clusters, held, err := prepare(ctx, conf, out)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, held.Close()) }()
	out = &lines{w: out}
	fmt.Fprintf(out, "Starting %d nodes and as many backends ...\n", 3*len(clusters))
	watch, cancel := context.WithCancel(ctx)
	var done []<-chan struct{}
	for _, cl := range clusters {
		done = append(done, supervise(watch, cl, out))
	}
	told := make(chan struct{})
	done = append(done, told)
	go func() {
		defer close(told)
		watchServing(watch, clusters, out)
	}()
	defer func() {
		fmt.Fprintln(out, "Stopping the nodes, then the backends ...")
		cancel()
		for _, d := range done {
			<-d
		}
		for _, cl := range clusters {
			if stopErr := cl.Stop(20 * time.Second); stopErr != nil {
				err = errors.Join(err, stopErr)
			}
		}
		if err == nil {
			fmt.Fprintf(out, "Stopped. The data is in %s.\n", conf.data)
		}
	}()
	for _, cl := range clusters {
		members, err := awaitServing(ctx, cl, out)
		if err == nil && cl.Nodes[0].MariaDB != nil {
			err = prepareAccount(ctx, members)
		}
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
	}
	printEndpoints(out, clusters)
	<-ctx.Done()
	return nil
}

// prepare checks what can be checked before anything runs, and reserves the ports of all that will.
func prepare(ctx context.Context, conf config, out io.Writer) ([]*cluster.Cluster, *reservation, error) {
	kinds, err := conf.kinds()
	if err != nil {
		return nil, nil, err
	}
	data, err := filepath.Abs(conf.data)
	if err != nil {
		return nil, nil, err
	}
	var ports []port
	for _, k := range kinds {
		if err := k.installed(conf.bin); err != nil {
			return nil, nil, err
		}
		ports = append(ports, k.wanted()...)
	}
	held, err := reservePorts(ctx, ports, portsWait, out)
	if err != nil {
		return nil, nil, err
	}
	clusters, err := newClusters(conf, kinds, data)
	if err != nil {
		return nil, nil, errors.Join(err, held.Close())
	}
	return clusters, held, nil
}

func (k *kind) installed(bin string) error {
	if _, err := exec.LookPath(k.needs); err != nil {
		return fmt.Errorf("%s is not installed: on Debian, apt-get install %s", k.needs, k.get)
	}
	if _, err := os.Stat(filepath.Join(bin, k.program)); err != nil {
		return fmt.Errorf("%s is not there: run make build", filepath.Join(bin, k.program))
	}
	return nil
}

// wanted is each port of the three nodes, and whose it is.
func (k *kind) wanted() []port {
	var ports []port
	for i, p := range k.nodePorts() {
		node := fmt.Sprintf("%s node %d", k.name, i+1)
		ports = append(ports, port{p.Client, "clients of " + node}, port{p.Raft, "the other nodes at " + node},
			port{p.GRPC, "gRPC of " + node}, port{p.Metrics, "metrics of " + node}, port{p.Backend, k.needs + " of " + node})
	}
	return ports
}

func (k *kind) nodePorts() []cluster.Ports {
	var ports []cluster.Ports
	for i := range 3 {
		ports = append(ports, cluster.Ports{
			Client: k.ports.Client + i, Raft: k.ports.Raft + i, GRPC: k.ports.GRPC + i,
			Metrics: k.ports.Metrics + i, Backend: k.ports.Backend + i,
		})
	}
	return ports
}

func newClusters(conf config, kinds []kind, data string) ([]*cluster.Cluster, error) {
	if err := os.MkdirAll(data, 0o755); err != nil {
		return nil, err
	}
	var clusters []*cluster.Cluster
	for _, k := range kinds {
		binary, err := filepath.Abs(filepath.Join(conf.bin, k.program))
		if err != nil {
			return nil, err
		}
		cl, err := cluster.New(cluster.Options{Binary: binary, MySQL: k.mysql, Dir: data, Ports: k.nodePorts(), Flags: conf.flags})
		if err != nil {
			return nil, err
		}
		clusters = append(clusters, cl)
	}
	return clusters, nil
}

// awaitServing waits until each node serves, and returns those: whoever was removed from the cluster never will. Children that die
// meanwhile are the supervisor's business, unless they go on dying.
func awaitServing(ctx context.Context, cl *cluster.Cluster, out io.Writer) (members []*cluster.Node, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for _, n := range cl.Nodes {
		for {
			try, done := context.WithTimeout(ctx, time.Second)
			err := n.Ready(try)
			done()
			if err == nil {
				members = append(members, n)
				break
			}
			if strings.Contains(err.Error(), raft.ErrRemoved.Error()) {
				fmt.Fprintf(out, "%s was removed from the cluster and serves nobody. To have it again, stop, move %s away, start, and addNode %s.\n",
					n.Name, relative(n.DataDir), n.URL())
				break
			}
			select {
			case <-ctx.Done():
				return nil, fmt.Errorf("%s does not serve: %w; see %s", n.Name, err, n.Log)
			case <-time.After(50 * time.Millisecond):
			}
		}
	}
	if len(members) == 0 {
		return nil, fmt.Errorf("no node of %s is in a cluster any more", cl.Nodes[0].Name)
	}
	return members, nil
}

func printEndpoints(out io.Writer, clusters []*cluster.Cluster) {
	for _, cl := range clusters {
		kind := "REDIS"
		if cl.Nodes[0].MariaDB != nil {
			kind = "MYSQL"
		}
		fmt.Fprintln(out)
		w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "NODE\t"+kind+" CLIENTS\tGRPC\tMETRICS\tRAFT\tBACKEND\tLOG")
		for _, n := range cl.Nodes {
			fmt.Fprintf(w, "%s\t%s\t%s\thttp://%s/metrics\t%s\t%s\t%s\n",
				n.Name, n.Addr(), n.GRPCAddr(), n.MetricsAddr(), n.URL(), n.BackendAddr(), relative(n.Log))
		}
		w.Flush()
	}
	fmt.Fprint(out, "\nAny node serves any client. Try:\n")
	for _, cl := range clusters {
		first, last := cl.Nodes[0], cl.Nodes[len(cl.Nodes)-1]
		if first.MariaDB != nil {
			fmt.Fprintf(out, "  mariadb -h 127.0.0.1 -P %d -u app -papp app   (or -u root, without a password, for accounts)\n", first.Ports.Client)
			continue
		}
		fmt.Fprintf(out, "  redis-cli -p %d set hello world\n  redis-cli -p %d get hello\n  bin/repl %s listNodes\n",
			first.Ports.Client, last.Ports.Client, first.GRPCAddr())
	}
	fmt.Fprint(out, "Ctrl-C stops everything; the data stays.\n")
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

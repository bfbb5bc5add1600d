// Soak runs a cluster of Redis and one of MariaDB for some minutes at a moderate load, with clients that behave and
// clients that vanish in the middle of everything, and looks for what grows: memory, goroutines, open files, the log on
// disk. It fails if something does, if a follower falls behind, or if the nodes differ in the end.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster"
	"github.com/nexus-replication/nexus/proxy/admin/nexuspb"
)

// idle is how long nothing is asked before and after the load, so that what is left over shows.
const idle = 10 * time.Second

type config struct {
	bin      string
	duration time.Duration
	pause    time.Duration
	workers  int
	rude     int
}

func main() {
	var c config
	flag.StringVar(&c.bin, "bin", "bin", "directory of the programs")
	flag.DurationVar(&c.duration, "duration", 10*time.Minute, "time under load")
	flag.DurationVar(&c.pause, "pause", 10*time.Millisecond, "what each client rests between two commands")
	flag.IntVar(&c.workers, "clients", 8, "clients of each kind of cluster that behave")
	flag.IntVar(&c.rude, "rude", 4, "clients of each kind of cluster, at a time, that vanish")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, c, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, c config, out io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "nexus-soak-")
	if err != nil {
		return err
	}
	clusters, err := start(ctx, c, dir)
	defer func() {
		for _, cl := range clusters {
			err = errors.Join(err, cl.Stop(20*time.Second))
		}
		if err == nil {
			err = os.RemoveAll(dir)
			return
		}
		fmt.Fprintf(out, "Logs and data are in %s.\n", dir)
	}()
	if err != nil {
		return err
	}
	if err := prepareBank(ctx, clusters[1].Nodes[0]); err != nil {
		return err
	}
	w := newWatch(clusters)
	fmt.Fprintf(out, "%v of load on two clusters of three, with %d clients and %d that vanish each.\n", c.duration, c.workers, c.rude)
	if err := rest(ctx, idle); err != nil {
		return err
	}
	before, err := w.look(ctx)
	if err != nil {
		return err
	}
	w.begin = time.Now()
	counts, err := w.during(ctx, c, clusters)
	if err != nil {
		return err
	}
	if err := rest(ctx, idle); err != nil {
		return err
	}
	after, err := w.look(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, counts)
	verdict := errors.Join(w.report(out, before, after), audit(ctx, clusters[1].Nodes[0]))
	for _, cl := range clusters {
		verdict = errors.Join(verdict, compare(ctx, cl.Nodes[0]))
	}
	return verdict
}

// start starts a cluster of each kind, with snapshots often enough that several of them are taken and purged.
func start(ctx context.Context, c config, dir string) ([]*cluster.Cluster, error) {
	bin, err := filepath.Abs(c.bin)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	var clusters []*cluster.Cluster
	for _, o := range []cluster.Options{
		{Binary: filepath.Join(bin, "redis_repl"), Dir: filepath.Join(dir, "redis"), Flags: []string{"-nexus-snapshot-count", "1000"}},
		{Binary: filepath.Join(bin, "mysql_repl"), Dir: filepath.Join(dir, "mysql"), MySQL: true, Flags: []string{"-nexus-snapshot-count", "1000"}},
	} {
		if err := os.MkdirAll(o.Dir, 0o755); err != nil {
			return clusters, err
		}
		cl, err := cluster.New(o)
		if err != nil {
			return clusters, err
		}
		clusters = append(clusters, cl)
		if err := cl.StartReady(ctx); err != nil {
			return clusters, err
		}
	}
	return clusters, nil
}

// during lets the clients work for the time, and looks at the processes meanwhile.
func (w *watch) during(ctx context.Context, c config, clusters []*cluster.Cluster) (fmt.Stringer, error) {
	ctx, cancel := context.WithTimeout(ctx, c.duration)
	defer cancel()
	var clients sync.WaitGroup
	counts := new(tally)
	redis, mysql := clusters[0].Nodes, clusters[1].Nodes
	for i := range c.workers {
		clients.Go(func() { workRedis(ctx, redis[i%len(redis)], i, c.pause, &counts.redis) })
		clients.Go(func() { workMySQL(ctx, mysql[i%len(mysql)], i, c.pause, &counts.mysql) })
	}
	for i := range c.rude {
		clients.Go(func() { vanishFromRedis(ctx, redis[i%len(redis)], i, &counts.redis) })
		clients.Go(func() { vanishFromMySQL(ctx, mysql[i%len(mysql)], i, &counts.mysql) })
	}
	err := w.until(ctx)
	clients.Wait()
	return counts, err
}

// compare has the nodes compare their data.
func compare(ctx context.Context, n *cluster.Node) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	return n.Admin(func(c nexuspb.NexusClient) error {
		resp, err := c.Verify(ctx, &nexuspb.VerifyRequest{})
		if err == nil && !resp.GetEqual() {
			err = fmt.Errorf("the nodes of %s differ: %v", n.Name, resp.GetMembers())
		}
		return err
	})
}

// rest waits, or returns why not.
func rest(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

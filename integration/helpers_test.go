package integration

import (
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/go-redis/redis/v8"

	"github.com/nexus-replication/nexus/integration/cluster"
	"github.com/nexus-replication/nexus/integration/cluster/clustertest"
)

// The words of these tests.
var (
	within     = clustertest.Within
	signalled  = clustertest.Signalled
	check      = clustertest.Check
	eventually = clustertest.Eventually
)

// must returns v, or fails the test.
func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		check(t, err)
		return v
	}
}

// newCluster is clustertest.New with the program that was built for this run, unless opts names another one.
func newCluster(t *testing.T, opts cluster.Options) *cluster.Cluster {
	t.Helper()
	if opts.Binary == "" {
		opts.Binary = nodeBinary
	}
	return clustertest.New(t, opts)
}

// startCluster returns a cluster of three of which each node serves.
func startCluster(t *testing.T, flags ...string) *cluster.Cluster {
	t.Helper()
	c := newCluster(t, cluster.Options{Flags: flags})
	check(t, c.StartReady(within(t, 40*time.Second)))
	return c
}

// client returns a client of one node that is closed when the test ends.
func client(t *testing.T, n *cluster.Node, db int) *redis.Client {
	t.Helper()
	c := n.Client(db)
	t.Cleanup(func() { c.Close() })
	return c
}

// startRedis returns a plain redis-server that is gone when the test ends.
func startRedis(t *testing.T) *cluster.Redis {
	t.Helper()
	port := must(cluster.FreePort())(t)
	r := must(cluster.NewRedis("plain", t.TempDir(), port))(t)
	check(t, r.StartReady(within(t, 40*time.Second)))
	t.Cleanup(func() {
		if err := r.Kill(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// outcome of a write as its client knows it.
type outcome int

const (
	acknowledged outcome = iota
	notDone              // safe to ask again
	unknown              // done, or not, or still to be done
)

// outcomeOf judges a write by its error.
func outcomeOf(err error) outcome {
	var dial *net.OpError
	switch {
	case err == nil, errors.Is(err, redis.Nil):
		return acknowledged
	case strings.HasPrefix(err.Error(), "TRYAGAIN "):
		return notDone
	case errors.As(err, &dial) && dial.Op == "dial":
		return notDone
	default:
		return unknown
	}
}

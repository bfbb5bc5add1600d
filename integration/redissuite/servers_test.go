package redissuite

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/go-redis/redis/v8"

	"github.com/nexus-replication/nexus/integration/cluster"
	"github.com/nexus-replication/nexus/integration/cluster/clustertest"
	"github.com/nexus-replication/nexus/proxy/admin/nexuspb"
)

// lab is a server alone and a cluster. Neither is mended between units: what one leaves, the next one meets.
type lab struct {
	alone   *cluster.Redis
	cluster *cluster.Cluster
	node    *cluster.Node // that the suite goes through
}

func newLab(t *testing.T) *lab {
	t.Helper()
	port, err := cluster.FreePort()
	check(t, err)
	alone, err := cluster.NewRedis("alone", filepath.Join(t.TempDir(), "alone"), port)
	check(t, err)
	l := &lab{alone: alone, cluster: clustertest.New(t, cluster.Options{Binary: nodeBinary})}
	check(t, alone.StartReady(clustertest.Within(t, 30*time.Second)))
	t.Cleanup(func() { _ = l.alone.Kill() })
	check(t, l.cluster.StartReady(clustertest.Within(t, 60*time.Second)))
	l.choose(t)
	return l
}

// choose takes the node that leads now, or one that does not.
func (l *lab) choose(t *testing.T) {
	t.Helper()
	ctx := clustertest.Within(t, 60*time.Second)
	leader, err := l.cluster.Leader(ctx)
	check(t, err)
	switch {
	case !*follower:
		l.node = leader
	case l.node == nil || l.node == leader:
		l.node, err = l.cluster.Follower(ctx)
		check(t, err)
	}
}

// serves waits until all nodes serve and answer a client's write.
func (l *lab) serves(ctx context.Context) error {
	if err := l.cluster.AwaitReady(ctx); err != nil {
		return err
	}
	for _, n := range l.cluster.Nodes {
		if err := awaitWrite(ctx, n); err != nil {
			return fmt.Errorf("%s does not serve: %w", n.Name, err)
		}
	}
	return nil
}

func awaitWrite(ctx context.Context, n *cluster.Node) error {
	c := n.Client(0)
	defer c.Close()
	for {
		err := c.Del(ctx, "nexus-redissuite").Err() // taken also with a maxmemory that was left behind
		if err == nil || ctx.Err() != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// settings are what CONFIG GET tells.
func settings(ctx context.Context, c *redis.Client) (map[string]string, error) {
	defer c.Close()
	pairs, err := c.ConfigGet(ctx, "*").Result()
	if err != nil {
		return nil, err
	}
	values := make(map[string]string)
	for i := 0; i+1 < len(pairs); i += 2 {
		values[fmt.Sprint(pairs[i])] = fmt.Sprint(pairs[i+1])
	}
	return values, nil
}

// changed are the names of the settings that are not what they were, in order.
func changed(were, are map[string]string) []string {
	var names []string
	for name, value := range are {
		if were[name] != value {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// verify compares the data of the three nodes.
func (l *lab) verify(ctx context.Context) (string, error) {
	said := ""
	err := l.node.Admin(func(c nexuspb.NexusClient) error {
		report, err := c.Verify(ctx, &nexuspb.VerifyRequest{})
		if err != nil {
			return err
		}
		if said = report.String(); !report.GetEqual() || len(report.GetMembers()) != len(l.cluster.Nodes) {
			return errors.New("the replicas are not equal: " + said)
		}
		return nil
	})
	return said, err
}

func check(t *testing.T, err error) {
	t.Helper()
	clustertest.Check(t, err)
}

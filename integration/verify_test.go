package integration

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// TestVerify damages one backend by hand, under load, and sees it found and healed: by an operator, then by itself.
func TestVerify(t *testing.T) {
	t.Parallel()
	for _, auto := range []bool{false, true} {
		t.Run(fmt.Sprint("auto=", auto), func(t *testing.T) {
			t.Parallel()
			c := startCluster(t, fmt.Sprint("-nexus-auto-repair=", auto), "-nexus-snapshot-count", "2000")
			db := client(t, c.Nodes[0], 3)
			for i := range 200 {
				check(t, db.HSet(within(t, 40*time.Second), fmt.Sprint("h:", i), "f", i).Err())
			}
			l := startLoad(t, c.Nodes, 4)
			if out, err := repl(t, c.Nodes[1], "verify"); err != nil || strings.Count(out, "equal") != 3 {
				t.Fatalf("%v: %s", err, out)
			}
			for _, lead := range []bool{false, true} {
				damageAndRepair(t, c, pick(t, c, lead), auto)
			}
			l.awaitProgress(t, 100)
			l.finish()
			l.verify(t, must(c.AwaitEqual(within(t, 40*time.Second)))(t))
		})
	}
}

func damageAndRepair(t *testing.T, c *cluster.Cluster, odd *cluster.Node, auto bool) {
	t.Helper()
	ctx := within(t, 60*time.Second)
	backend := odd.Backend.Client(3)
	defer backend.Close()
	check(t, backend.HSet(ctx, "h:7", "f", "damaged").Err())
	check(t, backend.Del(ctx, "h:8").Err())
	check(t, backend.Set(ctx, "stray", "v", 0).Err())
	other := survivors(c, odd)[0]
	out, err := repl(t, other, "verify")
	if err == nil || !strings.Contains(out, "DIFFERS in 3 keys of db3") {
		t.Fatalf("verify: %v: %s", err, out)
	}
	if !auto {
		if err := client(t, odd, 3).HGet(ctx, "h:7", "f").Err(); err == nil || !strings.Contains(err.Error(), "differs from that of the other nodes") {
			t.Errorf("the damaged node answers: %v", err)
		}
		if out, err := repl(t, odd, "repair"); err != nil {
			t.Fatalf("repair: %v: %s", err, out)
		}
	}
	check(t, odd.AwaitReady(ctx))
	eventually(t, 40*time.Second, func() error { return repaired(ctx, t, odd) })
	if out, err := repl(t, other, "verify"); err != nil {
		t.Errorf("verify after the repair: %v: %s", err, out)
	}
}

func repaired(ctx context.Context, t *testing.T, n *cluster.Node) error {
	t.Helper()
	status, err := n.Status(ctx)
	if err == nil && (status.GetQuarantined() || !status.GetServing()) {
		err = fmt.Errorf("%s is out of service: %s", n.Name, status.GetProblem())
	}
	if err != nil {
		return err
	}
	got, err := client(t, n, 3).HGet(ctx, "h:7", "f").Result()
	if err == nil && got != "7" {
		t.Fatalf("%s answers %q", n.Name, got)
	}
	return err
}

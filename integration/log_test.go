package integration

import (
	"testing"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster"
	"github.com/nexus-replication/nexus/integration/cluster/clustertest"
)

func TestLog(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			clustertest.CheckLog(t, cluster.Options{Binary: nodeBinary}, format, func(n *cluster.Node) {
				db, ctx := client(t, n, 0), within(t, 60*time.Second)
				for range 100 {
					check(t, db.Incr(ctx, "n").Err())
					check(t, db.Get(ctx, "n").Err())
				}
			})
		})
	}
}

package mysql

import (
	"testing"

	"github.com/nexus-replication/nexus/integration/cluster"
	"github.com/nexus-replication/nexus/integration/cluster/clustertest"
)

func TestLog(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			clustertest.CheckLog(t, cluster.Options{Binary: nodeBinary, MySQL: true}, format, func(n *cluster.Node) {
				db := open(t, n)
				execute(t, db, "CREATE DATABASE d", "CREATE TABLE d.t (n INT PRIMARY KEY)", "INSERT INTO d.t VALUES (1)")
				for range 50 {
					execute(t, db, "UPDATE d.t SET n=n+1")
					mustQuery(t, db, "SELECT n FROM d.t")
				}
			})
		})
	}
}

package mysql

import (
	"fmt"
	"io"
	"net/http"
	osexec "os/exec"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster"
	"github.com/nexus-replication/nexus/integration/cluster/clustertest"
)

// The metrics of a node are as Prometheus wants them, and tell whether its server can be used.
func TestMetrics(t *testing.T) {
	t.Parallel()
	c := newCluster(t, cluster.Options{Size: 1})
	check(t, c.StartReady(within(t, 60*time.Second)))
	n := c.Nodes[0]
	up := func(want string) {
		t.Helper()
		eventually(t, 60*time.Second, func() error {
			if got := clustertest.Metric(t, n, "nexus_backend_up"); got != want {
				return fmt.Errorf("nexus_backend_up is %s, want %s", got, want)
			}
			return nil
		})
	}
	up("1")
	execute(t, open(t, n), "CREATE DATABASE d", "CREATE TABLE d.t (n INT PRIMARY KEY)", "INSERT INTO d.t VALUES (1)")
	if promtool, err := osexec.LookPath("promtool"); err == nil {
		resp, err := http.Get("http://" + n.MetricsAddr() + "/metrics")
		check(t, err)
		defer resp.Body.Close()
		lint := osexec.CommandContext(within(t, 60*time.Second), promtool, "check", "metrics")
		lint.Stdin = resp.Body
		if out, err := lint.CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("promtool: %v\n%s", err, out)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
	}
	check(t, n.MariaDB.Kill())
	up("0")
	check(t, n.MariaDB.StartReady(within(t, 60*time.Second)))
	up("1")
}

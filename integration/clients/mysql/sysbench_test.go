//go:build clients

package mysql

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// All loads of sysbench run without an error, with and without prepared statements.
func TestSysbench(t *testing.T) {
	need(t, []string{"sysbench", "--version"}, "sysbench")
	c, leader := startCluster(t)
	follower, err := c.Follower(within(t, 20*time.Second))
	check(t, err)
	for _, node := range []struct {
		role string
		at   *cluster.Node
	}{{"leader", leader}, {"follower", follower}} {
		database := "sysbench_" + node.role
		createDatabase(t, node.at, database)
		sysbench(t, node.at, database, "oltp_common", "prepare")
		for _, load := range []string{
			"oltp_insert", "oltp_delete", "oltp_update_index", "oltp_update_non_index", "oltp_write_only", "oltp_read_write",
			"oltp_read_only", "oltp_point_select", "select_random_points", "select_random_ranges",
		} {
			for _, mode := range []string{"auto", "disable"} {
				t.Run(node.role+"/"+load+"/"+mode, func(t *testing.T) {
					out := sysbench(t, node.at, database, load, "run", "--db-ps-mode="+mode)
					if strings.Contains(out, "FATAL") || !strings.Contains(out, "reconnects:                          0") {
						t.Error(out)
					}
				})
			}
		}
		sysbench(t, node.at, database, "bulk_insert", "prepare")
		sysbench(t, node.at, database, "bulk_insert", "run")
	}
	awaitEqual(t, c)
	verify(t, c)
}

func sysbench(t *testing.T, n *cluster.Node, database, load, command string, options ...string) string {
	t.Helper()
	if load == "oltp_common" {
		load = "oltp_read_write" // any of them prepares for all
	}
	args := append([]string{load, "--mysql-host=127.0.0.1", fmt.Sprintf("--mysql-port=%d", n.Ports.Client), "--mysql-user=app", "--mysql-password=app",
		"--mysql-db=" + database, "--threads=4", "--events=400", "--time=20"}, options...)
	if load != "bulk_insert" {
		args = append(args, "--tables=2", "--table-size=1000")
	}
	out, err := exec.CommandContext(within(t, time.Minute), "sysbench", append(args, command)...).CombinedOutput()
	if err != nil {
		t.Fatalf("sysbench %s %s: %v\n%s", load, command, err, out)
	}
	return string(out)
}

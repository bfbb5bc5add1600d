package mysql

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// A leader whose server hangs in writing its binary log, since the disk of that is full, hands over, also where the one transaction that
// is under way hangs before anything of it is in the log of Nexus.
func TestBinlogDiskFull(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("mounting a small disk takes root")
	}
	c := newCluster(t, cluster.Options{})
	disks := make(map[*cluster.Node]*cluster.Tmpfs)
	for _, n := range c.Nodes {
		dir := filepath.Join(t.TempDir(), "binlog")
		disk, err := cluster.MountTmpfs(dir, 64)
		if err != nil {
			t.Skip(err)
		}
		t.Cleanup(func() {
			check(t, n.MariaDB.Kill())
			check(t, disk.Unmount())
		})
		n.MariaDB.Args = append(n.MariaDB.Args, "--log-bin="+filepath.Join(dir, "bin"))
		disks[n] = disk
	}
	check(t, c.StartReady(within(t, 60*time.Second)))
	old, err := c.Leader(within(t, 40*time.Second))
	check(t, err)
	db := open(t, old)
	execute(t, db, "CREATE DATABASE app", "CREATE TABLE app.t (id INT PRIMARY KEY, pad TEXT)")
	execute(t, db, "INSERT INTO app.t VALUES (0, REPEAT('x', 10000))")
	check(t, disks[old].Fill())
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	_, err = db.ExecContext(ctx, "INSERT INTO app.t VALUES (1, REPEAT('x', 10000))")
	if err == nil || ctx.Err() != nil {
		t.Fatalf("a write with a full disk: %v, %v", err, ctx.Err())
	}
	eventually(t, 40*time.Second, func() error {
		leader, err := c.Leader(within(t, 5*time.Second))
		if err == nil && leader == old {
			err = fmt.Errorf("%s still leads", old.Name)
		}
		return err
	})
	execute(t, open(t, c.Others(old)[0]), "INSERT INTO app.t VALUES (2, 'while it is full')")

	check(t, disks[old].Free())
	check(t, old.MariaDB.Kill()) // it looks for space once a minute
	check(t, old.MariaDB.StartReady(within(t, 40*time.Second)))
	check(t, old.AwaitReady(within(t, 40*time.Second)))
	awaitAnswer(t, open(t, old), "SELECT COUNT(*) FROM app.t WHERE id<>1", "2")
}

package integration

import (
	"fmt"
	"testing"
	"time"
)

// SAVE is answered when a snapshot of all that was answered before is on the disk of the node, whichever it is.
func TestSave(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	ctx := within(t, 120*time.Second)
	for _, n := range c.Nodes {
		db := client(t, n, 0)
		check(t, db.Set(ctx, "k", n.Name, 0).Err())
		check(t, db.Save(ctx).Err())
		status := must(n.Status(ctx))(t)
		if status.GetSnapshot() == 0 || status.GetSnapshot() > status.GetApplied() {
			t.Errorf("%s: the snapshot is at %d of %d", n.Name, status.GetSnapshot(), status.GetApplied())
		}
		before := status.GetSnapshot()
		saved := must(db.LastSave(ctx).Result())(t)
		time.Sleep(time.Second) // LASTSAVE counts seconds
		check(t, db.Set(ctx, "k", "again", 0).Err())
		check(t, db.BgSave(ctx).Err())
		eventually(t, 40*time.Second, func() error {
			if at := must(db.LastSave(ctx).Result())(t); at == saved {
				return fmt.Errorf("LASTSAVE is still %d", at)
			}
			return nil
		})
		if after := must(n.Status(ctx))(t).GetSnapshot(); after <= before {
			t.Errorf("%s: after BGSAVE the snapshot is at %d, as before", n.Name, after)
		}
	}
}

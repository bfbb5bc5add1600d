package integration

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// refused are commands that would touch one backend only, its files or its bookkeeping, or do something else on each.
// A later version may do some of them right; none may ever be passed through as it is.
var refused = []string{
	"SELECT 13", "MOVE k 13", "COPY k x DB 13", "SWAPDB 0 13",
	"DEBUG RELOAD", "DEBUG SLEEP 0 1", "DEBUG OBJECT k", "SHUTDOWN NOSAVE", "REPLICAOF NO ONE", "SLAVEOF 127.0.0.1 1", "FAILOVER",
	"BGREWRITEAOF", "CONFIG REWRITE", "CONFIG SET maxmemory-clients 1", "MODULE LOAD /x.so",
	"MIGRATE 127.0.0.1 1 k 0 10", "CLUSTER RESET", "PSYNC ? -1", "SYNC", "REPLCONF listening-port 1",
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	ctx := within(t, 60*time.Second)
	check(t, client(t, c.Nodes[0], 0).Set(ctx, "k", "v", 0).Err())
	for _, n := range c.Nodes {
		for _, line := range refused {
			conn := dialRaw(t, n.Addr(), 2)
			reply, err := conn.do(strings.Fields(line))
			if err != nil || !bytes.HasPrefix(reply, []byte("-")) {
				t.Errorf("%s: %s answers %q, %v, want an error", n.Name, line, reply, err)
			}
		}
	}
	for _, n := range c.Nodes {
		if got, err := client(t, n, 0).Get(ctx, "k").Result(); err != nil || got != "v" {
			t.Errorf("%s: k is %q, %v", n.Name, got, err)
		}
		if !n.Running() || !n.Backend.Running() {
			t.Errorf("%s or its backend has ended", n.Name)
		}
	}
	state, err := c.AwaitEqual(ctx)
	if err != nil || len(state) != 1 {
		t.Errorf("the backends hold %v, %v, want k only", state, err)
	}
}

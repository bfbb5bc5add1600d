package clustertest

import (
	"syscall"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// Signalled waits until a process has ended by itself after a signal, and returns how long that took.
func Signalled(t *testing.T, n *cluster.Node, s syscall.Signal) time.Duration {
	t.Helper()
	begin := time.Now()
	Check(t, syscall.Kill(n.Pid(), s))
	select {
	case <-n.Exited():
	case <-time.After(30 * time.Second):
		t.Fatalf("%s does not end after %v:\n%s", n.Name, s, n.Output())
	}
	return time.Since(begin)
}

package integration

import (
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// TestSystemd listens where systemd does for a service of type notify.
func TestSystemd(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "notify")
	conn := must(net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"}))(t)
	defer conn.Close()
	expect := func(want string) {
		t.Helper()
		check(t, conn.SetReadDeadline(time.Now().Add(30*time.Second)))
		got := make([]byte, 100)
		n, err := conn.Read(got)
		if err != nil || string(got[:n]) != want {
			t.Fatalf("systemd is told %q, %v, want %q", got[:n], err, want)
		}
	}
	c := newCluster(t, cluster.Options{Size: 1})
	n := c.Nodes[0]
	n.Env = []string{"NOTIFY_SOCKET=" + path}
	check(t, n.Backend.StartReady(within(t, 40*time.Second)))
	check(t, n.Start())
	expect("READY=1")
	check(t, n.Stop(15*time.Second))
	expect("STOPPING=1")
}

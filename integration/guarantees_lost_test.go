package integration

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// TestGuaranteeReplyLost is the row of docs/guarantees.md in which the connection to the backend is lost between a write
// and its reply. The backend is paused and finds, when it goes on, first the write and then the order to close that
// connection: it executes both before it sends the reply to either.
func TestGuaranteeReplyLost(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	n := must(c.Follower(within(t, 40*time.Second)))(t)
	check(t, client(t, n, 0).Set(within(t, 40*time.Second), "known", "value", 0).Err())
	for try := 0; ; try++ {
		if loseReply(t, n, fmt.Sprint("lost:", try)) {
			return
		}
		if try == 50 {
			t.Fatal("no reply could be lost")
		}
	}
}

// loseReply reports false if the write was not on its way to the backend in time, or was answered.
func loseReply(t *testing.T, n *cluster.Node, key string) bool {
	t.Helper()
	control := must(net.Dial("tcp", n.Backend.Addr()))(t)
	defer control.Close()
	kill := killAll(t, n.Backend)
	// The node looks at an idle backend now and then, and sends nothing else meanwhile: not right behind a write.
	check(t, client(t, n, 0).Set(within(t, 40*time.Second), "before", key, 0).Err())
	check(t, n.Backend.Pause())
	write, read := make(chan string, 1), make(chan string, 1)
	value := strings.Repeat("v", 2000)
	go func() { write <- say(n, "SET", key, value) }()
	go func() { read <- say(n, "GET", "known") }()
	arrived := false
	for deadline := time.Now().Add(200 * time.Millisecond); !arrived && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		arrived = must(unread(n.Backend.Port))(t) > len(value)
	}
	if arrived {
		_, err := io.WriteString(control, kill)
		check(t, err)
	}
	check(t, n.Backend.Resume())
	got := <-write
	if what := <-read; arrived && what != "value" {
		t.Errorf("a read beside it was told %q", what)
	}
	if !strings.HasPrefix(got, "-UNKNOWNOUTCOME ") {
		return false
	}
	if want := "-UNKNOWNOUTCOME nexus: the command was executed, but its reply was lost: "; !strings.HasPrefix(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
	if now := say(n, "GET", key); now != value {
		t.Errorf("%s is %q after the client was told that the command was executed", key, now)
	}
	return true
}

// killAll returns the commands that close all connections to a redis-server that there are now.
func killAll(t *testing.T, r *cluster.Redis) string {
	t.Helper()
	c := r.Client(0)
	defer c.Close()
	var kill strings.Builder
	for line := range strings.Lines(must(c.ClientList(within(t, 40*time.Second)).Result())(t)) {
		id, _, _ := strings.Cut(strings.TrimPrefix(line, "id="), " ")
		fmt.Fprintf(&kill, "CLIENT KILL ID %s SKIPME yes\r\n", id)
	}
	return kill.String()
}

// say returns the reply to a command, or what became of the connection.
func say(n *cluster.Node, command ...string) string {
	reply, err := raw(n, command...)
	if err != nil {
		return err.Error()
	}
	return reply
}

// unread returns the most bytes that the system holds for a connection of the server at port, which has not read them.
// The fields of /proc/net/tcp are sl, local address, remote address, state, and both queues.
func unread(port int) (most int, err error) {
	f, err := os.Open("/proc/net/tcp")
	if err != nil {
		return 0, err
	}
	defer f.Close()
	at := fmt.Sprintf(":%04X", port)
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 5 || !strings.HasSuffix(fields[1], at) {
			continue
		}
		_, queue, _ := strings.Cut(fields[4], ":")
		n, err := strconv.ParseInt(queue, 16, 64)
		if err != nil {
			return 0, fmt.Errorf("queue %q: %w", fields[4], err)
		}
		most = max(most, int(n))
	}
	return most, nil
}

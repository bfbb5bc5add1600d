package integration

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-redis/redis/v8"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// local is what "make run" starts, on ports of its own.
type local struct {
	cluster.Process
	client, backend, raft, grpc int // first of three ports each
}

func newLocal(t *testing.T) *local {
	t.Helper()
	dir := t.TempDir()
	l := &local{
		Process: cluster.Process{Name: "localcluster", Path: localclusterBinary, Log: filepath.Join(dir, "log")},
		client:  must(cluster.FreePorts(3))(t),
		backend: must(cluster.FreePorts(3))(t),
		raft:    must(cluster.FreePorts(3))(t),
		grpc:    must(cluster.FreePorts(3))(t),
	}
	l.Args = []string{
		"-bin", binDir, "-data", filepath.Join(dir, "data"), "-only", "redis",
		"-client-port", strconv.Itoa(l.client), "-redis-port", strconv.Itoa(l.backend),
		"-raft-port", strconv.Itoa(l.raft), "-grpc-port", strconv.Itoa(l.grpc),
		"-metrics-port", strconv.Itoa(must(cluster.FreePorts(3))(t)),
	}
	t.Cleanup(func() {
		if err := l.Kill(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func (l *local) startReady(t *testing.T) {
	t.Helper()
	check(t, l.Start())
	eventually(t, 40*time.Second, func() error {
		if !l.Running() {
			t.Fatalf("localcluster ended: %v\n%s", l.Err(), l.Output())
		}
		if !strings.Contains(l.Output(), "redis-cli -p "+strconv.Itoa(l.client)) {
			return fmt.Errorf("no redis-cli line yet:\n%s", l.Output())
		}
		return nil
	})
}

func (l *local) stop(t *testing.T) {
	t.Helper()
	if err := l.Stop(30 * time.Second); err != nil || l.ExitCode() != 0 {
		t.Errorf("stopping localcluster: %v, exit status %d\n%s", err, l.ExitCode(), l.Output())
	}
	for i := range 3 {
		for _, port := range []int{l.client + i, l.backend + i} {
			if conn, err := net.Dial("tcp", cluster.Address(port)); err == nil {
				conn.Close()
				t.Errorf("something still listens on port %d", port)
			}
		}
	}
}

func (l *local) db(t *testing.T, i int) *redis.Client {
	t.Helper()
	c := redis.NewClient(&redis.Options{Addr: cluster.Address(l.client + i), MaxRetries: -1})
	t.Cleanup(func() { c.Close() })
	return c
}

func TestLocalcluster(t *testing.T) {
	t.Parallel()
	l := newLocal(t)
	ctx := within(t, 120*time.Second)
	l.startReady(t)
	check(t, l.db(t, 0).Set(ctx, "hello", "world", 0).Err())

	// A second one on the same ports says so, and leaves the first alone.
	second := &cluster.Process{Name: "second", Path: l.Path, Args: l.Args, Log: filepath.Join(t.TempDir(), "log")}
	check(t, second.Start())
	<-second.Exited()
	if output := second.Output(); second.ExitCode() != 1 || !strings.Contains(output, strconv.Itoa(l.client)) || !strings.Contains(output, "in use") {
		t.Errorf("a second localcluster on the same ports: exit status %d, %s", second.ExitCode(), output)
	}

	// A backend and a node that die are started again.
	backend := redis.NewClient(&redis.Options{Addr: cluster.Address(l.backend), MaxRetries: -1})
	defer backend.Close()
	check(t, killListener(l.backend))
	eventually(t, 40*time.Second, func() error {
		if err := readOr(t, l.db(t, 0), "hello", "world"); err != nil {
			return err
		}
		return backend.Get(ctx, "hello").Err()
	})
	check(t, killListener(l.client+1))
	if !strings.Contains(l.Output(), "the last of ") {
		t.Errorf("localcluster does not show what the process said last:\n%s", l.Output())
	}
	eventually(t, 40*time.Second, func() error { return readOr(t, l.db(t, 1), "hello", "world") })
	if !strings.Contains(l.Output(), "redis-1 ended") || !strings.Contains(l.Output(), "node-2 ended") {
		t.Errorf("localcluster does not say what died:\n%s", l.Output())
	}

	l.stop(t)
	l.startReady(t)
	for i := range 3 {
		if got, err := l.db(t, i).Get(ctx, "hello").Result(); err != nil || got != "world" {
			t.Errorf("node %d after a restart: %q, %v", i+1, got, err)
		}
	}
	l.stop(t)
}

// A node that was removed does not keep the others from being started again.
func TestLocalclusterWithoutOne(t *testing.T) {
	t.Parallel()
	l := newLocal(t)
	l.startReady(t)
	check(t, l.db(t, 0).Set(within(t, 40*time.Second), "hello", "world", 0).Err())
	if out, err := exec.Command(filepath.Join(binDir, "repl"), cluster.Address(l.grpc), "removeNode", "http://"+cluster.Address(l.raft+2)).CombinedOutput(); err != nil {
		t.Fatalf("removeNode: %v: %s", err, out)
	}
	l.stop(t)
	l.startReady(t)
	if out := l.Output(); !strings.Contains(out, "node-3 was removed from the cluster") {
		t.Errorf("nothing is said of the one that was removed:\n%s", out)
	}
	check(t, readOr(t, l.db(t, 1), "hello", "world"))
	l.stop(t)
}

// readOr returns the error of a read that is not answered, and fails the test if it is answered wrongly.
func readOr(t *testing.T, db *redis.Client, key, want string) error {
	t.Helper()
	got, err := db.Get(within(t, 40*time.Second), key).Result()
	if errors.Is(err, redis.Nil) || (err == nil && got != want) {
		t.Fatalf("%s is %q, %v, want %q", key, got, err, want)
	}
	return err
}

// killListener kills the process that listens on a port of this machine.
func killListener(port int) error {
	inode, err := listenerInode(port)
	if err != nil {
		return err
	}
	fds, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil {
		return err
	}
	for _, fd := range fds {
		if target, err := os.Readlink(fd); err == nil && target == "socket:["+inode+"]" {
			pid, err := strconv.Atoi(strings.Split(fd, "/")[2])
			if err != nil {
				return err
			}
			return syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	return fmt.Errorf("no process listens on port %d", port)
}

// listenerInode finds the socket in /proc/net/tcp, whose fields are sl, local address, remote address, state, four
// more and the user, timeout and inode.
func listenerInode(port int) (string, error) {
	b, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(b)) {
		fields := strings.Fields(line)
		if len(fields) > 9 && strings.HasSuffix(fields[1], fmt.Sprintf(":%04X", port)) && fields[3] == "0A" {
			return fields[9], nil
		}
	}
	return "", errors.New("nobody listens")
}

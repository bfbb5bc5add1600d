package integration

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// TestBadFlags starts nodes with flags that cannot be right: one line, exit status 2.
func TestBadFlags(t *testing.T) {
	t.Parallel()
	good := map[string]string{
		"-nexus-cluster-url": "http://127.0.0.1:19021", "-nexus-node-url": "http://127.0.0.1:19021",
		"-nexus-data-dir": filepath.Join(t.TempDir(), "data"),
	}
	// What must be named of a value is all of it, or the element of a list that is wrong.
	for _, bad := range []struct{ flag, value string }{
		{"-nexus-cluster-url", "127.0.0.1:9021"},
		{"-nexus-cluster-url", "http://127.0.0.1:9021,9022"},
		{"-nexus-cluster-url", ""},
		{"-nexus-node-url", "https://127.0.0.1:9021"},
		{"-nexus-node-url", "http://127.0.0.1"},
		{"-nexus-node-url", "http://127.0.0.1:9021/path"},
		{"-nexus-cluster-name", ""},
		{"-grpcPort", "0x"},
		{"-grpcPort", "70000"},
		{"-proxyPort", "-1"},
		{"-metricsPort", "http"},
		{"-redisPort", "99999"},
		{"-metadataDB", "-1"},
		{"-metadataDB", "thirteen"},
		{"-nexus-repl-timeout", "5"},
		{"-nexus-repl-timeout", "-5s"},
		{"-nexus-snapshot-count", "many"},
		{"-log-level", "loud"},
		{"-nosuchflag", ""},
	} {
		var args []string
		for flag, value := range good {
			if flag != bad.flag {
				args = append(args, flag, value)
			}
		}
		args = append(args, bad.flag, bad.value)
		p := ends(t, args)
		message := strings.TrimSpace(p.Output())
		if p.ExitCode() != 2 {
			t.Errorf("%s %q: exit status %d, want 2: %s", bad.flag, bad.value, p.ExitCode(), message)
		}
		if strings.Count(message, "\n") > 0 || !strings.Contains(message, strings.TrimLeft(bad.flag, "-")) || !strings.Contains(message, bad.value[strings.LastIndexByte(bad.value, ',')+1:]) {
			t.Errorf("%s %q: want one line that names both, got:\n%s", bad.flag, bad.value, message)
		}
	}
}

// ends starts a node that must end by itself.
func ends(t *testing.T, args []string) *cluster.Process {
	t.Helper()
	p := &cluster.Process{Name: "mistaken", Path: nodeBinary, Args: args, Log: filepath.Join(t.TempDir(), "log")}
	check(t, p.Start())
	select {
	case <-p.Exited():
	case <-time.After(40 * time.Second):
		check(t, p.Kill())
		t.Errorf("%q runs on; it wrote:\n%s", args, p.Output())
	}
	return p
}

// refuses checks that a node with these arguments ends with an error whose last line has all the words.
func refuses(t *testing.T, args []string, words ...string) {
	t.Helper()
	p := ends(t, args)
	if code := p.ExitCode(); code < 1 || code > 2 {
		t.Errorf("exit status %d (%v), want 1 or 2", code, p.Err())
	}
	output := strings.TrimSpace(p.Output())
	last := output[strings.LastIndexByte(output, '\n')+1:]
	for _, word := range words {
		if !strings.Contains(last, word) {
			t.Errorf("the last line does not say %q; the node wrote:\n%s", word, output)
		}
	}
	if strings.Contains(output, "goroutine ") {
		t.Errorf("the node printed a stack:\n%s", output)
	}
}

// with returns args with flags changed: name, value, name, value.
func with(args []string, changes ...string) []string {
	args = slices.Clone(args)
	for i := 0; i < len(changes); i += 2 {
		at := slices.Index(args, changes[i])
		if at < 0 {
			args = append(args, changes[i], changes[i+1])
			continue
		}
		args[at+1] = changes[i+1]
	}
	return args
}

// TestMistakes starts nodes in ways in which operators mix things up. Each is refused with a reason, and the cluster
// that it could have damaged has lost nothing.
func TestMistakes(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	ctx := within(t, 120*time.Second)
	for i := range 50 {
		check(t, client(t, c.Nodes[0], 0).Set(ctx, fmt.Sprint("k:", i), i, 0).Err())
	}
	victim := must(c.Follower(ctx))(t)
	other := c.Nodes[slices.IndexFunc(c.Nodes, func(n *cluster.Node) bool { return n != victim })]

	// A cluster of one, of its own, that gets what belongs to the other.
	stray := newCluster(t, cluster.Options{Size: 1, Name: "stray"})
	alone := stray.Nodes[0]
	check(t, alone.Backend.StartReady(ctx))

	t.Run("backend of a running node", func(t *testing.T) {
		refuses(t, with(alone.Args, "-redisPort", strconv.Itoa(victim.Backend.Port)), "cluster")
	})
	t.Run("data directory in use", func(t *testing.T) {
		refuses(t, with(alone.Args, "-nexus-data-dir", victim.DataDir, "-nexus-cluster-name", "nexus"), victim.DataDir)
	})
	for _, port := range []struct {
		flag string
		port int
	}{
		{"-proxyPort", victim.Ports.Client}, {"-grpcPort", victim.GRPC}, {"-metricsPort", victim.Metrics},
	} {
		t.Run("port in use, "+port.flag, func(t *testing.T) {
			refuses(t, with(alone.Args, port.flag, strconv.Itoa(port.port)), "in use", strconv.Itoa(port.port))
		})
	}
	t.Run("port in use, raft", func(t *testing.T) {
		l := must(net.Listen("tcp", cluster.Address(alone.Raft)))(t)
		defer l.Close()
		refuses(t, alone.Args, "in use", strconv.Itoa(alone.Raft))
	})

	check(t, victim.Stop(10*time.Second))
	t.Run("wrong cluster name", func(t *testing.T) {
		refuses(t, with(victim.Args, "-nexus-cluster-name", "another"), `"another"`, `"nexus"`)
	})
	t.Run("data directory of another node", func(t *testing.T) {
		refuses(t, with(alone.Args, "-nexus-data-dir", victim.DataDir, "-nexus-cluster-name", "nexus"), victim.URL(), alone.URL())
	})
	t.Run("backend of another cluster", func(t *testing.T) {
		refuses(t, with(alone.Args, "-redisPort", strconv.Itoa(victim.Backend.Port)), "cluster")
	})
	t.Run("two nodes on one backend", func(t *testing.T) {
		refuses(t, with(victim.Args, "-redisPort", strconv.Itoa(other.Backend.Port)), "node")
	})
	t.Run("backend that holds data of its own", func(t *testing.T) {
		foreign := startRedis(t)
		db := foreign.Client(4)
		defer db.Close()
		check(t, db.Set(ctx, "precious", "1", 0).Err())
		refuses(t, with(alone.Args, "-redisPort", strconv.Itoa(foreign.Port)), "empty")
		if got, err := db.Get(ctx, "precious").Result(); err != nil || got != "1" {
			t.Errorf("the key of the foreign backend is %q, %v", got, err)
		}
	})
	t.Run("data directory that cannot be made", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "file")
		check(t, os.WriteFile(file, nil, 0o600))
		refuses(t, with(alone.Args, "-nexus-data-dir", filepath.Join(file, "data")), file)
	})

	check(t, victim.StartReady(within(t, 40*time.Second)))
	state := must(c.AwaitEqual(within(t, 40*time.Second)))(t)
	if len(state) != 50 {
		t.Errorf("the cluster holds %d of 50 keys after all that", len(state))
	}
	check(t, client(t, victim, 0).Set(ctx, "k:50", "50", 0).Err())
}

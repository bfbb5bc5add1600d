package integration

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-redis/redis/v8"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// TestClients runs what people have at hand against each node of one cluster.
func TestClients(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	t.Run("write anywhere, read anywhere", func(t *testing.T) { testAnyNode(t, c) })
	t.Run("redis-cli", func(t *testing.T) { testRedisCLI(t, c) })
	t.Run("go-redis", func(t *testing.T) { testGoRedis(t, c) })
	t.Run("redis-benchmark", func(t *testing.T) { testRedisBenchmark(t, c) })
	t.Run("http", func(t *testing.T) { testHTTP(t, c) })
	if _, err := c.AwaitEqual(within(t, 40*time.Second)); err != nil {
		t.Error(err)
	}
}

func testAnyNode(t *testing.T, c *cluster.Cluster) {
	ctx := within(t, 40*time.Second)
	for round := range 20 {
		for i, writer := range c.Nodes {
			key, value := fmt.Sprintf("any:%d", i), strconv.Itoa(round)
			check(t, client(t, writer, 0).Set(ctx, key, value, 0).Err())
			for _, reader := range c.Nodes {
				if got, err := client(t, reader, 0).Get(ctx, key).Result(); err != nil || got != value {
					t.Fatalf("%s wrote %s = %s, then %s reads %q, %v", writer.Name, key, value, reader.Name, got, err)
				}
			}
		}
	}
}

func testRedisCLI(t *testing.T, c *cluster.Cluster) {
	for i, n := range c.Nodes {
		for _, step := range []struct{ args, want string }{
			{"set cli hello", "OK"},
			{"get cli", "hello"},
			{"-n 3 get cli", ""},
			{"append cli _world", "11"},
			{"rpush clilist a b c", strconv.Itoa(3 * (i + 1))},
			{"lrange clilist 0 1", "a\nb"},
			{"lpush cli x", "WRONGTYPE Operation against a key holding the wrong kind of value\n"},
			{"del cli", "1"},
			{"nosuchcommand", "ERR unknown command 'nosuchcommand', with args beginning with: \n"},
		} {
			args := append([]string{"-p", strconv.Itoa(n.Ports.Client)}, strings.Fields(step.args)...)
			out, err := exec.CommandContext(within(t, 40*time.Second), "redis-cli", args...).Output()
			if got := strings.TrimSuffix(string(out), "\n"); err != nil || got != step.want {
				t.Errorf("%s: redis-cli %s prints %q, %v, want %q", n.Name, step.args, got, err, step.want)
			}
		}
	}
}

func testGoRedis(t *testing.T, c *cluster.Cluster) {
	ctx := within(t, 40*time.Second)
	for _, n := range c.Nodes {
		db := client(t, n, 2)
		check(t, db.FlushDB(ctx).Err())
		check(t, db.Set(ctx, "k", "v", time.Hour).Err())
		if ttl, err := db.TTL(ctx, "k").Result(); err != nil || ttl < 59*time.Minute || ttl > time.Hour {
			t.Errorf("%s: TTL = %v, %v, want an hour", n.Name, ttl, err)
		}

		// A pipeline of 1000 writes and reads answers in order.
		pipe := db.Pipeline()
		for range 500 {
			pipe.Incr(ctx, "n")
			pipe.Get(ctx, "n")
		}
		replies, err := pipe.Exec(ctx)
		check(t, err)
		for i := range 500 {
			incr, get := replies[2*i].(*redis.IntCmd).Val(), replies[2*i+1].(*redis.StringCmd).Val()
			if incr != int64(i+1) || get != strconv.Itoa(i+1) {
				t.Fatalf("%s: pipelined INCR %d answers %d, and GET after it %q", n.Name, i+1, incr, get)
			}
		}

		replies, err = db.TxPipelined(ctx, func(tx redis.Pipeliner) error {
			tx.Set(ctx, "a", "1", 0)
			tx.IncrBy(ctx, "a", 41)
			tx.Get(ctx, "a")
			return nil
		})
		check(t, err)
		if got := replies[2].(*redis.StringCmd).Val(); got != "42" {
			t.Errorf("%s: GET in a transaction answers %q, want 42", n.Name, got)
		}

		if err := db.Get(ctx, "missing").Err(); err != redis.Nil { //nolint:errorlint // go-redis returns it bare, and clients compare it so
			t.Errorf("%s: GET of a missing key: %v", n.Name, err)
		}
		big := strings.Repeat("x", 4<<20)
		check(t, db.Set(ctx, "big", big, 0).Err())
		if got, err := db.Get(ctx, "big").Result(); err != nil || got != big {
			t.Errorf("%s: a value of 4 MB comes back with %d bytes, %v", n.Name, len(got), err)
		}
		check(t, db.Del(ctx, "big").Err())
	}
}

const benchmarkTests = "set,get,incr,lpush,rpush,lpop,rpop,sadd,hset,zadd,lrange,mset"

func testRedisBenchmark(t *testing.T, c *cluster.Cluster) {
	ctx := within(t, 90*time.Second)
	leader := must(c.Leader(ctx))(t)
	follower := must(c.Follower(ctx))(t)
	for _, target := range []struct {
		name string
		node *cluster.Node
	}{{"leader", leader}, {"follower", follower}} {
		for _, run := range []struct{ pipeline, requests int }{{1, 1000}, {16, 5000}} {
			args := []string{
				"-p", strconv.Itoa(target.node.Ports.Client), "-t", benchmarkTests, "-c", "50",
				"-P", strconv.Itoa(run.pipeline), "-n", strconv.Itoa(run.requests), "-r", "1000", "--csv",
			}
			var out bytes.Buffer
			cmd := exec.CommandContext(ctx, "redis-benchmark", args...)
			cmd.Stdout, cmd.Stderr = &out, &out
			err := cmd.Run()
			text := out.String()
			if err != nil || strings.Contains(text, "Error") || strings.Contains(text, "ERR ") || strings.Contains(text, "WARNING") {
				t.Errorf("%s: redis-benchmark %v: %v\n%s", target.name, args, err, text)
			}
			// A header, eleven tests but lrange, and lpush with four sizes for it.
			if lines := strings.Count(text, "\n"); lines != 1+11+5 {
				t.Errorf("%s: redis-benchmark %v prints %d lines:\n%s", target.name, args, lines, text)
			}
		}
	}
}

func testHTTP(t *testing.T, c *cluster.Cluster) {
	for _, n := range c.Nodes {
		for _, path := range []string{"/metrics", "/readyz", "/livez"} {
			req := must(http.NewRequestWithContext(within(t, 40*time.Second), http.MethodGet, "http://"+n.MetricsAddr()+path, nil))(t)
			resp, err := http.DefaultClient.Do(req)
			check(t, err)
			resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				t.Errorf("%s: GET %s: %s", n.Name, path, resp.Status)
			}
		}
	}
}

// TestNoLeader stops two of three nodes: the third must say quickly that it cannot answer.
func TestNoLeader(t *testing.T) {
	t.Parallel()
	const timeout, slack = 2 * time.Second, 20 * time.Second // the machine may be busy
	c := startCluster(t, "-nexus-repl-timeout", timeout.String())
	ctx := within(t, 60*time.Second)
	last := must(c.Follower(ctx))(t)
	db := client(t, last, 0)
	check(t, db.Set(ctx, "k", "before", 0).Err())

	for _, n := range c.Nodes {
		if n != last {
			check(t, n.Kill())
		}
	}
	var unknowns int
	for i := range 3 {
		begin := time.Now()
		err := db.Set(ctx, "k", fmt.Sprint("alone ", i), 0).Err()
		took := time.Since(begin)
		switch {
		case err == nil:
			t.Fatal("a write is acknowledged without a quorum")
		case strings.HasPrefix(err.Error(), "UNKNOWNOUTCOME "):
			unknowns++
		case !strings.HasPrefix(err.Error(), "TRYAGAIN "):
			t.Errorf("a write without a quorum: %v", err)
		}
		if took > timeout+slack {
			t.Errorf("a write without a quorum is answered after %v, want %v", took, timeout)
		}
		begin = time.Now()
		value, err := db.Get(ctx, "k").Result()
		if took := time.Since(begin); took > timeout+slack {
			t.Errorf("a read without a quorum is answered after %v, want %v", took, timeout)
		}
		if err == nil || !strings.HasPrefix(err.Error(), "TRYAGAIN ") {
			t.Errorf("a read without a quorum: %q, %v", value, err)
		}
	}
	if last.Ready(ctx) == nil {
		t.Error("a node without a quorum says that it serves")
	}

	for _, n := range c.Nodes {
		if n != last {
			check(t, n.Start())
		}
	}
	check(t, c.AwaitReady(within(t, 40*time.Second)))
	got, err := db.Get(ctx, "k").Result()
	if err != nil || (got != "before" && (unknowns == 0 || !strings.HasPrefix(got, "alone "))) {
		t.Errorf("with a quorum again, and %d unknown outcomes: %q, %v", unknowns, got, err)
	}
	check(t, db.Set(ctx, "k", "after", 0).Err())
}

// TestDisconnectedClients checks that clients that leave in the middle of a pipeline do not disturb others.
func TestDisconnectedClients(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	ctx := within(t, 40*time.Second)
	for i := range 30 {
		n := c.Nodes[i%len(c.Nodes)]
		leaving := n.Client(0)
		pipe := leaving.Pipeline()
		for range 200 {
			pipe.Incr(ctx, "left")
		}
		short, cancel := context.WithTimeout(ctx, time.Duration(i)*100*time.Microsecond)
		_, _ = pipe.Exec(short) // it is cut off on purpose
		cancel()
		leaving.Close()
	}
	for _, n := range c.Nodes {
		check(t, client(t, n, 0).Set(ctx, "stayed", "1", 0).Err())
	}
	if _, err := c.AwaitEqual(within(t, 40*time.Second)); err != nil {
		t.Error(err)
	}
}

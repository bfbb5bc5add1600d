//go:build clients

package redis

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// TestRedisBenchmarkLeaderChange keeps redis-benchmark running at each node while the leader is killed. It never connects
// again: that of the leader ends, saying so, and those of the others go on.
func TestRedisBenchmarkLeaderChange(t *testing.T) {
	c := startCluster(t)
	leader, others := leaderFirst(t, c)
	atLeader := startBenchmark(t, leader)
	atOthers := []*benchmark{startBenchmark(t, others[0]), startBenchmark(t, others[1])}
	atLeader.awaitProgress(t)
	for _, b := range atOthers {
		b.awaitProgress(t)
	}
	check(t, leader.Kill())
	select {
	case <-atLeader.ended:
	case <-time.After(time.Minute):
		t.Fatal("redis-benchmark at the killed leader does not end")
	}
	if text := atLeader.output.String(); atLeader.err == nil || !strings.Contains(text, "Error: ") {
		t.Errorf("at the killed leader: %v, %q", atLeader.err, last500(text))
	}
	for _, b := range atOthers {
		b.awaitProgress(t)
	}
	check(t, leader.StartReady(within(t, time.Minute)))
	transfer(t, c, leader)
	for _, b := range atOthers {
		b.awaitProgress(t)
		b.stop()
		for _, line := range strings.Split(strings.ReplaceAll(b.output.String(), "\r", "\n"), "\n") {
			text, isError := strings.CutPrefix(line, "Error from server: ")
			if isError && !strings.HasPrefix(text, "TRYAGAIN nexus: ") && !strings.HasPrefix(text, "UNKNOWNOUTCOME nexus: ") {
				t.Errorf("at %s: %s", b.node.Name, line)
			}
		}
	}
	awaitEqual(t, c)
}

// benchmark is a redis-benchmark that runs.
type benchmark struct {
	node   *cluster.Node
	cmd    *exec.Cmd
	output bytes.Buffer // to be read when it has ended
	ended  chan struct{}
	err    error // after ended
}

func startBenchmark(t *testing.T, n *cluster.Node) *benchmark {
	t.Helper()
	host, port, _ := strings.Cut(n.Addr(), ":")
	b := &benchmark{node: n, ended: make(chan struct{}),
		cmd: exec.Command("redis-benchmark", "-h", host, "-p", port, "-c", "4", "-n", "1000000000", "-r", "1000", "-e", "-q", "-t", "set")}
	b.cmd.Stdout, b.cmd.Stderr = &b.output, &b.output
	check(t, b.cmd.Start())
	go func() {
		defer close(b.ended)
		b.err = b.cmd.Wait()
	}()
	t.Cleanup(b.stop)
	return b
}

func (b *benchmark) stop() {
	_ = b.cmd.Process.Kill() // it may have ended
	<-b.ended
}

var setCalls = regexp.MustCompile(`cmdstat_set:calls=(\d+),.*failed_calls=(\d+)`)

// written is how many SETs the node has answered without an error.
func (b *benchmark) written() (int, error) {
	db := b.node.Client(0)
	defer db.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	text, err := db.Info(ctx, "commandstats").Result()
	if err != nil {
		return 0, err
	}
	m := setCalls.FindStringSubmatch(text)
	if m == nil {
		return 0, nil
	}
	calls, err := strconv.Atoi(m[1])
	if err != nil {
		return 0, err
	}
	failed, err := strconv.Atoi(m[2])
	return calls - failed, err
}

// awaitProgress waits until a thousand more SETs were answered.
func (b *benchmark) awaitProgress(t *testing.T) {
	t.Helper()
	var goal int
	deadline := time.Now().Add(time.Minute)
	for {
		n, err := b.written()
		switch {
		case err == nil && goal == 0:
			goal = n + 1000
		case err == nil && n >= goal:
			return
		}
		select {
		case <-b.ended:
			t.Fatalf("redis-benchmark at %s has ended: %v, %q", b.node.Name, b.err, last500(b.output.String()))
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("redis-benchmark at %s makes no progress: %d, want %d: %v", b.node.Name, n, goal, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func last500(text string) string { return fmt.Sprint(text[max(0, len(text)-500):]) }

package mysql

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

var joinMegabytes = flag.Int("join", 0, "measure how long a node takes to join that gets so many megabytes of rows")

// TestFigureJoin measures what docs/mysql.md tells about a node that joins a large database: go test ./integration/mysql -run
// FigureJoin -v -join 1024
func TestFigureJoin(t *testing.T) {
	if *joinMegabytes == 0 {
		t.Skip("run it with -join 1024")
	}
	c, leader := startCluster(t, "-nexus-snapshot-count", "20")
	db := open(t, leader)
	execute(t, db, "CREATE DATABASE app", "CREATE TABLE app.t (id INT PRIMARY KEY AUTO_INCREMENT, n INT, v VARCHAR(1000), KEY (n))")
	ctx := within(t, 8*time.Minute)
	begun := time.Now()
	const rows = 8192 // of 1 KB each
	for range *joinMegabytes / 8 {
		if _, err := db.ExecContext(ctx, fmt.Sprintf("INSERT INTO app.t (n, v) SELECT seq, REPEAT(MD5(RAND()), 31) FROM app.seq_1_to_%d", rows)); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d MB were written in %.0f s", *joinMegabytes, time.Since(begun).Seconds())
	begun = time.Now()
	if out, err := repl(t, leader, "snapshot"); err != nil {
		t.Logf("snapshot: %v: %s", err, out)
	}
	t.Logf("a snapshot took %.1f s", time.Since(begun).Seconds())

	joiner, err := c.AddNode()
	check(t, err)
	check(t, joiner.MariaDB.StartReady(within(t, 60*time.Second)))
	check(t, joiner.Start())
	begun = time.Now()
	if out, err := repl(t, leader, "addNode", joiner.URL()); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	slowest, commits := time.Duration(0), 0
	ready := make(chan error, 1)
	go func() { ready <- joiner.AwaitReady(ctx) }()
	for done := false; !done; {
		at := time.Now()
		if _, err := db.ExecContext(ctx, "INSERT INTO app.t (n) VALUES (0)"); err != nil {
			t.Fatal(err)
		}
		slowest = max(slowest, time.Since(at))
		commits++
		select {
		case err := <-ready:
			check(t, err)
			done = true
		default:
		}
	}
	t.Logf("the node has joined after %.1f s; meanwhile one client has committed %d times, and has waited %v at most", time.Since(begun).Seconds(), commits, slowest)
	t.Logf("the leader's node holds %d MB of memory, the joiner's %d MB at most", peakMegabytes(t, leader.Pid()), peakMegabytes(t, joiner.Pid()))
	awaitEqual(t, c)
}

// peakMegabytes is the most memory that a process has held.
func peakMegabytes(t *testing.T, pid int) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	check(t, err)
	_, after, _ := strings.Cut(string(status), "VmHWM:")
	kilobytes, err := strconv.Atoi(strings.Fields(after)[0])
	check(t, err)
	return kilobytes / 1024
}

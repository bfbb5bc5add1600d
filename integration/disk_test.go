package integration

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// TestDiskFull lets the disk under the log of one node run full under load: the node stops and says why, the others go
// on, and with space again it comes back with nothing lost. First a follower, then the leader.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	c := newCluster(t, cluster.Options{Flags: []string{"-nexus-repl-timeout", "3s"}})
	disks := make(map[*cluster.Node]disk)
	for _, n := range c.Nodes {
		d := newDisk(t, n)
		n.Args = with(n.Args, "-nexus-data-dir", d.dir())
		disks[n] = d
	}
	check(t, c.StartReady(within(t, 40*time.Second)))
	l := startLoad(t, c.Nodes, 6)
	l.awaitProgress(t, 200)
	for _, lead := range []bool{false, true} {
		n := pick(t, c, lead)
		// What the log already has reserved must run out before the disk is asked for more.
		fill := startFill(t, survivors(c, n)[0])
		disks[n].limit(t, n)
		select {
		case <-n.Exited():
		case <-time.After(40 * time.Second):
			if n.Ready(within(t, time.Second)) == nil {
				t.Fatalf("%s goes on without space for its log", n.Name)
			}
			check(t, n.Stop(10*time.Second))
		}
		fill()
		output := strings.TrimSpace(n.Output())
		last := output[strings.LastIndexByte(output, '\n')+1:]
		if !strings.Contains(last, "no space left on device") && !strings.Contains(last, "file too large") {
			t.Errorf("%s does not say why it stopped:\n%s", n.Name, output)
		}
		if strings.Contains(output, "goroutine ") {
			t.Errorf("%s printed a stack:\n%s", n.Name, output)
		}
		l.awaitProgress(t, 100)
		disks[n].unlimit(t)
		check(t, n.StartReady(within(t, 40*time.Second)))
		l.awaitProgress(t, 100)
	}
	l.finish()
	l.verify(t, must(c.AwaitEqual(within(t, 40*time.Second)))(t))
}

// startFill overwrites one large value again and again until stop.
func startFill(t *testing.T, n *cluster.Node) (stop func()) {
	t.Helper()
	db := client(t, n, 1)
	ctx := t.Context()
	done, ended := make(chan struct{}), make(chan struct{})
	value := strings.Repeat("x", 1<<20)
	go func() {
		defer close(ended)
		for i := 0; i < 400; i++ {
			select {
			case <-done:
				return
			default:
				// While the leader changes some fail, which only takes longer.
				_ = db.Set(ctx, "large", value, 0).Err()
			}
		}
	}()
	return func() {
		close(done)
		<-ended
	}
}

// disk is the place of one data directory, where space can be taken away and given back.
type disk interface {
	dir() string
	limit(t *testing.T, n *cluster.Node)
	unlimit(t *testing.T)
}

// newDisk returns a small file system in memory where this process may mount one, and else a directory of which the
// node may only grow files to a limit.
func newDisk(t *testing.T, n *cluster.Node) disk {
	t.Helper()
	dir := filepath.Join(t.TempDir(), n.Name)
	if os.Geteuid() == 0 {
		fs, err := cluster.MountTmpfs(dir, 256)
		if err == nil {
			t.Cleanup(func() {
				check(t, n.Kill())
				check(t, fs.Unmount())
			})
			return tmpfs{fs}
		}
		t.Logf("%v; a limit on the size of files stands in", err)
	}
	return &fileLimit{path: filepath.Join(dir, "data")}
}

// tmpfs runs full because a file of ours takes what is left.
type tmpfs struct{ fs *cluster.Tmpfs }

func (d tmpfs) dir() string { return d.fs.Dir() }

func (d tmpfs) limit(t *testing.T, _ *cluster.Node) {
	t.Helper()
	check(t, d.fs.Fill())
}

func (d tmpfs) unlimit(t *testing.T) {
	t.Helper()
	check(t, d.fs.Free())
}

// fileLimit takes the right to write beyond the first megabyte of any file from the running node.
type fileLimit struct{ path string }

func (d *fileLimit) dir() string { return d.path }

func (d *fileLimit) limit(t *testing.T, n *cluster.Node) {
	t.Helper()
	out, err := exec.Command("prlimit", "--pid", strconv.Itoa(n.Pid()), "--fsize="+strconv.Itoa(1<<20)+":").CombinedOutput()
	if err != nil {
		t.Fatal(errors.Join(err, fmt.Errorf("prlimit: %s", out)))
	}
}

// unlimit has nothing to do: the limit went with the process.
func (d *fileLimit) unlimit(*testing.T) {}

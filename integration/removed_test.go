package integration

import (
	"strings"
	"testing"
	"time"
)

// A machine that was removed is used again: its old data is refused, and deleted on request only.
func TestRemovedMachineComesBack(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	gone := must(c.Follower(within(t, 40*time.Second)))(t)
	l := startLoad(t, survivors(c, gone), 2)
	l.awaitProgress(t, 100)
	rest := survivors(c, gone)
	expectMembers(t, rest[0], rest, "removeNode", gone.URL())
	stopsServing(t, gone)

	// As it is, it is refused, also as one to be added again.
	check(t, gone.Kill())
	if err := gone.StartReady(within(t, 10*time.Second)); err == nil || !strings.Contains(err.Error(), "removed") {
		t.Errorf("with its old data: %v", err)
	}
	if out, err := repl(t, rest[0], "addNode", gone.URL()); err == nil || !strings.Contains(out, "-nexus-wipe-removed") {
		t.Errorf("added with its old data: %v: %s", err, out)
	}
	check(t, gone.Kill())

	// With the flag the data directory goes. The redis-server's data does not, and nor does it get in.
	args := gone.Args
	gone.Args = append(args[:len(args):len(args)], "-nexus-wipe-removed")
	check(t, gone.Start())
	out, err := repl(t, rest[0], "-timeout", "12s", "addNode", gone.URL())
	select {
	case <-gone.Exited():
	case <-time.After(40 * time.Second):
		t.Fatalf("it runs on the data of another member: addNode: %v: %s\n%s", err, out, gone.Output())
	}
	if output := gone.Output(); !strings.Contains(output, "its data directory is empty now") || !strings.Contains(output, "FLUSHALL") {
		t.Errorf("it says:\n%s", output)
	}
	old := gone.Backend.Client(0)
	defer old.Close()
	check(t, old.FlushAll(within(t, time.Second)).Err())

	// The flag does nothing to a node that was not removed, however often that starts.
	check(t, gone.Start())
	expectMembers(t, rest[0], c.Nodes, "addNode", gone.URL())
	check(t, gone.AwaitReady(within(t, 40*time.Second)))
	check(t, gone.Kill())
	check(t, gone.StartReady(within(t, 40*time.Second)))
	if output := gone.Output(); !strings.Contains(output, "nothing was deleted") {
		t.Errorf("it says:\n%s", output)
	}
	l.awaitProgress(t, 100)
	l.finish()
	l.verify(t, must(c.AwaitEqual(within(t, 40*time.Second)))(t))
}

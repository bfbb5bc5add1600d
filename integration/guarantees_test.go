package integration

import (
	"bufio"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// What docs/guarantees.md says of errors, as a client can tell them apart by the first words.
const (
	saysAnswer  = "an answer" // for a write: done
	saysND      = "not done"
	saysUK      = "unknown outcome"
	saysFailed  = "read failed"
	saysClosed  = "closed connection"
	saysInvalid = "something else"
)

// patience is T of the table, where an answer is awaited for T, and where one must come much earlier. The second leaves
// room for a machine that has other things to do.
const (
	shortPatience = 2 * time.Second
	longPatience  = 10 * time.Second
)

// when an answer comes, at the latest.
type when int

const (
	atOnce when = iota // nobody has waited T for it
	afterT
	afterPause // of pauseTime, and T
)

const pauseTime = 2 * shortPatience

// busy is how much later an answer may come on a machine that is.
const busy = 15 * time.Second

func (w when) limit(patience time.Duration) time.Duration {
	switch w {
	case atOnce:
		return patience * 3 / 4
	case afterT:
		return patience + busy
	default:
		return pauseTime + patience + busy
	}
}

// guarantee is a row of the table: what a client is told when something breaks.
type guarantee struct {
	name string
	// breaks the cluster, and returns the node to ask, and how to mend it.
	breaks      func(t *testing.T, l *links) (ask *cluster.Node, mend func())
	write, read []string // any of these
	within      when
	reason      string // in the text of errors, if it is not empty
}

// TestGuarantees breaks a cluster in each way of the table in docs/guarantees.md that no other test looks at, and
// compares what a client is told. What was done must be there in the end, and what was not done must not.
func TestGuarantees(t *testing.T) {
	t.Parallel()
	testGuarantees(t, longPatience, []guarantee{
		{"leader killed, client on another node", leaderKilled, says(saysAnswer), says(saysAnswer), atOnce, ""},
		{"leader killed, client on that node", leaderKilledUnder, says(saysClosed), says(saysClosed), atOnce, ""},
		{"leader stopped, client on another node", leaderStopped, says(saysAnswer), says(saysAnswer), atOnce, ""},
		{"leader paused, client on another node", leaderPaused, says(saysAnswer), says(saysAnswer), atOnce, ""},
		{"backend down, noticed", backendDown, says(saysND), says(saysFailed), atOnce, "backend of this node: "},
		{"backend emptied by hand", backendEmptied, says(saysAnswer), says(saysAnswer, saysFailed), afterT, ""},
		{"no leader, missed for long", minorityForLong, says(saysND), says(saysFailed), atOnce, "no leader: a majority of the members is not reachable"},
		{"node started again without its backend", nodeStarting, says(saysND), says(saysFailed), atOnce, "backend of this node: it has not been opened since the node was started: "},
		{"position key deleted", positionDeleted, says(saysClosed), says(saysClosed), atOnce, ""},
		{"leader's backend down, write was on its way, back in time", leaderBackendBack, says(saysAnswer), says(saysAnswer, saysFailed), atOnce, ""},
		{"waiting to join", waitingToJoin, says(saysND), says(saysFailed), atOnce, "not yet a member"},
		{"node removed", nodeRemoved, says(saysND), says(saysFailed), atOnce, "removed"},
	})
}

// TestGuaranteesInTime is the rows in which the client is told when T is over.
func TestGuaranteesInTime(t *testing.T) {
	t.Parallel()
	testGuarantees(t, shortPatience, []guarantee{
		{"minority side, follower", minorityFollower, says(saysND), says(saysFailed), afterT, "no leader: a majority of the members is not reachable"},
		// On a busy machine the node may know already that there is no leader when it is asked.
		{"minority side, old leader", minorityLeader, says(saysUK, saysND), says(saysFailed), afterT, ""},
		{"minority side, handed to a leader before", handedBefore, says(saysUK, saysND), says(saysFailed), afterT, ""},
		{"node paused, client on it", clientPaused, says(saysAnswer, saysND, saysUK), says(saysAnswer, saysFailed), afterPause, ""},
		{"backend hung, not noticed yet", backendHung, says(saysUK), says(saysFailed), afterT, ""},
		{"leader's backend down, write was on its way", leaderBackendLost, says(saysUK), says(saysFailed), afterT, ""},
	})
}

// TestGuaranteesHung is the row that takes ten seconds to come about.
func TestGuaranteesHung(t *testing.T) {
	t.Parallel()
	testGuarantees(t, longPatience, []guarantee{
		{"backend hung, noticed", backendHungNoticed, says(saysND), says(saysFailed), atOnce, "backend of this node: "},
	})
}

// TestGuaranteesBehind is the rows in which a node is so far behind that the log does not help it.
func TestGuaranteesBehind(t *testing.T) {
	t.Parallel()
	testGuarantees(t, longPatience, []guarantee{
		{"backend being filled from a snapshot", beingFilled, says(saysND), says(saysFailed), atOnce, "it is being filled from the snapshot at index "},
		{"node far behind took over a snapshot", tookOver, says(saysUK), says(saysAnswer, saysFailed), atOnce, "this node took over a snapshot in which the outcome is not told"},
	}, "-nexus-snapshot-count", "20")
}

func says(what ...string) []string { return what }

func testGuarantees(t *testing.T, patience time.Duration, table []guarantee, flags ...string) {
	t.Helper()
	l := newLinks(t, append(flags, "-nexus-repl-timeout", patience.String())...)
	told := make(map[string]string) // by key written
	check(t, client(t, l.Nodes[0], 0).Set(within(t, 40*time.Second), "known", "value", 0).Err())
	for i, g := range table {
		key := fmt.Sprint("row:", i)
		if !t.Run(g.name, func(t *testing.T) { told[key] = g.check(t, l, key, patience) }) {
			return
		}
	}
	state := must(l.AwaitEqual(within(t, 40*time.Second)))(t)
	for key, what := range told {
		got := stringOf(state, "0/"+key)
		if what == saysAnswer && got != "written" || what == saysND && got != "" {
			t.Errorf("%s is %q after the client was told: %s", key, got, what)
		}
	}
}

// check breaks the cluster, asks, mends it, and returns what the writer was told.
func (g *guarantee) check(t *testing.T, l *links, key string, patience time.Duration) (told string) {
	ask, mend := g.breaks(t, l)
	var wg sync.WaitGroup
	wg.Go(func() { told = g.ask(t, ask, patience, g.write, "SET", key, "written") })
	wg.Go(func() { g.ask(t, ask, patience, g.read, "GET", "known") })
	wg.Wait()
	mend()
	for _, n := range l.Nodes {
		if n.Running() && n.Ready(within(t, time.Second)) != nil {
			check(t, n.AwaitReady(within(t, 40*time.Second)))
		}
	}
	return told
}

// ask sends a command and judges reply and time.
func (g *guarantee) ask(t *testing.T, n *cluster.Node, patience time.Duration, want []string, command ...string) string {
	begin := time.Now()
	reply, err := raw(n, command...)
	took := time.Since(begin)
	got := whatIsSaid(reply, err, command[0] == "SET")
	switch {
	case !slices.Contains(want, got):
		t.Errorf("%v at %s: %s (%q, %v) after %v, want %s", command, n.Name, got, reply, err, took, strings.Join(want, " or "))
	case took > g.within.limit(patience):
		t.Errorf("%v at %s: %s after %v, want within %v", command, n.Name, got, took, g.within.limit(patience))
	case strings.HasPrefix(reply, "-") && !strings.Contains(reply, g.reason):
		t.Errorf("%v at %s: %q, want the reason %q", command, n.Name, reply, g.reason)
	}
	return got
}

func whatIsSaid(reply string, err error, write bool) string {
	switch {
	case err != nil:
		return saysClosed
	case write && strings.HasPrefix(reply, "-TRYAGAIN nexus: not executed: "):
		return saysND
	case write && strings.HasPrefix(reply, "-UNKNOWNOUTCOME nexus: the command may or may not have been executed: "):
		return saysUK
	case !write && strings.HasPrefix(reply, "-TRYAGAIN nexus: not executed: "):
		return saysFailed
	case write && reply == "+OK", !write && reply == "value":
		return saysAnswer
	default:
		return saysInvalid
	}
}

// raw sends a command and returns the reply, without its type if it is a bulk string. The error is that of the connection.
func raw(n *cluster.Node, command ...string) (string, error) {
	c, err := net.DialTimeout("tcp", n.Addr(), time.Second)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return "", err
	}
	if _, err := fmt.Fprintf(c, "%s\r\n", strings.Join(command, " ")); err != nil {
		return "", err
	}
	r := bufio.NewReader(c)
	line, err := r.ReadString('\n')
	if err == nil && strings.HasPrefix(line, "$") {
		line, err = r.ReadString('\n')
	}
	return strings.TrimRight(line, "\r\n"), err
}

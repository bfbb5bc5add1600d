package mysql

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// keylessRows are so many that to look for each of them among all takes the servers of the others some ten seconds at least.
const keylessRows = 16000

// The leader dies behind a change of many rows of a table without a key, which no other server has found yet. The others do not hand the office to
// each other meanwhile, tell operators and clients what they are at, lose nothing, and serve nothing before they have it.
func TestLeaderDiesBehindKeylessRows(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	db := open(t, leader)
	execute(t, db, "CREATE DATABASE app", "CREATE TABLE app.bare (a INT, b INT)", fmt.Sprintf("INSERT INTO app.bare SELECT seq, 0 FROM app.seq_1_to_%d", keylessRows))
	awaitEqual(t, c)
	execute(t, db, "UPDATE app.bare SET b=1")
	others := c.Others(leader)
	check(t, leader.Kill())
	killed := time.Now()
	told := lookUntilServed(t, others)
	lasted := time.Since(killed)

	if got := mustQuery(t, open(t, others[0]), "SELECT SUM(b) FROM app.bare"); got != strconv.Itoa(keylessRows) {
		t.Errorf("the sum is %s", got)
	}
	for what, want := range map[string][]string{
		"status":       {"executing changes of rows (log entry ", ", of app.bare", "this node was elected and has yet to apply what was left"},
		"metrics":      {"executing"},
		others[0].Name: {" was elected just now, and its server has applied ", ", and has been executing changes of rows (log entry "},
		others[1].Name: {" was elected just now, and its server has applied ", ", and has been executing changes of rows (log entry "},
	} {
		for _, text := range want {
			if lasted > 20*time.Second && !strings.Contains(told[what], text) {
				t.Errorf("nobody served for %v, and %q was not told, but:\n%s", lasted, text, told[what])
			}
		}
	}
	handedOver := 0
	for _, n := range others {
		handedOver += strings.Count(n.Output(), "handing over leadership")
	}
	t.Logf("served after %v, %d hand-overs", lasted, handedOver)
	if handedOver > 2 {
		t.Errorf("the office was handed over %d times", handedOver)
	}
	awaitEqual(t, c)
}

// lookUntilServed connects to nodes until both serve, and returns what was told meanwhile: by the status, the metrics, and to clients.
func lookUntilServed(t *testing.T, nodes []*cluster.Node) map[string]string {
	t.Helper()
	told := make(map[string]string)
	eventually(t, 300*time.Second, func() error {
		for _, n := range nodes {
			if out, err := repl(t, n, "status"); err == nil {
				told["status"] += out + "\n"
			}
			if s, err := strconv.ParseFloat(metric(t, n, "nexus_backend_executing_seconds"), 64); err == nil && s > 0 {
				told["metrics"] = "executing"
			}
		}
		var failed error
		for _, n := range nodes {
			_, err := query(within(t, 30*time.Second), open(t, n), "SELECT SUM(b) FROM app.bare")
			if err == nil {
				continue
			}
			told[n.Name] += err.Error() + "\n" // by the leader, which a follower relays to, or by the follower, which waits for it no longer
			failed = err
		}
		return failed
	})
	return told
}

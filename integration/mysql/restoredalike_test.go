package mysql

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// What the scripts leave is the same on a server that was filled from a backup.
func TestRestoredAlike(t *testing.T) {
	t.Parallel()
	c := newCluster(t, cluster.Options{Size: 1})
	check(t, c.StartReady(within(t, 60*time.Second)))
	for _, script := range []string{"keys", "types", "partitions"} {
		lines, err := os.ReadFile(filepath.Join("testdata/alike", script+".sql"))
		check(t, err)
		s := newSpeaker(t, c.Nodes[0].Addr())
		for _, text := range append([]string{"DROP DATABASE IF EXISTS app", "CREATE DATABASE app", "USE app"}, strings.Split(string(lines), "\n")...) {
			if text != "" && !strings.HasPrefix(text, "--") {
				s.say(text)
			}
		}
		want, err := digest(within(t, 40*time.Second), c.Nodes[0])
		check(t, err)
		n := restored(t, c.Nodes[0])
		mustQuery(t, open(t, n), "SELECT 1") // it serves
		got, err := digest(within(t, 40*time.Second), n)
		check(t, err)
		for table := range want {
			if got[table] != want[table] {
				t.Errorf("%s: %s differs:\n got %s\nwant %s", script, table, got[table], want[table])
			}
		}
	}
}

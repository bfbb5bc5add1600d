package mysql

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// programsOfClients select what is no table.
var programsOfClients = []string{
	"SELECT routine_name, routine_type, routine_definition, dtd_identifier, is_deterministic, sql_data_access, security_type, sql_mode, routine_comment, definer, character_set_client, collation_connection, database_collation" +
		" FROM information_schema.routines WHERE routine_schema='app' ORDER BY 1, 2",
	"SELECT table_name, view_definition, check_option, is_updatable, definer, security_type, character_set_client, collation_connection, algorithm FROM information_schema.views WHERE table_schema='app' ORDER BY 1",
	"SELECT trigger_name, action_order, action_statement, sql_mode, definer, character_set_client, database_collation FROM information_schema.triggers WHERE trigger_schema='app' ORDER BY 1",
	"SELECT event_name, event_definition, interval_value, starts, event_comment, status FROM information_schema.events WHERE event_schema='app' ORDER BY 1",
	"SELECT schema_name, default_collation_name, schema_comment FROM information_schema.schemata WHERE schema_name='app'",
}

// What the scripts leave is the same on a server that was filled from a backup.
func TestRestoredAlike(t *testing.T) {
	t.Parallel()
	c := newCluster(t, cluster.Options{Size: 1})
	check(t, c.StartReady(within(t, 60*time.Second)))
	for _, script := range []string{"keys", "types", "partitions", "objects", "definitions"} {
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
		for _, programs := range programsOfClients {
			if got, want := mustQuery(t, open(t, n), programs), mustQuery(t, open(t, c.Nodes[0]), programs); got != want {
				t.Errorf("%s: %s:\n got %s\nwant %s", script, programs, got, want)
			}
		}
		got, err := digest(within(t, 40*time.Second), n)
		check(t, err)
		for table := range want {
			if got[table] != want[table] {
				t.Errorf("%s: %s differs:\n got %s\nwant %s", script, table, got[table], want[table])
			}
		}
	}
}

package mysql

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/raft"
)

func TestDifferInDirectories(t *testing.T) {
	const before, after = "CREATE TABLE `t` (\n  `a` int(11) COMMENT ' DATA DIRECTORY=''x'''\n) ENGINE=InnoDB", " WITH SYSTEM VERSIONING"
	for directories, want := range map[string]bool{
		"":                        true,
		" DATA DIRECTORY='/a b/'": true,
		" DATA DIRECTORY='/a/' INDEX DIRECTORY='/b/'": true,
		" DATA DIRECTORY='/a'b/'":                     false,
		" DATA DIRECTORY='/a\\/'":                     false,
		" DATA DIRECTORY='/a' AS SELECT 1#/'":         false,
	} {
		if got := differInDirectories(before+directories+after, before+after); got != want {
			t.Errorf("%s: %v", directories, got)
		}
	}
}

// A quote in the name of a table's directory ends nothing where the table is restored.
func TestRestoreDirectory(t *testing.T) {
	m := openMember(t, 1)
	directory := filepath.Join(t.TempDir(), "it' AS SELECT 1 AS b#")
	check(t, os.Mkdir(directory, 0o777))
	m.apply(t, entry(2, 1), entry(2, 2, schema(2, "CREATE DATABASE d"), schema(2, "CREATE TABLE d.t (a INT COMMENT 'it''s') DATA DIRECTORY="+quote(directory))))
	snap := takeSnapshot(t, m, raft.Position{Term: 2, Index: 2})
	other := newMember(t, startServer(t), 2)
	check(t, other.Restore(within(t, 30*time.Second), other.id, snap))
	if got := other.query(t, "SELECT column_name, column_comment FROM information_schema.columns WHERE table_schema='d'"); got != "a,it's" {
		t.Error(got)
	}
}

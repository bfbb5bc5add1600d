package mysql

import (
	"testing"
	"time"

	"github.com/nexus-replication/nexus/raft"
)

// Rows that were deleted while the clock stood still, or had gone back, are on a server that is filled from a snapshot.
func TestRestoreUnseenRows(t *testing.T) {
	m := openMember(t, 1)
	const period = "s TIMESTAMP(6) GENERATED ALWAYS AS ROW START, PERIOD FOR SYSTEM_TIME (s, e)) WITH SYSTEM VERSIONING"
	m.apply(t, entry(2, 1), entry(2, 2, schema(2, "CREATE DATABASE d"),
		schema(2, "CREATE TABLE d.plain (a INT, b INT AS (a+1) STORED, t TEXT, f FLOAT) WITH SYSTEM VERSIONING PARTITION BY SYSTEM_TIME LIMIT 1000 (PARTITION p0 HISTORY, PARTITION pc CURRENT)"),
		schema(2, "CREATE TABLE d.keyed (id INT PRIMARY KEY, e TIMESTAMP(6) GENERATED ALWAYS AS ROW END INVISIBLE, v VARBINARY(9) UNIQUE, "+period)))
	s := m.session(t)
	_, data := m.prepare(t, s, 2, "SET timestamp=1700000000.25", "INSERT INTO d.plain (a, t, f) VALUES (1, 'a', 0.1), (2, NULL, NULL)", "DELETE FROM d.plain", "INSERT INTO d.plain (a) VALUES (1), (3)", "DELETE FROM d.plain WHERE a=1",
		"INSERT INTO d.keyed (id, v) VALUES (1, x'00'), (2, x'27ff')", "DELETE FROM d.keyed WHERE id=1",
		"SET timestamp=1600000000", "INSERT INTO d.keyed (id, v) VALUES (1, x'00')", "DELETE FROM d.keyed", "SET timestamp=DEFAULT", "INSERT INTO d.keyed (id, v) VALUES (1, x'00'), (2, x'01')", "UPDATE d.keyed SET v=x'02' WHERE id=1")
	m.apply(t, entry(2, 3, data))
	snap := takeSnapshot(t, m, raft.Position{Term: 2, Index: 3})
	other := newMember(t, startServer(t), 2)
	check(t, other.Restore(within(t, 30*time.Second), other.id, snap))
	for _, query := range []string{
		"SELECT *, row_start, row_end FROM d.plain FOR SYSTEM_TIME ALL ORDER BY a, row_end, row_start, t", "SELECT id, HEX(v), s, e FROM d.keyed FOR SYSTEM_TIME ALL ORDER BY id, e",
		"SELECT COUNT(*) FROM d.plain", "SELECT COUNT(*) FROM d.keyed FOR SYSTEM_TIME ALL WHERE s>=e",
	} {
		got, want := other.query(t, query), m.query(t, query)
		if t.Log(want); got != want {
			t.Errorf("%s:\n got %s\nwant %s", query, got, want)
		}
	}
}

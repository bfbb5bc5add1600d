package mysql

import (
	"testing"
	"time"

	"github.com/nexus-replication/nexus/raft"
)

const signed = "SET STATEMENT sql_mode='NO_UNSIGNED_SUBTRACTION' FOR "

func signedSchema(text string) []byte {
	return EncodeSchema(2, []string{"SET SESSION sql_mode='NO_UNSIGNED_SUBTRACTION'"}, text)
}

// What is subtracted from an unsigned number, one mode takes and the other does not. Where rows of one table need both, a server is filled with all of them, and with those of
// the tables before.
func TestRestoreInBothModes(t *testing.T) {
	m := openMember(t, 1)
	m.apply(t, entry(2, 1), entry(2, 2, schema(2, "CREATE DATABASE bank"), schema(2, "CREATE TABLE bank.a (id INT PRIMARY KEY)"),
		signedSchema("CREATE TABLE bank.great (id INT PRIMARY KEY, a BIGINT UNSIGNED, g DECIMAL(30) AS (a-5) STORED)"), signedSchema("CREATE TABLE bank.mixed LIKE bank.great")))
	s := m.session(t)
	s.exec("INSERT INTO bank.a VALUES (1), (2)", "FLUSH TABLES", "INSERT INTO bank.great (id, a) VALUES (1, 10), (2, 18446744073709551610)",
		"INSERT INTO bank.mixed (id, a) VALUES (1, 10), (3, 18446744073709551610)", "FLUSH TABLES", signed+"INSERT INTO bank.mixed (id, a) VALUES (2, 2), (4, 3)")
	snap := takeSnapshot(t, m, raft.Position{Term: 2, Index: 2})
	other := newMember(t, startServer(t), 2)
	check(t, other.Restore(within(t, 30*time.Second), other.id, snap))
	for _, table := range []string{"a", "great", "mixed"} {
		if got, want := other.query(t, "SELECT * FROM bank."+table), m.query(t, "SELECT * FROM bank."+table); got != want {
			t.Errorf("%s: %s, want %s", table, got, want)
		}
	}
}

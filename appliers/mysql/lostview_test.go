package mysql

import (
	"testing"
	"time"

	"github.com/nexus-replication/nexus/raft"
)

// What a view needs that is lost is not made in the place of what clients have under the same name: that would be taken away with it.
func TestLostViewsLeaveWhatIsThere(t *testing.T) {
	m := openMember(t, 1)
	m.apply(t, entry(2, 1), entry(2, 2, schema(2, "CREATE DATABASE bank")))
	m.session(t).exec("CREATE FUNCTION bank.f() RETURNS INT RETURN 1", "CREATE VIEW bank.few AS SELECT bank.f() AS x", "DROP FUNCTION bank.f",
		"CREATE FUNCTION bank.f(x INT) RETURNS INT RETURN x",
		// The server calls the table of the second view as the one that stays.
		"CREATE DATABASE `bank.a`", "CREATE TABLE `bank.a`.b (x INT)", "CREATE VIEW bank.dots AS SELECT x AS `a.b` FROM `bank.a`.b", "CREATE TABLE bank.`a.b` (x INT)",
		"INSERT INTO bank.`a.b` VALUES (1)", "DROP TABLE `bank.a`.b")
	snap := takeSnapshot(t, m, raft.Position{Term: 2, Index: 2})
	other := newMember(t, startServer(t), 2)
	check(t, other.Restore(within(t, 30*time.Second), other.id, snap))
	if got := other.query(t, "SELECT bank.f(7)"); got != "7" {
		t.Errorf("the function answers %s", got)
	}
	if got := other.query(t, "SELECT x FROM bank.`a.b`"); got != "1" {
		t.Errorf("the table has %s", got)
	}
}

package mysql

import (
	"testing"
	"time"
)

// A table has the options that its server does not know on a member that was filled from a snapshot, too, and nothing that stands in them is executed there.
func TestUnknownOptionsInSnapshots(t *testing.T) {
	t.Parallel()
	_, leader := startCluster(t)
	db := open(t, leader)
	execute(t, db, "CREATE DATABASE app", "CREATE USER u@'%'", "GRANT ALL ON app.* TO u@'%'")
	conn, ctx := account(t, leader, "u", "app"), within(t, 60*time.Second)
	for _, text := range []string{
		"SET sql_mode='IGNORE_BAD_TABLE_OPTIONS'", "CREATE TABLE t (a INT wide=yes, b VARCHAR(9) note='it''s \\\\') foo='bar' COMMENT='x'", "INSERT INTO t VALUES (1, 'b')",
		"CREATE TABLE u (a INT foo='*/, b INT) SELECT 1 AS b -- ') bar='*/ SELECT 1 AS b -- '", "SET sql_mode=DEFAULT", "CREATE TABLE plain (a INT DEFAULT 3)",
	} {
		_, err := conn.ExecContext(ctx, text)
		check(t, err)
	}
	there := open(t, restored(t, leader))
	for _, ask := range []string{"SHOW CREATE TABLE app.t", "SHOW CREATE TABLE app.u", "SHOW CREATE TABLE app.plain", "SELECT * FROM app.t", "SELECT * FROM app.u"} {
		if want, got := mustQuery(t, db, ask), mustQuery(t, there, ask); got != want {
			t.Errorf("%s\nwant %s\n got %s", ask, want, got)
		}
	}
}

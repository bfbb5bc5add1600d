package mysql

import (
	"testing"
	"time"
)

// The history of system-versioned tables is the same on all servers, and in snapshots.
func TestVersionedTables(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	db := open(t, leader)
	execute(t, db, "CREATE DATABASE app",
		"CREATE TABLE app.v (id INT PRIMARY KEY, a VARCHAR(20), n INT WITHOUT SYSTEM VERSIONING) WITH SYSTEM VERSIONING",
		"CREATE TABLE app.w (id INT PRIMARY KEY, a INT, s TIMESTAMP(6) GENERATED ALWAYS AS ROW START, e TIMESTAMP(6) GENERATED ALWAYS AS ROW END, PERIOD FOR SYSTEM_TIME (s, e)) WITH SYSTEM VERSIONING",
		"CREATE TABLE app.x (id INT PRIMARY KEY, a INT)", "CREATE TABLE app.k (a INT) WITH SYSTEM VERSIONING",
		"INSERT INTO app.v VALUES (1, 'a', 1), (2, 'b', 2), (3, 'c', 3)", "INSERT INTO app.w (id, a) VALUES (1, 1), (2, 2)", "INSERT INTO app.x VALUES (1, 1)", "INSERT INTO app.k VALUES (1), (1)",
		"UPDATE app.v SET a=CONCAT(a, id) WHERE id<3", "UPDATE app.v SET n=5", "DELETE FROM app.v WHERE id=2", "UPDATE app.w SET a=a+1", "DELETE FROM app.w WHERE id=1", "UPDATE app.k SET a=2 LIMIT 1",
		"REPLACE INTO app.v VALUES (3, 'again', 9)", "ALTER TABLE app.x ADD SYSTEM VERSIONING", "UPDATE app.x SET a=2")
	const ask = "SELECT GROUP_CONCAT(id, a, n, row_start, row_end ORDER BY id, row_end) FROM app.v FOR SYSTEM_TIME ALL UNION ALL SELECT GROUP_CONCAT(id, a, s, e ORDER BY id, e) FROM app.w FOR SYSTEM_TIME ALL" +
		" UNION ALL SELECT GROUP_CONCAT(id, a, row_start, row_end ORDER BY id, row_end) FROM app.x FOR SYSTEM_TIME ALL UNION ALL SELECT GROUP_CONCAT(a, row_start, row_end ORDER BY a, row_end) FROM app.k FOR SYSTEM_TIME ALL"
	want := mustQuery(t, db, ask)
	ctx := within(t, 120*time.Second)
	eventually(t, 40*time.Second, func() error { return allAnswer(ctx, c, ask, want) })
	conn := oneConn(t, db)
	if _, err := conn.ExecContext(ctx, "ALTER TABLE app.v ADD COLUMN late INT"); code(err) != 4119 {
		t.Errorf("ALTER TABLE: %v", err)
	}
	exec(t, conn, "SET system_versioning_alter_history=KEEP", "ALTER TABLE app.v ADD COLUMN late INT", "DELETE HISTORY FROM app.k", "UPDATE app.v SET late=1")
	want = mustQuery(t, db, ask)

	if got := mustQuery(t, open(t, restored(t, leader)), ask); got != want {
		t.Errorf("restored:\n%s\nwant\n%s", got, want)
	}
	if out, err := repl(t, leader, "verify"); err != nil {
		t.Errorf("verify: %v: %s", err, out)
	}
}

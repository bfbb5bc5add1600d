package mysql

import (
	"testing"
	"time"
)

// A temporary table that a function makes in the query of CREATE TABLE ... SELECT is the client's, and hides others from its procedures.
func TestTemporaryTableOfFilling(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	db := open(t, leader)
	execute(t, db, "CREATE DATABASE app", "CREATE TABLE app.made (a INT)", "CREATE TABLE app.other (a INT)", "CREATE USER u@'%'", "GRANT ALL ON app.* TO u@'%'",
		"CREATE FUNCTION app.makes() RETURNS INT BEGIN CREATE OR REPLACE TEMPORARY TABLE made (b INT); RETURN 1; END")
	for _, fill := range []string{
		"CREATE TABLE t SELECT makes() AS a", "CREATE TABLE t (p INT, KEY (p)) PARTITION BY HASH (p) SELECT makes() AS a", "BEGIN NOT ATOMIC CREATE TABLE t SELECT makes() AS a; END", "BEGIN NOT ATOMIC EXECUTE IMMEDIATE 'CREATE TABLE t SELECT makes() AS a'; END",
	} {
		conn := account(t, leader, "u", "app")
		ctx := within(t, 60*time.Second)
		_, err := conn.ExecContext(ctx, fill)
		check(t, err)
		if _, err := conn.ExecContext(ctx, "BEGIN NOT ATOMIC EXECUTE IMMEDIATE 'DROP TABLE made, other'; END"); code(err) != 1235 {
			t.Errorf("behind %s: %v", fill, err)
		}
		check(t, conn.Close())
		if got := mustQuery(t, db, "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema='app' AND table_name IN ('made','other')"); got != "2" {
			t.Errorf("behind %s: %s tables are left", fill, got)
			execute(t, db, "CREATE TABLE IF NOT EXISTS app.made (a INT)", "CREATE TABLE IF NOT EXISTS app.other (a INT)")
		}
		execute(t, db, "DROP TABLE app.t")
	}
	awaitEqual(t, c)
}

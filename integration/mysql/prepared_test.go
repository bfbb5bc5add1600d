package mysql

import (
	"strings"
	"testing"
	"time"
)

// Everything that can be prepared is, in a session that is READ ONLY until it is executed.
func TestPreparedStatements(t *testing.T) {
	t.Parallel()
	_, leader := startCluster(t)
	db := open(t, leader)
	execute(t, db, "CREATE DATABASE app", "CREATE TABLE app.grown (n INT)",
		"CREATE FUNCTION app.grow() RETURNS INT BEGIN INSERT INTO app.grown VALUES (1); RETURN 1; END")
	ctx := within(t, 40*time.Second)
	for _, text := range []string{
		"CREATE TABLE app.t (id INT PRIMARY KEY AUTO_INCREMENT, v INT)", "INSERT INTO app.t (v) VALUES (1)", "ALTER TABLE app.t ADD w INT DEFAULT 7",
		"UPDATE app.t SET v=v+1", "CREATE TEMPORARY TABLE app.mine (a INT)", "SELECT * FROM app.t FOR UPDATE", "SELECT app.grow()",
		"INSERT DELAYED INTO app.grown VALUES (2)",
	} {
		statement, err := db.PrepareContext(ctx, text)
		if err != nil {
			t.Errorf("prepare %s: %v", text, err)
			continue
		}
		if _, err := statement.ExecContext(ctx); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		check(t, statement.Close())
	}
	if got := mustQuery(t, db, "SELECT * FROM app.t"); got != "1,2,7" {
		t.Errorf("got %s", got)
	}
	execute(t, db, "INSERT DELAYED INTO app.grown VALUES (4)", "EXECUTE IMMEDIATE 'INSERT DELAYED INTO app.grown VALUES (5)'")
	if got := mustQuery(t, db, "SELECT * FROM app.grown"); got != "1;2;4;5" {
		t.Errorf("the function and what is DELAYED wrote %q", got)
	}
	// A statement outlives the transaction that it was prepared in.
	tx, err := db.BeginTx(ctx, nil)
	check(t, err)
	statement, err := tx.PrepareContext(ctx, "DROP TABLE app.t")
	check(t, err)
	_, err = statement.ExecContext(ctx)
	check(t, err)
	check(t, tx.Commit())
	if got := mustQuery(t, db, "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema='app' AND table_name='t'"); got != "0" {
		t.Error("the table is still there")
	}
}

// What the rows of SHOW tell of Nexus is left out, or put right, whether it was prepared or not.
func TestPreparedShow(t *testing.T) {
	t.Parallel()
	_, leader := startCluster(t)
	conn := oneConn(t, open(t, leader))
	exec(t, conn, "CREATE USER shown@'%'", "GRANT SELECT ON *.* TO shown@'%'")
	for _, text := range []string{"SHOW GRANTS", "SHOW GRANTS FOR shown@'%'", "SHOW GRANTS FOR PUBLIC", "SHOW VARIABLES LIKE 'tx_read_only'", "SHOW VARIABLES LIKE 'auto%'"} {
		statement, err := conn.PrepareContext(t.Context(), text)
		check(t, err)
		prepared := shown(statement.QueryContext(t.Context()))
		check(t, statement.Close())
		if asText := show(t.Context(), conn, text); prepared != asText {
			t.Errorf("%s:\n   as a text %s\nprepared %s", text, asText, prepared)
		}
		if strings.Contains(prepared, "nexus") || strings.Contains(prepared, "tx_read_only} {ON") {
			t.Errorf("%s: %s", text, prepared)
		}
	}
}

package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// ownerOfNexus is an account with every right on the database nexus, where a client's tables may be too, and on its own.
func ownerOfNexus(t *testing.T, leader *cluster.Node, db *sql.DB) *sql.DB {
	t.Helper()
	execute(t, db, "CREATE DATABASE app", "CREATE TABLE app.t (id INT PRIMARY KEY)", "CREATE USER owner@'%'", "GRANT ALL ON nexus.* TO owner@'%'", "GRANT ALL ON app.* TO owner@'%'")
	owner, err := sql.Open("mysql", "owner@tcp("+leader.Addr()+")/nexus")
	check(t, err)
	t.Cleanup(func() { owner.Close() })
	return owner
}

// Who may do anything in the database nexus still neither changes nor removes what Nexus keeps there, in whichever words, and
// has tables of his own beside it.
func TestOwnTables(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	db := open(t, leader)
	owner := ownerOfNexus(t, leader, db)
	execute(t, owner, "CREATE TABLE sync_table (id INT PRIMARY KEY AUTO_INCREMENT, position INT, address TEXT)", "INSERT INTO sync_table (position) VALUES (1)",
		"CREATE VIEW rows_of AS SELECT * FROM sync_table", "CREATE EVENT tick ON SCHEDULE EVERY 1 SECOND DO INSERT INTO sync_table (position) VALUES (2)")
	eventually(t, 60*time.Second, func() error {
		got, err := query(t.Context(), db, "SELECT COUNT(*) FROM nexus.event_run")
		if err == nil && got != "1" {
			err = fmt.Errorf("%s runs", got)
		}
		return err
	})
	execute(t, owner, "ALTER EVENT tick DISABLE")
	conn := oneConn(t, owner)
	for _, text := range []string{
		"DROP DATABASE/**/nexus", "DROP DATABASE`nexus`", "DROP TABLE nexus/**/.position", "DROP TABLE`position`", "TRUNCATE/**/applied", "ALTER TABLE/**/address ADD b INT",
		"RENAME TABLE sync_table TO x, event_run TO y", "DROP TABLE event_run", "CREATE OR REPLACE TABLE/**/position SELECT 1 AS id", "CREATE TRIGGER tr BEFORE INSERT ON`applied`FOR EACH ROW SET @a=1",
		"CREATE TRIGGER tr BEFORE INSERT ON event_run FOR EACH ROW SET @a=1", "ALTER TABLE sync_table ADD FOREIGN KEY (id) REFERENCES/**/program_answer (connection)",
		"CREATE VIEW v AS SELECT * FROM/**/position", "CREATE INDEX i ON/**/address (address)", "EXECUTE IMMEDIATE 'DROP TABLE nexus.`position`'",
	} {
		if _, err := conn.ExecContext(within(t, 40*time.Second), text); code(err) != 1235 {
			t.Errorf("%s: %v, want 1235", text, err)
		}
	}
	for _, text := range []string{
		"UPDATE position SET idx=idx+1000", "DELETE FROM applied", "INSERT INTO global_variable VALUES ('sql_mode', '')", "REPLACE INTO address VALUES (1, 'x')",
		"INSERT INTO schema_change VALUES (1, 1, '', 1, NULL)", "UPDATE sync_table s, position p SET s.position=5, p.idx=5", "DELETE p FROM sync_table s JOIN position p",
		"UPDATE event_run SET due='2037-01-01'", "DELETE FROM event_run", "INSERT INTO event_run VALUES ('a', 'b', NOW(), NOW())",
		"BEGIN NOT ATOMIC UPDATE event_run SET due='2037-01-01'; END",
	} {
		if _, err := conn.ExecContext(within(t, 40*time.Second), text); err == nil {
			t.Errorf("%s was executed", text)
		}
	}
	_, err := conn.ExecContext(within(t, 40*time.Second), `SET sql_mode='ANSI_QUOTES'`)
	check(t, err)
	for _, text := range []string{`DROP TABLE "position"`, `DROP TABLE "nexus"."position"`, `DROP DATABASE "nexus"`} {
		if _, err := conn.ExecContext(within(t, 40*time.Second), text); code(err) != 1235 {
			t.Errorf("%s: %v, want 1235", text, err)
		}
	}
	execute(t, owner, "INSERT INTO sync_table (position) VALUES (3)")
	if got := mustQuery(t, db, "SELECT COUNT(*) FROM nexus.sync_table WHERE position IN (1, 3)"); got != "2" {
		t.Errorf("got %s", got)
	}
	awaitEqual(t, c)
}

// Who locks rows that Nexus keeps is disconnected before the leader, which has to write them, loses its office.
func TestOwnRowsAreNotHeldUp(t *testing.T) {
	t.Parallel()
	_, leader := startCluster(t)
	db := open(t, leader)
	owner := ownerOfNexus(t, leader, db)
	for i, text := range []string{"SELECT idx FROM position FOR UPDATE", "UPDATE position SET idx=idx", "SELECT COUNT(*) FROM applied LOCK IN SHARE MODE", "DELETE FROM applied"} {
		conn := oneConn(t, owner)
		for _, text := range []string{"BEGIN", text} {
			_, err := conn.ExecContext(within(t, 40*time.Second), text)
			check(t, err)
		}
		before := mustQuery(t, db, "SELECT CONNECTION_ID()")
		for n := range 30 {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			_, err := db.ExecContext(ctx, "INSERT INTO app.t VALUES (?)", i*100+n)
			cancel()
			if err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			time.Sleep(100 * time.Millisecond)
		}
		if after := mustQuery(t, db, "SELECT CONNECTION_ID()"); after != before {
			t.Errorf("%s: the leader lost its clients", text)
		}
		if _, err := conn.ExecContext(within(t, 40*time.Second), "ROLLBACK"); err == nil && i < 2 {
			t.Errorf("%s: its session lives on", text)
		}
		if err := conn.Raw(func(any) error { return errors.New("done") }); err == nil {
			t.Error("the connection was not given back")
		}
		conn.Close()
	}
}

package mysql

import (
	"testing"
	"time"
)

// Whatever character sets a session chooses, its statements are replicated and it lives on: those that no server takes for what a
// client sends too.
func TestCharacterSetsOfSessions(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	db := open(t, leader)
	execute(t, db, "CREATE DATABASE app", "CREATE TABLE app.t (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(20)) CHARACTER SET utf8mb4",
		"CREATE PROCEDURE app.twice() BEGIN INSERT INTO t (v) VALUES ('p'); COMMIT; INSERT INTO t (v) VALUES ('q'); COMMIT; END")
	ctx := within(t, 120*time.Second)
	for _, set := range []string{
		"SET NAMES latin1", "SET character_set_connection=utf32", "SET character_set_connection=ucs2", "SET character_set_connection=utf16le",
		"SET collation_connection=utf16_bin", "SET NAMES utf8, collation_connection=utf32_myanmar_ci", "SET character_set_results=utf8mb3", "SET NAMES utf8mb4, character_set_connection=utf32",
	} {
		conn := oneConn(t, db)
		for _, text := range []string{
			"TRUNCATE app.t", "USE app", set, "INSERT INTO t (v) VALUES ('a'), ('b')", "UPDATE t SET v='c' WHERE v='b'", "BEGIN", "INSERT INTO t (v) VALUES ('d')", "SAVEPOINT s",
			"INSERT INTO t (v) VALUES ('lost')", "ROLLBACK TO s", "COMMIT", "BEGIN", "INSERT INTO t (v) VALUES ('lost')", "ROLLBACK", "DELETE FROM t WHERE v='nobody'",
			"CREATE TABLE made AS SELECT v FROM t", "ALTER TABLE made CHANGE v v ENUM('a','b','c','d') CHARACTER SET utf32", "DROP TABLE made", "CALL twice()", "LOCK TABLES t WRITE", "INSERT INTO t (v) VALUES ('e')", "UNLOCK TABLES",
		} {
			if _, err := conn.ExecContext(ctx, text); err != nil {
				t.Errorf("%s, %s: %v", set, text, err)
				break
			}
		}
		if got := mustQuery(t, open(t, leader), "SELECT GROUP_CONCAT(v ORDER BY id) FROM app.t"); got != "a,c,d,p,q,e" {
			t.Errorf("%s: the table holds %s", set, got)
		}
	}
	awaitEqual(t, c)
}

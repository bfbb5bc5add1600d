package mysql

import (
	"database/sql"
	"testing"
	"time"
)

// Blocks that clients send end transactions, change the schema, execute texts and call procedures that do, as on a plain server.
func TestBlocksWithSteps(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	db, alone := open(t, leader), startAlone(t)
	for _, at := range []*sql.DB{db, alone} {
		execute(t, at, "CREATE DATABASE app", "CREATE TABLE app.t (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(80))", "CREATE USER dba@'%'", "GRANT ALL ON *.* TO dba@'%' WITH GRANT OPTION",
			"CREATE USER u@'%'", "GRANT SELECT, INSERT, CREATE, EXECUTE ON app.* TO u@'%'", "CREATE PROCEDURE app.puts(x VARCHAR(80)) BEGIN INSERT INTO t (v) VALUES (x); COMMIT; END", "CREATE PROCEDURE app.says(x TEXT) EXECUTE IMMEDIATE x")
	}
	got, want := sessionsOf(t, leader, alone, "dba", "u")
	const rows = "dba SELECT GROUP_CONCAT(v ORDER BY id) FROM app.t"
	const migrate = "dba BEGIN NOT ATOMIC IF NOT EXISTS (SELECT 1 FROM information_schema.columns WHERE table_schema='app' AND table_name='t' AND column_name='w') THEN ALTER TABLE t ADD w INT; SELECT 'added'; END IF; END"
	sayAllAlike(t, got, want,
		"dba COMMIT", "dba USE app", "u USE app", migrate, migrate, "dba SHOW CREATE TABLE t",
		"dba BEGIN NOT ATOMIC DECLARE i INT DEFAULT 0; WHILE i<3 DO INSERT INTO t (v) VALUES (i); COMMIT; SET i=i+1; END WHILE; SELECT i; END;", rows,
		"dba BEGIN NOT ATOMIC START TRANSACTION; INSERT INTO t (v) VALUES ('no'); ROLLBACK; START TRANSACTION; INSERT INTO t (v) VALUES ('yes'); COMMIT; END", rows,
		"dba BEGIN NOT ATOMIC DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL; END; START TRANSACTION; INSERT INTO t (v) VALUES ('gone'); INSERT INTO t (id) VALUES (1); COMMIT; END", rows,
		"dba IF 1 THEN CREATE TABLE x1 (a INT); INSERT INTO x1 VALUES (5); SELECT * FROM x1; DROP TABLE x1; END IF;", "dba FOR r IN (SELECT id FROM t ORDER BY id LIMIT 2) DO EXECUTE IMMEDIATE CONCAT('INSERT INTO t (v) VALUES (''r', r.id, ''')'); END FOR", rows,
		"dba l: BEGIN NOT ATOMIC COMMIT; LEAVE l; END l", "dba l: LOOP COMMIT; INSERT INTO t (v) VALUES ('loop'); LEAVE l; END LOOP l", "dba CASE WHEN 1 THEN TRUNCATE TABLE t; END CASE", rows,
		"dba BEGIN NOT ATOMIC CALL puts('called'); CALL says('INSERT INTO t (v) VALUES (''said'')'); COMMIT; END", "u BEGIN NOT ATOMIC CALL puts('u'); END", rows,
		"dba BEGIN NOT ATOMIC EXECUTE IMMEDIATE 'CREATE TABLE y AS SELECT v, 1 AS one FROM t'; SELECT * FROM y; CREATE TABLE z SELECT COUNT(*) AS n FROM y; DROP TABLE y; END", "dba SELECT * FROM z",
		"u BEGIN NOT ATOMIC DROP TABLE t; END", "u BEGIN NOT ATOMIC CREATE TABLE mine (a INT); INSERT INTO mine VALUES (1); END", "u BEGIN NOT ATOMIC EXECUTE IMMEDIATE 'SELECT * FROM mysql.global_priv'; END", "dba SELECT * FROM mine",
		"dba BEGIN NOT ATOMIC DECLARE CONTINUE HANDLER FOR 1064 SELECT 'no SQL'; EXECUTE IMMEDIATE 'SELCT 1'; PREPARE p FROM 'SELECT 1 FROM'; SELECT 'behind'; END", "dba BEGIN NOT ATOMIC EXECUTE IMMEDIATE 'SELCT 1'; END", "dba PREPARE kept FROM 'SELECT 5'", "dba BEGIN NOT ATOMIC EXECUTE kept; PREPARE made FROM 'SELECT 6'; END", "dba EXECUTE made",
		// Transactions of the client's.
		"dba BEGIN", "dba INSERT INTO t (v) VALUES ('open')", "dba BEGIN NOT ATOMIC COMMIT; INSERT INTO t (v) VALUES ('kept'); COMMIT; END", "dba ROLLBACK", rows, "dba BEGIN NOT ATOMIC START TRANSACTION; INSERT INTO t (v) VALUES ('open'); END", "dba ROLLBACK", rows,
		"dba SET autocommit=0", "dba BEGIN NOT ATOMIC INSERT INTO t (v) VALUES ('a'); COMMIT; INSERT INTO t (v) VALUES ('b'); END", "dba ROLLBACK", "dba SET autocommit=1", rows,
		// Modes, character sets and lines.
		"dba SET NAMES latin1", "dba BEGIN NOT ATOMIC ALTER TABLE t COMMENT 'plain'; INSERT INTO t (v) VALUES (@@character_set_connection); END", "dba SELECT @@character_set_client, @@collation_connection", "dba SET NAMES utf8mb4", "dba BEGIN NOT ATOMIC ALTER TABLE t COMMENT 'größe'; END", "dba SHOW CREATE TABLE t",
		"dba BEGIN NOT ATOMIC EXECUTE IMMEDIATE 'SET NAMES utf8mb3'; EXECUTE IMMEDIATE 'SET NAMES latin1 COLLATE latin1_bin'; END", "dba SELECT @@character_set_client, @@collation_connection", "dba SET NAMES utf8mb4",
		"dba SET sql_mode='ANSI_QUOTES,NO_BACKSLASH_ESCAPES'", `dba BEGIN NOT ATOMIC ALTER TABLE "t" COMMENT 'a\'; SELECT 'b\' AS "c"; END`, `dba SHOW CREATE TABLE "t"`, "dba SET sql_mode=DEFAULT",
		"dba BEGIN NOT ATOMIC\n  COMMIT;\n  SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT='here';\nEND", "dba SHOW WARNINGS", "dba BEGIN NOT ATOMIC COMMIT; SELECT nosuch; END", "dba BEGIN NOT ATOMIC COMMIT; END; SELECT 1", "dba BEGIN NOT ATOMIC COMMIT END", "dba SELECT @@sql_mode, DATABASE(), @@in_transaction",
	)
	ctx := within(t, 60*time.Second)
	for _, text := range []string{
		"BEGIN NOT ATOMIC EXECUTE IMMEDIATE 'SET GLOBAL wait_timeout=4321'; END", "BEGIN NOT ATOMIC COMMIT; SET GLOBAL wait_timeout=4321; END", "BEGIN NOT ATOMIC EXECUTE IMMEDIATE 'XA RECOVER'; END", "SET STATEMENT max_statement_time=5 FOR EXECUTE IMMEDIATE 'BEGIN NOT ATOMIC EXECUTE IMMEDIATE ''SELECT 1''; END'",
		"BEGIN NOT ATOMIC SET STATEMENT max_statement_time=5 FOR EXECUTE IMMEDIATE 'SELECT 1'; END", "BEGIN NOT ATOMIC EXECUTE IMMEDIATE 'SET NAMES gbk'; END", "BEGIN NOT ATOMIC DROP TABLE nexus.applied; END",
	} {
		if _, err := got["dba"].ExecContext(ctx, text); code(err) != 1235 {
			t.Errorf("%s: %v", text, err)
		}
	}
	awaitEqual(t, c)
	checkAlike(t, c)
	checkNothingLeft(t, c)
}

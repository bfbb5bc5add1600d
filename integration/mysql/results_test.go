package mysql

import (
	"strings"
	"testing"
	"time"
)

// wideResults are character sets of results in which not even digits are as in others.
var wideResults = []string{"ucs2", "utf16", "utf16le", "utf32", "filename"}

// What an account may do does not depend on the character set of its results, in which the server answers a node's questions too.
func TestPrivilegesInWideResults(t *testing.T) {
	t.Parallel()
	_, leader := startCluster(t)
	db := open(t, leader)
	execute(t, db, "CREATE DATABASE app", "CREATE TABLE app.t (id INT PRIMARY KEY)", "CREATE ROLE boss", "GRANT ALL ON *.* TO boss",
		"CREATE USER chief@'%'", "GRANT ALL ON *.* TO chief@'%'", "CREATE USER small@'%'", "GRANT SELECT, CREATE VIEW, TRIGGER ON app.* TO small@'%'")
	ctx := within(t, 120*time.Second)
	for _, charset := range wideResults {
		conn := account(t, leader, "small", "app")
		if _, err := conn.ExecContext(ctx, "SET character_set_results="+charset); err != nil {
			t.Fatal(err)
		}
		for _, r := range []struct {
			text string
			code uint16
		}{
			{"SET GLOBAL long_query_time=9", 1227}, {"FLUSH TABLES WITH READ LOCK", 1142}, {"LOCK TABLES t WRITE", 1142}, {"LOCK TABLES t READ", 1142},
			{"GRANT boss TO small@'%'", 1698}, {"CREATE DEFINER=chief@'%' VIEW v AS SELECT 1", 1227},
			{"CREATE DEFINER=chief@'%' TRIGGER g BEFORE INSERT ON t FOR EACH ROW SET @a=1", 1227}, {"CREATE TABLE n (a INT)", 1142}, {"CREATE TABLE n SELECT 1", 1142},
		} {
			if _, err := conn.ExecContext(ctx, r.text); code(err) != r.code {
				t.Errorf("%s: %s: %v, want %d", charset, r.text, err, r.code)
			}
		}
	}
	if got := mustQuery(t, db, "SELECT @@global.long_query_time"); got != "10" {
		t.Errorf("long_query_time is %s", got)
	}
}

// What a procedure tells its node comes among its results, which are not understood in all character sets.
func TestProceduresInWideResults(t *testing.T) {
	t.Parallel()
	_, leader := startCluster(t)
	db := open(t, leader)
	execute(t, db, "CREATE DATABASE app", "CREATE TABLE app.t (id INT PRIMARY KEY AUTO_INCREMENT)",
		"CREATE PROCEDURE app.commits() BEGIN INSERT INTO app.t VALUES (); COMMIT; END", "CREATE USER small@'%'", "GRANT ALL ON app.* TO small@'%'")
	ctx := within(t, 120*time.Second)
	conn := account(t, leader, "small", "app")
	for _, charset := range append([]string{"latin1", "NULL"}, wideResults...) {
		want := uint16(0)
		if strings.HasPrefix(charset, "u") {
			want = 1235
		}
		if _, err := conn.ExecContext(ctx, "SET character_set_results="+charset); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.ExecContext(ctx, "CALL commits()"); err != nil && code(err) != want || err == nil && want != 0 {
			t.Errorf("%s: %v, want %d", charset, err, want)
		}
		if got := mustQuery(t, conn, "SHOW DATABASES"); strings.Contains(strings.ReplaceAll(got, "\x00", ""), "nexus") {
			t.Errorf("%s: SHOW DATABASES tells %q", charset, got)
		}
	}
	if got := mustQuery(t, db, "SELECT COUNT(*) FROM app.t"); got != "3" {
		t.Errorf("%s calls were executed, want 3", got)
	}
}

// A session does in whatever character set of results what it does in others, and names and texts reach the servers as they were said.
func TestCharacterSetsOfResults(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	db := open(t, leader)
	execute(t, db, "CREATE DATABASE app")
	ctx := within(t, 120*time.Second)
	for _, charset := range append([]string{"latin1", "NULL", "cp1251"}, wideResults...) {
		conn := oneConn(t, db)
		for _, text := range []string{
			"USE app", "SET character_set_results=" + charset, "CREATE OR REPLACE TABLE t (`ä` VARCHAR(20)) CHARACTER SET utf8mb4",
			"PREPARE p FROM CONCAT('INSERT INTO t VALUES (', QUOTE('ö'), ')')", "EXECUTE p", "CREATE OR REPLACE TABLE made AS SELECT `ä` AS `ü` FROM t",
			"CREATE TEMPORARY TABLE small (id INT)", "ALTER TABLE small ADD v INT", "DROP TABLE small", "SET sql_mode=CONCAT(@@sql_mode, ',ANSI_QUOTES')",
			`INSERT INTO "t" VALUES ('b')`, `ALTER TABLE "made" ADD "é" INT DEFAULT 1`, "SET @old=@@character_set_results", "SET GLOBAL long_query_time=11", "SET GLOBAL long_query_time=DEFAULT",
			"START TRANSACTION WITH CONSISTENT SNAPSHOT", "COMMIT", "LOCK TABLES t WRITE", "INSERT INTO t VALUES ('c')", "UNLOCK TABLES",
			"SET NAMES utf8mb4",
		} {
			if _, err := conn.ExecContext(ctx, text); err != nil {
				t.Fatalf("%s, %s: %v", charset, text, err)
			}
		}
		for ask, want := range map[string]string{
			"SELECT GROUP_CONCAT(`ä` ORDER BY 1) FROM app.t": "b,c,ö", "SELECT GROUP_CONCAT(`ü`, `é`) FROM app.made": "ö1",
		} {
			if got := mustQuery(t, db, ask); got != want {
				t.Errorf("%s: %s: %q, want %q", charset, ask, got, want)
			}
		}
	}
	awaitEqual(t, c)
}

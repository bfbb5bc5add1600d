package mysql

import (
	"context"
	"database/sql/driver"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
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

// In some character sets a byte of a longer character looks like a quote or a backslash, so that a node would read other words
// than the server. No client can speak them, however it asks.
func TestCharacterSetsThatNobodySpeaks(t *testing.T) {
	t.Parallel()
	_, leader := startCluster(t)
	connect := func(collation string) (driver.Conn, error) {
		cfg := mysql.NewConfig()
		cfg.Net, cfg.Addr, cfg.User, cfg.Collation = "tcp", leader.Addr(), "root", collation
		connector, err := mysql.NewConnector(cfg)
		check(t, err)
		return connector.Connect(within(t, 40*time.Second))
	}
	for _, collation := range []string{"gbk_chinese_ci", "big5_chinese_ci", "sjis_japanese_ci", "cp932_japanese_ci", "gbk_bin"} {
		if conn, err := connect(collation); err == nil || !strings.Contains(err.Error(), "utf8mb4") {
			t.Errorf("login in %s: %v", collation, err)
			if err == nil {
				conn.Close()
			}
		}
	}
	for _, text := range []string{"SET character_set_client=28", "SET character_set_client=28, @a=1", "SET @c='gbk', character_set_client=@c", "SET NAMES gbk", "SET CHARACTER SET sjis",
		"SET @@session.character_set_client='big5'"} {
		conn, err := connect("utf8mb4_general_ci")
		check(t, err)
		execute := func(text string) error {
			_, err := conn.(driver.ExecerContext).ExecContext(context.Background(), text, nil)
			return err
		}
		if err := execute("SET @c='gbk'"); err != nil {
			t.Error(err)
		}
		if err := execute(text); err == nil && execute("DO 1") == nil {
			t.Errorf("%s: the session goes on", text)
		}
		conn.Close()
	}
}

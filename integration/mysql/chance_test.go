package mysql

import (
	"database/sql"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// What a statement does by chance, by the clock, in the order of rows on one server, or through triggers and temporary
// tables, is done once: all servers hold the same.
func TestChance(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	execute(t, open(t, leader), "CREATE DATABASE app",
		"CREATE TABLE app.t (id INT PRIMARY KEY AUTO_INCREMENT, u CHAR(36), r DOUBLE, s DATETIME(6), n INT, c BIGINT UNSIGNED)",
		"CREATE TABLE app.log (id INT PRIMARY KEY AUTO_INCREMENT, of INT, u CHAR(36), s DATETIME(6))",
		"CREATE TABLE app.bare (a INT, r DOUBLE)",
		"CREATE TRIGGER app.logs AFTER INSERT ON app.t FOR EACH ROW INSERT INTO app.log (of, u, s) VALUES (NEW.id, UUID(), SYSDATE(6))",
		"CREATE PROCEDURE app.some(IN n INT) BEGIN WHILE n > 0 DO INSERT INTO app.t (u, r) SELECT UUID(), RAND(); SET n = n - 1; END WHILE; END")
	var wg sync.WaitGroup
	for i := range 6 {
		db := open(t, c.Nodes[i%3])
		wg.Go(func() {
			if err := chance(t, db, i); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	awaitEqual(t, c)
	db := open(t, leader)
	for table, want := range map[string]string{"t": "0", "log": "0", "bare": "0", "copy0": "0", "copy5": "0"} {
		if got := mustQuery(t, db, "SELECT COUNT(*) FROM app."+table); got == want {
			t.Errorf("%s is empty, so nothing was compared", table)
		}
	}
	for _, n := range c.Nodes {
		if got := metric(t, n, "nexus_mysql_beside_total"); got != "0" {
			t.Errorf("%s counts %s writes beside the log", n.Name, got)
		}
	}
}

func chance(t *testing.T, db *sql.DB, i int) error {
	ctx := within(t, 90*time.Second)
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	temporary := []string{"CREATE TEMPORARY TABLE app.mine (a INT, u CHAR(36))", "INSERT INTO app.mine VALUES (1, UUID()), (2, UUID())"}
	each := []string{
		"INSERT INTO app.t (u, r, s, n, c) VALUES (UUID(), RAND(), SYSDATE(6), FLOOR(RAND()*10), CONNECTION_ID()), (UUID(), RAND(), NOW(6), 3, UUID_SHORT())",
		"INSERT INTO app.t (u, n) SELECT u, a FROM app.mine",
		"UPDATE app.mine SET u=UUID()",
		"INSERT INTO app.bare SELECT n, RAND() FROM app.t LIMIT 3",
		"CALL app.some(2)",
		"UPDATE app.t SET r=RAND(), c=UUID_SHORT() WHERE id%7=3 LIMIT 2",
		"DELETE FROM app.bare LIMIT 1",
		"DELETE FROM app.t WHERE RAND()<0.1 LIMIT 2",
		"UPDATE app.t JOIN app.mine ON n=a SET s=SYSDATE(6), t.u=mine.u WHERE t.id%5=1",
		"INSERT INTO app.t (id, n) VALUES (1, 1) ON DUPLICATE KEY UPDATE r=RAND(), n=n+1",
		"REPLACE INTO app.bare SELECT id, RAND() FROM app.t ORDER BY RAND() LIMIT 1",
		"BEGIN; INSERT INTO app.t (u) VALUES (UUID()); SAVEPOINT a; DELETE FROM app.t LIMIT 3; ROLLBACK TO a; UPDATE app.bare SET r=RAND() LIMIT 1; COMMIT",
	}
	last := []string{fmt.Sprintf("CREATE TABLE app.copy%d AS SELECT *, UUID() AS more, RAND() AS other FROM app.t", i), "DROP TEMPORARY TABLE app.mine"}
	texts := temporary
	for range 6 {
		texts = append(texts, each...)
	}
	for _, text := range append(texts, last...) {
		for tries := 0; ; tries++ {
			_, err := conn.ExecContext(ctx, text)
			if code(err) == 1213 && tries < 20 {
				continue // a deadlock has rolled back all of it
			}
			if err != nil {
				return fmt.Errorf("%s: %w", text, err)
			}
			break
		}
	}
	if got, err := query(ctx, conn, "SHOW TABLES FROM app LIKE 'mine'"); err != nil || strings.Contains(got, "mine") {
		return fmt.Errorf("the temporary table is left: %s, %w", got, err)
	}
	return nil
}

// A schema change that makes values makes the same on a server with other settings of its own.
func TestSchemaChangesHeedTheSession(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	db := open(t, leader)
	execute(t, db, "CREATE DATABASE app", "CREATE TABLE app.t (a INT)", "INSERT INTO app.t VALUES (1), (2), (3)")
	server, err := other(c, leader).MariaDB.Client()
	check(t, err)
	defer server.Close()
	execute(t, server, "SET GLOBAL auto_increment_increment=5, auto_increment_offset=2, div_precision_increment=9, old_mode=''")
	execute(t, db, "ALTER TABLE app.t ADD id INT AUTO_INCREMENT PRIMARY KEY", "ALTER TABLE app.t ADD c DATETIME(6) DEFAULT NOW(6)", "ALTER TABLE app.t ADD b DECIMAL(20,12) AS (a/7) STORED",
		"CREATE TABLE app.u (a VARCHAR(3)) CHARSET utf8", "INSERT INTO app.t (a) VALUES (4)")
	awaitEqual(t, c)
}

// Rows of a table without a key are on the other servers in the order of their commits. They are numbered, and one of several is kept, on the
// leader alone, where nothing but rows hangs on the table. So are values made by chance, by a sequence and by what is the client's.
func TestSchemaChangesOfUnorderedRows(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	db := open(t, leader)
	execute(t, db, "CREATE DATABASE app", "CREATE TABLE app.bare (a INT, v VARCHAR(9) DEFAULT 'x')", "CREATE TABLE app.twice (a VARCHAR(9))", "CREATE TABLE app.hooked (a INT)", "CREATE TABLE app.called (a INT)",
		"CREATE TABLE app.ordered (a INT NOT NULL, UNIQUE (a))", "CREATE TABLE app.empty (a INT)",
		"CREATE SEQUENCE app.s", "SELECT NEXTVAL(app.s)", "CREATE PROCEDURE app.numbers() BEGIN ALTER TABLE app.called ADD id INT AUTO_INCREMENT PRIMARY KEY; END")
	first, second := oneConn(t, open(t, leader)), oneConn(t, open(t, leader))
	for _, table := range []string{"bare (a)", "twice", "hooked", "called", "ordered"} {
		exec(t, first, "BEGIN", "INSERT INTO app."+table+" VALUES (1)")
		exec(t, second, "BEGIN", "INSERT INTO app."+table+" VALUES (2)", "COMMIT")
		exec(t, first, "COMMIT")
	}
	execute(t, db, "INSERT INTO app.twice VALUES ('b'),('B')", "CREATE TRIGGER app.hook BEFORE INSERT ON app.hooked FOR EACH ROW SET NEW.a=NEW.a+1")
	for _, text := range []string{
		"CALL app.numbers()", "ALTER TABLE app.hooked ADD id INT AUTO_INCREMENT PRIMARY KEY", "ALTER TABLE app.bare ADD id INT AUTO_INCREMENT PRIMARY KEY, RENAME TO app.other",
		"ALTER TABLE app.bare DROP v, ADD id SERIAL", "ALTER TABLE app.hooked ADD u CHAR(36) DEFAULT UUID()",
	} {
		if _, err := db.Exec(text); code(err) != 1235 {
			t.Errorf("%s: %v", text, err)
		}
	}
	if _, err := db.Exec("ALTER TABLE app.bare ADD id INT AUTO_INCREMENT PRIMARY KEY, ADD v INT"); code(err) != 1060 {
		t.Errorf("a column that is there: %v", err)
	}
	if _, err := db.Exec("ALTER TABLE app.nosuch ADD id INT AUTO_INCREMENT PRIMARY KEY"); code(err) != 1146 {
		t.Errorf("a table that is not there: %v", err)
	}
	execute(t, db, "ALTER TABLE app.called AUTO_INCREMENT=5", "SET STATEMENT sql_mode='' FOR ALTER TABLE app.bare ADD id INT AUTO_INCREMENT PRIMARY KEY FIRST", "ALTER IGNORE TABLE app.twice ADD UNIQUE (a)",
		"ALTER TABLE app.ordered ADD id INT AUTO_INCREMENT PRIMARY KEY", "ALTER TABLE app.empty ADD id INT AUTO_INCREMENT PRIMARY KEY", "INSERT INTO app.bare (a) VALUES (3)")
	exec(t, first, "SET @u=5", "ALTER TABLE app.ordered ADD n INT DEFAULT (NEXT VALUE FOR app.s), ADD w VARCHAR(200) DEFAULT CURRENT_USER, ADD server INT DEFAULT @@server_id, ADD u INT DEFAULT (@u),"+
		" ADD x CHAR(36) DEFAULT UUID(), ADD r DOUBLE DEFAULT RAND()", "ALTER TABLE app.empty ADD u CHAR(36) DEFAULT UUID()")
	awaitEqual(t, c)
	if got := mustQuery(t, db, "SELECT COUNT(DISTINCT n), MIN(w), COUNT(server), MIN(u), COUNT(DISTINCT x), COUNT(DISTINCT r) FROM app.ordered"); got != "2,"+mustQuery(t, first, "SELECT CURRENT_USER()")+",2,5,2,2" {
		t.Errorf("by chance: %s", got)
	}
	if got := mustQuery(t, db, "SELECT id, v FROM app.bare ORDER BY id"); !strings.HasPrefix(got, "1,x;2,x;") {
		t.Errorf("numbered: %s", got)
	}
	if got := mustQuery(t, db, "SELECT COUNT(*) FROM app.twice"); got != "3" {
		t.Errorf("of rows that were there twice there are %s", got)
	}
	if got := mustQuery(t, db, "SHOW TABLES FROM app LIKE 'nexus%'"); got != "" {
		t.Errorf("left behind: %s", got)
	}
}

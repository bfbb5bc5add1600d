package mysql

import (
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// What would act on a single server is refused, and the message says why or what to do instead.
func TestPolicy(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	db := open(t, leader)
	execute(t, db, "CREATE DATABASE app", "CREATE TABLE app.t (id INT PRIMARY KEY)", "INSERT INTO app.t VALUES (1)", "CREATE TABLE app.v (a INT) WITH SYSTEM VERSIONING",
		"CREATE PROCEDURE app.makes_view() BEGIN START TRANSACTION; CREATE VIEW d AS WITH `c d` AS (SELECT 1 AS x) SELECT * FROM `c d`; COMMIT; END")
	for _, tc := range []struct{ text, says string }{
		{"SELECT * FROM app.t INTO OUTFILE '/tmp/nexus-out'", "secure_file_priv"},
		{"SELECT id FROM app.t INTO DUMPFILE '/tmp/nexus-out'", "secure_file_priv"},
		{"SELECT id INTO OUTFILE '/tmp/nexus-out' FROM app.t", "secure_file_priv"},
		{"PREPARE p FROM \"SELECT 1 INTO OUTFILE '/tmp/nexus-out'\"; EXECUTE p", "secure_file_priv"},
		{"PREPARE p FROM 'CREATE TABLE app.f (a INT DEFAULT ?)'; EXECUTE p USING 5", "write the values into the text"},
		{"WITH c AS (SELECT 1) (SELECT * FROM c) INTO OUTFILE '/tmp/nexus-out'", "secure_file_priv"},
		{"BEGIN NOT ATOMIC SELECT 1 INTO OUTFILE '/tmp/nexus-out'; END", "secure_file_priv"},
		{"CREATE PROCEDURE app.writes() SELECT 1 INTO DUMPFILE '/tmp/nexus-out'", "secure_file_priv"},
		{"CREATE EVENT app.e2 ON SCHEDULE EVERY (1+RAND()*100) HOUR DO DO RAND()", "on every node"},
		{"CREATE EVENT app.e2 ON SCHEDULE EVERY @@server_id HOUR DO DO RAND()", "on every node"},
		{"SET GLOBAL max_connections=10", "-maxConnections"},
		{"SET @@global.innodb_buffer_pool_size=10000000", "the configuration of all of them"},
		{"SET a.b=1", "does not know the variable"},
		{"FLUSH RELAY LOGS", "single backend"}, {"FLUSH TABLES app.t FOR EXPORT", "single backend"},
		{"CREATE VIEW app.d AS SELECT GET_LOCK('a', 1)", "on every server"},
		{"CREATE OR REPLACE VIEW app.d AS WITH `a b` AS (SELECT 1 AS x) SELECT * FROM `a b`", "need no quotes"},
		{"/*!50001 CREATE ALGORITHM=MERGE */ /*!50001 VIEW app.d AS WITH `1` AS (SELECT 1 AS x) SELECT * FROM `1` */", "need no quotes"},
		{"EXECUTE IMMEDIATE 'CREATE VIEW app.d AS WITH `select` AS (SELECT 1 AS x) SELECT * FROM `select`'", "need no quotes"},
		{"CALL app.makes_view()", "need no quotes"},
		{"CREATE VIEW app.d AS SELECT * FROM app.v FOR SYSTEM_TIME BETWEEN '2020-01-01' AND NOW()", "does not read this view back"},
		{"HANDLER app.t OPEN", "use SELECT"},
		{"EXECUTE IMMEDIATE 'SET GLOBAL max_connections=10'", "-maxConnections"},
		{"EXECUTE IMMEDIATE CONCAT('SET GLOBAL ', 'max_connections=10')", "-maxConnections"},
		{"PREPARE p FROM CONCAT('XA ', 'RECOVER')", "XA"},
		{"BEGIN NOT ATOMIC XA COMMIT 'x'; END", "XA"}, {"IF 1 THEN SET GLOBAL wait_timeout=5; END IF", "alone"},
		{"CREATE PROCEDURE app.p() BEGIN XA COMMIT 'x'; END", "XA"},
		{"CREATE PROCEDURE app.p() BEGIN SET @a=1, GLOBAL wait_timeout=5; END", "alone"},
		{"CREATE TRIGGER app.tr BEFORE INSERT ON app.t FOR EACH ROW SET @@global.wait_timeout=5", "alone"},
		{"CREATE PROCEDURE app.p() DELETE FROM mysql.db", "each server's own"}, {"IF 1 THEN DELETE FROM mysql.db; END IF", "each server's own"},
		{"CREATE PROCEDURE mysql.p() DELETE FROM db", "--ignore-database=mysql"}, {"CREATE VIEW mysql.v AS SELECT 1", "--ignore-database=mysql"},
		{"XA RECOVER", "XA"},
		{"DROP TABLE IF EXISTS mysql.user", "--ignore-database=mysql"}, {"CREATE TABLE `mysql`.`x` (a INT)", "--ignore-database=mysql"},
		{"ALTER TABLE mysql.proc ENGINE=InnoDB", "--ignore-database=mysql"}, {"DROP DATABASE mysql", "--ignore-database=mysql"},
		{"CREATE OR REPLACE DATABASE mysql", "every server has for itself"}, {"CREATE OR REPLACE SCHEMA nexus CHARACTER SET utf8mb4", "every server has for itself"},
		{"DELETE FROM mysql.global_priv WHERE User='x'", "each server's own"}, {"TRUNCATE mysql.time_zone", "each server's own"},
		{"CREATE TABLE app.m (a INT) ENGINE=MERGE UNION=(app.t)", "does not hold its rows itself"},
		{"SET enforce_storage_engine=MyISAM", "only InnoDB"},
		{"ALTER TABLE app.t ADD u CHAR(36) DEFAULT UUID(), RENAME TO app.t2", "then UPDATE"},
		{"RESET MASTER", "single backend"}, {"SHUTDOWN", "single backend"}, {"INSTALL SONAME 'x'", "single backend"},
		{"CHANGE MASTER TO master_host='x'", "no replication of its own"}, {"START SLAVE", "no replication of its own"},
		{"CREATE EVENT mysql.e ON SCHEDULE EVERY 1 SECOND DO DELETE FROM app.t", "--ignore-database=mysql"},
		{"ALTER EVENT app.e DO DELETE FROM mysql.db", "each server's own"},
	} {
		err := executeParts(t, db, tc.text)
		if code(err) != 1235 || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: %v, want 1235 and %q", tc.text, err, tc.says)
		}
	}
	if got := mustQuery(t, db, "SELECT * FROM app.t"); got != "1" {
		t.Errorf("got %s", got)
	}
	awaitEqual(t, c)
}

// executeParts executes what stands between semicolons and blanks on one connection, up to an error.
func executeParts(t *testing.T, db *sql.DB, text string) error {
	t.Helper()
	conn := oneConn(t, db)
	defer conn.Close()
	parts := []string{text}
	if strings.HasPrefix(text, "PREPARE") {
		parts = strings.Split(text, "; ")
	}
	for _, part := range parts {
		if _, err := conn.ExecContext(t.Context(), part); err != nil {
			return err
		}
	}
	return nil
}

// Files that a statement names are the leader's server's: what they hold is in the log as rows, and they are written where its own are not.
func TestFilesOfTheServer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := newCluster(t, cluster.Options{})
	for _, n := range c.Nodes {
		n.MariaDB.Args = append(n.MariaDB.Args, "--secure-file-priv="+dir)
	}
	check(t, c.StartReady(within(t, 60*time.Second)))
	leader, err := c.Leader(within(t, 40*time.Second))
	check(t, err)
	db := open(t, leader)
	rows, written := filepath.Join(dir, "rows"), filepath.Join(dir, "written")
	check(t, os.WriteFile(rows, []byte("1\tone\n2\ttwo\n"), 0o644))
	execute(t, db, "CREATE DATABASE app", "CREATE TABLE app.t (id INT PRIMARY KEY, v VARCHAR(30))", "LOAD DATA INFILE '"+rows+"' INTO TABLE app.t", "INSERT INTO app.t VALUES (3, LOAD_FILE('"+rows+"'))",
		"SELECT * FROM app.t WHERE id<3 INTO OUTFILE '"+written+"'")
	if got, err := os.ReadFile(written); string(got) != "1\tone\n2\ttwo\n" {
		t.Errorf("written: %q, %v", got, err)
	}
	execute(t, db, "CREATE TABLE app.u LIKE app.t", "LOAD DATA INFILE '"+written+"' INTO TABLE app.u")
	if _, err := db.Exec("LOAD DATA INFILE '" + filepath.Join(dir, "nosuch") + "' INTO TABLE app.t"); code(err) != 13 {
		t.Errorf("a file that is not there: %v", err)
	}
	if _, err := db.Exec("LOAD DATA INFILE '/etc/hostname' INTO TABLE app.t"); code(err) != 1290 {
		t.Errorf("a file that is elsewhere: %v", err)
	}
	if got := mustQuery(t, db, "SELECT id FROM app.t UNION ALL SELECT id FROM app.u"); got != "1;2;3;1;2" {
		t.Errorf("got %s", got)
	}
	awaitEqual(t, c)
}

// In the database mysql itself nothing is written either, and no table of it is removed.
func TestSystemDatabase(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	conn := oneConn(t, open(t, leader))
	ctx := within(t, 60*time.Second)
	for _, text := range []string{"CREATE DATABASE app", "CREATE TABLE app.t (id INT PRIMARY KEY)", "USE mysql"} {
		_, err := conn.ExecContext(ctx, text)
		check(t, err)
	}
	for _, text := range []string{
		"INSERT INTO time_zone VALUES (NULL, 'N')", "UPDATE user SET Password=''", "DELETE FROM global_priv", "DROP TABLE IF EXISTS user", "TRUNCATE proc", "CREATE TABLE x (a INT)",
		"BEGIN NOT ATOMIC DELETE FROM db; END", "l: LOOP DELETE FROM db; LEAVE l; END LOOP l", "CREATE PROCEDURE p() DELETE FROM db",
	} {
		if _, err := conn.ExecContext(ctx, text); code(err) != 1235 {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, text := range []string{
		"DROP TABLE app.t", "CREATE TABLE app.t (id INT)", "CREATE PROCEDURE app.p() SELECT 1", "USE app", "INSERT INTO t VALUES (1)", "CREATE USER small@'%'",
		"GRANT SELECT, INSERT ON app.* TO small@'%'", "REVOKE ALL PRIVILEGES, GRANT OPTION FROM PUBLIC",
	} {
		if _, err := conn.ExecContext(ctx, text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	// Every account may still mark its transactions.
	small, err := sql.Open("mysql", "small@tcp("+leader.Addr()+")/app")
	check(t, err)
	defer small.Close()
	if _, err := small.ExecContext(ctx, "INSERT INTO t VALUES (2)"); err != nil {
		t.Error(err)
	}
	awaitEqual(t, c)
	if got := metric(t, leader, "nexus_mysql_beside_total"); got != "0" {
		t.Errorf("%s transactions beside the log", got)
	}
}

// What a client defines has the client's rights, however it says so: each server's node may define anything.
func TestDefiners(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	db := open(t, leader)
	execute(t, db, "CREATE DATABASE app", "CREATE TABLE app.t (id INT PRIMARY KEY)", "CREATE USER small@'%'",
		"GRANT SELECT, CREATE ROUTINE, ALTER ROUTINE, CREATE VIEW, DROP, TRIGGER, EVENT ON app.* TO small@'%'")
	small, err := sql.Open("mysql", "small@tcp("+leader.Addr()+")/app")
	check(t, err)
	defer small.Close()
	execute(t, small, "/* a */ CREATE /* b */ PROCEDURE p1() SELECT 1", "CREATE DEFINER=CURRENT_USER PROCEDURE p2() SELECT 1", "CREATE DEFINER=CURRENT_USER() FUNCTION p3() RETURNS INT RETURN 1",
		"CREATE DEFINER=small@'%' PROCEDURE p4() SELECT 1", "CREATE SQL SECURITY DEFINER VIEW v1 AS SELECT 1", "ALTER VIEW v1 AS SELECT 2", "CREATE OR REPLACE /* c */ VIEW v2 AS SELECT 1",
		"CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW SET @a=1", "CREATE EVENT e ON SCHEDULE EVERY 1 DAY STARTS '2037-01-01' DO DO 1", "/* d */ ALTER EVENT e DISABLE")
	if got := mustQuery(t, db, "SELECT GROUP_CONCAT(DISTINCT definer), COUNT(*) FROM (SELECT definer FROM information_schema.routines WHERE routine_schema='app' UNION ALL"+
		" SELECT definer FROM information_schema.views WHERE table_schema='app' UNION ALL SELECT definer FROM information_schema.triggers WHERE trigger_schema='app' UNION ALL"+
		" SELECT definer FROM information_schema.events WHERE event_schema='app') d"); got != "small@%,8" {
		t.Errorf("the definers are %s", got)
	}
	for _, text := range []string{
		"CREATE DEFINER=root@localhost PROCEDURE p5() SELECT 1", "CREATE DEFINER=`root`@`localhost` SQL SECURITY DEFINER VIEW v3 AS SELECT 1", "ALTER DEFINER=root@localhost VIEW v1 AS SELECT 1",
		"/*!50003 CREATE*/ /*!50017 DEFINER=`root`@`localhost`*/ /*!50003 TRIGGER tr2 BEFORE INSERT ON t FOR EACH ROW SET @a=1 */", "CREATE DEFINER=root PROCEDURE p5() SELECT 1",
	} {
		if _, err := small.ExecContext(within(t, 40*time.Second), text); code(err) != 1227 {
			t.Errorf("%s: %v, want 1227", text, err)
		}
	}
	execute(t, db, "CREATE DEFINER=small@'%' PROCEDURE app.p6() SELECT 1")
	awaitEqual(t, c)
}

// Tables of the database mysql are written neither through a view nor in other words than the usual ones.
func TestSystemTablesThroughOthers(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	db := open(t, leader)
	execute(t, db, "CREATE DATABASE app", "CREATE TABLE app.t (a INT)", "CREATE ALGORITHM=TEMPTABLE VIEW app.seen AS SELECT * FROM mysql.servers")
	for _, text := range []string{
		"CREATE VIEW app.v AS SELECT * FROM mysql.servers", "UPDATE (mysql.servers) SET Host='x'", "DELETE s FROM (mysql.servers s) WHERE 1",
		"UPDATE app.t PARTITION (p0), mysql.servers SET Host='x'", "CREATE TRIGGER app.tr BEFORE INSERT ON app.t FOR EACH ROW UPDATE (mysql.servers) SET Host='x'",
		"CREATE PROCEDURE app.p() UPDATE (mysql.servers) SET Host='x'", "ANALYZE UPDATE (mysql.servers) SET Host='x'",
	} {
		if _, err := db.Exec(text); code(err) != 1235 {
			t.Errorf("%s: %v, want 1235", text, err)
		}
	}
	if _, err := db.Exec("INSERT INTO app.seen VALUES ('a')"); code(err) == 0 {
		t.Errorf("a view that is only read: %v", err)
	}
	conn := oneConn(t, db)
	for _, text := range []string{"USE mysql", "ANALYZE UPDATE servers SET Host='x'", "EXPLAIN ANALYZE DELETE FROM servers"} {
		_, err := conn.ExecContext(within(t, 40*time.Second), text)
		if want := text != "USE mysql"; (code(err) == 1235) != want {
			t.Errorf("%s: %v", text, err)
		}
	}
	awaitEqual(t, c)
	if got := metric(t, leader, "nexus_mysql_beside_total"); got != "0" {
		t.Errorf("%s transactions beside the log", got)
	}
}

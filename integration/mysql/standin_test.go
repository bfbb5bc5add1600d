package mysql

import (
	"database/sql"
	"testing"
)

// A call by way of a stand-in does what it does on a plain server, whatever names, types, comments and roles there are, and whatever becomes of the
// database and of accounts meanwhile; nothing is left of it.
func TestStandInsLeaveNothing(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	db, alone := open(t, leader), startAlone(t)
	for _, at := range []*sql.DB{db, alone} {
		execute(t, at, "CREATE DATABASE app", "CREATE DATABASE gone", "CREATE DATABASE `a``b'c`", "CREATE TABLE app.t (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(80))",
			"CREATE USER dba@'%'", "GRANT ALL ON *.* TO dba@'%' WITH GRANT OPTION",
			"CREATE USER u@'%'", "GRANT EXECUTE ON app.* TO u@'%'", "GRANT EXECUTE ON gone.* TO u@'%'", "CREATE USER v@'%'", "CREATE ROLE `the clerk`", "GRANT `the clerk` TO v@'%'", "SET DEFAULT ROLE `the clerk` FOR v@'%'", "GRANT ALL ON app.* TO `the clerk`",
			"CREATE USER i@'%'", "GRANT SELECT ON mysql.proc TO i@'%'", "GRANT INSERT ON app.* TO i@'%'", "CREATE USER o@'%'", "GRANT ALL ON app.* TO o@'%'")
	}
	got, want := sessionsOf(t, leader, alone, "dba", "u", "v", "i", "o")
	sayAlike(t, got, want,
		"dba USE app", "u USE app", "o USE app",
		"dba CREATE PROCEDURE comments() BEGIN COMMIT; INSERT INTO t (v) VALUES ('c'); END -- done", "u CALL comments()", "dba CALL comments()",
		"dba CREATE PROCEDURE commentb() BEGIN COMMIT; INSERT INTO t (v) VALUES ('d'); END /* done", "dba CREATE PROCEDURE commenth() BEGIN COMMIT; INSERT INTO t (v) VALUES ('d'); END # done", "u CALL commenth()", "dba CALL commenth()",
		"dba CREATE PROCEDURE `p'q``r` (`a'b` INT, `c``d` ENUM('x''y','z\\\\w')) BEGIN COMMIT; INSERT INTO t (v) VALUES (CONCAT(`a'b`, `c``d`)); END", "u CALL `p'q``r`(1, 'x''y')", "u CALL `p'q``r`(2, 'z\\\\w')", "dba CALL `p'q``r`(2, 'z\\\\w')", "u CALL `p'q``r`('x', 'nö')",
		"dba CREATE PROCEDURE `tab\ty` (`a\tb` INT) BEGIN COMMIT; INSERT INTO t (v) VALUES (`a\tb`); END", "u CALL `tab\ty`(3)", "dba CALL `tab\ty`(3)",
		"dba CREATE PROCEDURE `a``b'c`.p() BEGIN COMMIT; INSERT INTO app.t (v) VALUES ('quoted'); END", "dba GRANT EXECUTE ON PROCEDURE `a``b'c`.p TO u@'%'", "u CALL `a``b'c`.p()",
		"dba CREATE DEFINER=`the clerk` PROCEDURE byrole(x TEXT) BEGIN EXECUTE IMMEDIATE x; COMMIT; INSERT INTO t (v) VALUES ('role'); END", "u CALL byrole('SELECT 1')", "v CALL app.byrole('SELECT 2')",
		"dba GRANT EXECUTE ON gone.* TO u@'%'", "dba CREATE PROCEDURE gone.drops() BEGIN INSERT INTO app.t (v) VALUES ('before'); DROP DATABASE gone; INSERT INTO app.t (v) VALUES ('behind'); END", "u CALL gone.drops()", "dba SHOW DATABASES LIKE 'gone'",
		"dba CREATE PROCEDURE selfish() BEGIN INSERT INTO app.t (v) VALUES ('s'); DROP PROCEDURE selfish; INSERT INTO app.t (v) VALUES ('t'); END", "u CALL selfish()", "u CALL selfish()",
		"dba CREATE PROCEDURE revokes() BEGIN REVOKE ALL PRIVILEGES, GRANT OPTION FROM u@'%'; INSERT INTO app.t (v) VALUES ('rev'); GRANT EXECUTE ON app.* TO u@'%'; COMMIT; END", "u CALL revokes()", "u CALL comments()",
		"dba GRANT EXECUTE ON PROCEDURE comments TO u@'%'", "dba CREATE PROCEDURE renames() BEGIN RENAME USER u@'%' TO uu@'%'; INSERT INTO app.t (v) VALUES ('ren'); RENAME USER uu@'%' TO u@'%'; COMMIT; END", "u CALL renames()",
		"dba CREATE PROCEDURE invoked() SQL SECURITY INVOKER BEGIN COMMIT; INSERT INTO app.t (v) VALUES ('i'); COMMIT; END", "i CALL app.invoked()",
		"o CREATE PROCEDURE mine() BEGIN COMMIT; INSERT INTO t (v) VALUES ('mine'); END", "o CALL mine()",
		"dba ALTER DATABASE app CHARACTER SET latin1", "u CALL comments()", "u CALL who_is_it()", "u CALL nowhere.p()", "u CALL mysql.p()", "u CALL `nexus`.p()",
		"dba CREATE PROCEDURE sel(x INT, y INT) BEGIN DECLARE z INT DEFAULT 5; COMMIT; SELECT x+y+z AS s; COMMIT; END", "u CALL sel(1, (SELECT 2))", "u CALL sel(@a:=3, @a+1)", "u SELECT @a", "u CALL sel(1)", "u CALL sel(1, nosuch)", "u CALL app.sel((1), 2);", "u CALL app . sel (1, 2) -- x", "u CALL /*!app.*/sel(1,3)", "u /* x */ CALL sel(1,3)",
		"dba SELECT GROUP_CONCAT(v ORDER BY id) FROM t",
	)
	awaitEqual(t, c)
	checkAlike(t, c)
	for _, n := range c.Nodes {
		server, err := n.MariaDB.Client()
		check(t, err)
		for _, q := range []string{"SELECT GROUP_CONCAT(routine_name) FROM information_schema.routines WHERE routine_name LIKE 'nexus%'", "SELECT GROUP_CONCAT(routine_name) FROM mysql.procs_priv WHERE routine_name LIKE 'nexus%'"} {
			if got := mustQuery(t, server, q); got != "" {
				t.Errorf("left on %s: %s", n.Name, got)
			}
		}
		check(t, server.Close())
	}
}

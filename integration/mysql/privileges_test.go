package mysql

import (
	"database/sql"
	"fmt"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// account returns a connection of a client that logs in as user.
func account(t *testing.T, n *cluster.Node, user, database string) *sql.Conn {
	t.Helper()
	db, err := sql.Open("mysql", user+"@tcp("+n.Addr()+")/"+database)
	check(t, err)
	t.Cleanup(func() { db.Close() })
	return oneConn(t, db)
}

// Schema changes are executed by another account than the client's, and yet the client may do no more than the server would let
// it do: what is refused here is refused by a server without Nexus with the same code.
func TestPrivilegesForSchemaChanges(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	db := open(t, leader)
	execute(t, db, "CREATE DATABASE app", "CREATE DATABASE other", "USE app",
		"CREATE TABLE app.t (id INT PRIMARY KEY, v INT) PARTITION BY RANGE (id) (PARTITION p1 VALUES LESS THAN (10), PARTITION p2 VALUES LESS THAN (20))",
		"CREATE TABLE app.secret (id INT PRIMARY KEY, v INT)", "CREATE VIEW app.w AS SELECT 1", "CREATE SEQUENCE app.s",
		"CREATE PROCEDURE app.p() SELECT 1", "CREATE FUNCTION app.f() RETURNS INT RETURN 1",
		"CREATE TRIGGER app.g BEFORE INSERT ON app.t FOR EACH ROW SET NEW.v=1",
		"CREATE ROLE boss", "GRANT ALL ON *.* TO boss", "CREATE ROLE gardener", "GRANT CREATE, DROP ON other.* TO gardener",
		"CREATE USER small@'%'", "GRANT SELECT ON app.t TO small@'%'", "GRANT CREATE VIEW, ALTER ON app.* TO small@'%'", "GRANT gardener TO small@'%'",
		"CREATE USER clerk@'%'", "GRANT CREATE USER ON *.* TO clerk@'%'",
		"CREATE USER owner@'%'", "GRANT ALL ON app.* TO owner@'%' WITH GRANT OPTION",
		"CREATE USER chief@'%'", "GRANT ALL ON *.* TO chief@'%' WITH GRANT OPTION")
	ctx := within(t, 120*time.Second)
	for user, refusals := range map[string][]struct {
		text string
		code uint16
	}{
		"small": {
			{"CREATE DATABASE x", 1044}, {"DROP DATABASE other", 1044}, {"CREATE TABLE n (a INT)", 1142}, {"CREATE TABLE n SELECT * FROM t", 1142},
			{"ALTER TABLE t DROP PARTITION p2", 1142}, {"ALTER TABLE t RENAME TO t9", 1142}, {"DROP TABLE t", 1142}, {"TRUNCATE TABLE t", 1142},
			{"RENAME TABLE t TO t9", 1142}, {"CREATE INDEX i ON t (v)", 1142}, {"CREATE VIEW x AS SELECT * FROM secret", 1142},
			{"CREATE DEFINER=chief@'%' VIEW x AS SELECT * FROM t", 1227}, {"DROP VIEW w", 1142}, {"ALTER VIEW w AS SELECT 2", 1142}, {"CREATE PROCEDURE q() SELECT 1", 1044}, {"ALTER PROCEDURE p COMMENT 'x'", 1370},
			{"DROP PROCEDURE p", 1370}, {"DROP FUNCTION f", 1370}, {"DROP FUNCTION IF EXISTS app.f", 1370}, {"CREATE TRIGGER h AFTER INSERT ON t FOR EACH ROW SET @a=1", 1142},
			{"DROP TRIGGER g", 1142}, {"CREATE SEQUENCE s2", 1142}, {"DROP SEQUENCE s", 1142}, {"CREATE USER x", 1227}, {"DROP USER clerk", 1227},
			{"ALTER USER clerk IDENTIFIED BY 'x'", 1227}, {"CREATE ROLE r", 1227}, {"GRANT boss TO small@'%'", 1698}, {"REVOKE boss FROM root@localhost", 1698},
			{"GRANT SELECT ON app.secret TO small@'%'", 1142}, {"GRANT ALL ON *.* TO small@'%'", 1045}, {"GRANT PROXY ON chief@'%' TO small@'%'", 1698},
			{"SET PASSWORD FOR chief@'%' = PASSWORD('x')", 1044}, {"OPTIMIZE TABLE t", 1142}, {"ANALYZE TABLE t", 1142},
			{"CREATE TABLE other.n (a INT)", 1142},
		},
		"clerk": { // may make accounts, but not give them what it has not
			{"GRANT ALL ON *.* TO clerk@'%'", 1045}, {"GRANT SELECT ON app.* TO clerk@'%'", 1044}, {"GRANT boss TO clerk@'%'", 1698},
			{"CREATE TABLE app.n (a INT)", 1142}, {"SET PASSWORD FOR chief@'%' = PASSWORD('x')", 1044},
		},
		"owner": {{"GRANT ALL ON *.* TO owner@'%'", 1045}, {"CREATE TABLE other.n (a INT)", 1142}, {"DROP DATABASE other", 1044}, {"CREATE USER x", 1227}},
	} {
		conn := account(t, leader, user, "")
		if user == "small" {
			_, err := conn.ExecContext(ctx, "USE app")
			check(t, err)
		}
		for _, r := range refusals {
			if _, err := conn.ExecContext(ctx, r.text); code(err) != r.code {
				t.Errorf("%s: %s: %v, want %d", user, r.text, err, r.code)
			}
		}
	}
	for _, allowed := range []struct {
		user  string
		texts []string
	}{
		{"small", []string{"USE app", "ALTER TABLE t COMMENT 'x'", "CREATE VIEW v AS SELECT id FROM t", "CREATE DEFINER=small VIEW v2 AS SELECT id FROM t", "CREATE DEFINER=CURRENT_USER VIEW v3 AS SELECT 1", "SET PASSWORD = PASSWORD('')",
			"SET ROLE gardener", "CREATE TABLE other.n (a INT)", "DROP TABLE other.n"}},
		{"clerk", []string{"CREATE USER made@'%'", "CREATE ROLE team", "GRANT team TO made@'%'", "REVOKE team FROM made@'%'", "DROP ROLE team", "DROP USER made@'%'"}},
		{"owner", []string{"USE app", "CREATE TABLE n SELECT * FROM t", "ALTER TABLE t DROP PARTITION p2", "CREATE TABLE m (a INT) ENGINE=MyISAM", "CREATE TABLE IF NOT EXISTS t (a INT)",
			"RENAME TABLE n TO n2", "DROP TABLE n2, m", "DROP TRIGGER g", "DROP TRIGGER IF EXISTS g", "ALTER FUNCTION f COMMENT 'x'", "DROP FUNCTION f", "DROP PROCEDURE p", "ALTER VIEW w AS SELECT 2",
			"CREATE DEFINER=owner@'%' PROCEDURE q() SELECT 1", "GRANT SELECT ON app.* TO clerk@'%'", "DROP SEQUENCE s", "OPTIMIZE TABLE t", "SET STATEMENT sql_mode='' FOR CREATE TABLE z (a INT)"}},
		{"chief", []string{"CREATE DATABASE x", "CREATE TABLE x.t (a INT)", "ALTER DATABASE x CHARACTER SET utf8mb4", "DROP DATABASE x", "GRANT boss TO owner@'%'", "GRANT SELECT ON *.* TO clerk@'%'",
			"REVOKE ALL PRIVILEGES, GRANT OPTION FROM clerk@'%'", "CREATE DEFINER=owner@'%' VIEW app.x AS SELECT 1", "DROP USER clerk@'%'"}},
	} {
		conn := account(t, leader, allowed.user, "")
		for _, text := range allowed.texts {
			if _, err := conn.ExecContext(ctx, text); err != nil {
				t.Errorf("%s: %s: %v", allowed.user, text, err)
			}
		}
		if _, err := conn.ExecContext(ctx, "CREATE TEMPORARY TABLE app.temporary_one (a INT)"); allowed.user == "owner" && err != nil {
			t.Errorf("the session is not as it was: %v", err)
		}
	}
	awaitEqual(t, c)
}

// What a client says of itself is not said of the account of the nodes, and what it may do with temporary tables of its own it may
// not do with the tables that these hide.
func TestChangesOfAnotherAccount(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	db := open(t, leader)
	execute(t, db, "CREATE DATABASE app", "CREATE DATABASE mine", "CREATE TABLE app.a (id INT PRIMARY KEY, v INT)", "INSERT INTO app.a VALUES (1, 1)",
		"CREATE USER small@'%'", "GRANT CREATE TEMPORARY TABLES ON app.* TO small@'%'", "GRANT ALL ON mine.* TO small@'%'", "CREATE ROLE r", "GRANT r TO small@'%'")
	want := mustQuery(t, db, "SHOW CREATE TABLE app.a")
	ctx := within(t, 120*time.Second)
	conn := account(t, leader, "small", "app")
	do := func(text string, allowed bool) {
		t.Helper()
		if _, err := conn.ExecContext(ctx, text); allowed && err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
	for _, text := range []string{"DROP TABLE a", "DROP TABLE a, mine.x", "TRUNCATE a", "RENAME TABLE a TO mine.stolen", "RENAME TABLE a TO mine.stolen, mine.x TO mine.y",
		"CREATE INDEX i ON a (v)", "ALTER TABLE a ADD w INT", "DROP SEQUENCE a", "OPTIMIZE TABLE a"} {
		do("CREATE TABLE IF NOT EXISTS mine.x (a INT)", true)
		do("BEGIN NOT ATOMIC CREATE OR REPLACE TEMPORARY TABLE app.a (v INT); END", true)
		do(text, false)
		if got := mustQuery(t, db, "SHOW CREATE TABLE app.a"); got != want {
			t.Fatalf("%s: the table is now %s", text, got)
		}
	}
	if got := mustQuery(t, db, "SELECT * FROM app.a"); got != "1,1" {
		t.Errorf("the table holds %q", got)
	}
	do("SET DEFAULT ROLE r", true)
	do("GRANT SELECT ON mine.* TO CURRENT_USER", false)
	do("SET @a=1, PASSWORD=PASSWORD('x')", false)
	do("SET PASSWORD=PASSWORD('own')", true)
	eventually(t, 60*time.Second, func() error {
		for _, n := range c.Nodes {
			server, err := n.MariaDB.Client()
			if err != nil {
				return err
			}
			got, err := query(ctx, server, "SELECT user, JSON_VALUE(priv, '$.default_role'), JSON_VALUE(priv, '$.authentication_string')=PASSWORD('own') FROM mysql.global_priv WHERE user='small'"+
				" OR user='root' AND JSON_VALUE(priv, '$.authentication_string')<>''")
			server.Close()
			if err != nil {
				return err
			}
			if got != "small,r,1" {
				return fmt.Errorf("accounts of %s: %s", n.Name, got)
			}
		}
		return nil
	})
	awaitEqual(t, c)
}

// Who has a role, and not the right to give it, does not give it as CURRENT_ROLE either; the role is the client's, not one of the node's account.
func TestNobodyGivesCurrentRole(t *testing.T) {
	t.Parallel()
	_, leader := startCluster(t)
	db := open(t, leader)
	execute(t, db, "CREATE DATABASE app", "CREATE ROLE boss", "GRANT ALL ON app.* TO boss", "CREATE USER has@'%'", "CREATE USER wants@'%'", "GRANT boss TO has@'%'",
		"CREATE ROLE other", "SET DEFAULT ROLE other") // of the account of the node
	has, wants := account(t, leader, "has", ""), account(t, leader, "wants", "")
	exec(t, has, "SET ROLE boss")
	for _, tc := range []struct {
		user int
		text string
	}{
		{0, "GRANT CURRENT_ROLE() TO wants@'%'"}, {0, "GRANT CURRENT_ROLE TO wants@'%'"}, {0, "GRANT other, CURRENT_ROLE() TO wants@'%'"}, {0, "GRANT CURRENT_ROLE() TO has@'%' WITH ADMIN OPTION"},
		{0, "REVOKE CURRENT_ROLE() FROM has@'%'"}, {0, "GRANT SELECT ON app.* TO CURRENT_ROLE()"}, {0, "CREATE ROLE x WITH ADMIN CURRENT_ROLE()"},
		{1, "GRANT CURRENT_ROLE() TO wants@'%'"}, {1, "GRANT CURRENT_ROLE TO wants@'%'"}, {1, "SET DEFAULT ROLE CURRENT_ROLE"},
	} {
		if _, err := []*sql.Conn{has, wants}[tc.user].ExecContext(within(t, 40*time.Second), tc.text); err == nil {
			t.Errorf("%d may say %s", tc.user, tc.text)
		}
	}
	exec(t, has, "SET DEFAULT ROLE CURRENT_ROLE")
	if got := mustQuery(t, db, "SELECT user, role, admin_option FROM mysql.roles_mapping WHERE user<>'root' ORDER BY 1,2"); got != "has,boss,N" {
		t.Errorf("roles: %s", got)
	}
	if got := mustQuery(t, db, "SELECT default_role FROM mysql.user WHERE user='has'"); got != "boss" {
		t.Errorf("default role: %s", got)
	}
}

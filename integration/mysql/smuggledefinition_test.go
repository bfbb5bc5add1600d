package mysql

import (
	"database/sql"
	"testing"
	"time"
)

// What stands in the definition of a table that CREATE TABLE ... SELECT makes is executed by nobody, though the node's account executes the definition, on all servers:
// whatever the sql_mode makes of quotes, backslashes and options.
func TestDefinitionsExecuteNothing(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	db, alone := open(t, leader), startAlone(t)
	for _, at := range []*sql.DB{db, alone} {
		execute(t, at, "CREATE DATABASE app", "CREATE DATABASE other", "CREATE TABLE other.secret (a VARCHAR(99))", "INSERT INTO other.secret VALUES ('the secret')", "CREATE USER u@'%'", "GRANT ALL ON app.* TO u@'%'")
	}
	got, want := sessionsOf(t, leader, alone, "u")
	// The last quote of the default opens a text that ends with the first one of the comment.
	const (
		text    = "(CONCAT('x', '''), b VARCHAR(99)) SELECT a AS b FROM other.secret WHERE a<>'))"
		comment = " COMMENT=' OR 1 -- '"
	)
	statements := []string{"u USE app"}
	for _, say := range []string{
		"CREATE TABLE t (b VARCHAR(99) DEFAULT " + text + ")" + comment + " SELECT 1 AS b",
		"SET STATEMENT sql_mode='NO_BACKSLASH_ESCAPES' FOR CREATE TABLE t (b VARCHAR(99) DEFAULT " + text + ")" + comment + " SELECT 1 AS b",
		"CREATE TABLE t (b VARCHAR(99) DEFAULT " + text + ", KEY (b))" + comment + " PARTITION BY KEY (b) PARTITIONS 2 SELECT 1 AS b",
		`SET STATEMENT sql_mode='NO_BACKSLASH_ESCAPES' FOR CREATE TABLE t (b VARCHAR(99) COMMENT '\', c VARCHAR(99)) SELECT a AS b, a AS c FROM other.secret -- ') PARTITION BY KEY (b) PARTITIONS 2 SELECT 1 AS b`,
		"SET STATEMENT sql_mode='ANSI_QUOTES' FOR CREATE TABLE t (b VARCHAR(99) DEFAULT " + text + ")" + comment + " SELECT 1 AS b",
		"SET STATEMENT sql_mode='IGNORE_BAD_TABLE_OPTIONS' FOR CREATE TABLE t (b VARCHAR(99) foo='*/, c VARCHAR(99)) SELECT a AS b FROM other.secret -- ') bar='*/ SELECT a AS b FROM other.secret -- ' SELECT 1 AS b",
		"BEGIN NOT ATOMIC CREATE TABLE t (b VARCHAR(99) DEFAULT " + text + ")" + comment + " SELECT 1 AS b; END",
		"BEGIN NOT ATOMIC EXECUTE IMMEDIATE 'CREATE TABLE t (b VARCHAR(99) DEFAULT (CONCAT(''x'', ''''''), b INT) SELECT 1 AS b -- '')) SELECT 1 AS b'; END",
	} {
		for _, mode := range []string{"DEFAULT", "'NO_BACKSLASH_ESCAPES'", "'NO_BACKSLASH_ESCAPES,ANSI_QUOTES,PIPES_AS_CONCAT'", "'NO_TABLE_OPTIONS,STRICT_ALL_TABLES'"} {
			statements = append(statements, "u SET sql_mode="+mode, "u "+say, "u SET sql_mode=DEFAULT", "u SELECT * FROM t", "u SHOW CREATE TABLE t", "u DROP TABLE IF EXISTS t")
		}
	}
	// Names with a quote, of which the node asks the session.
	statements = append(statements, "u SET sql_mode='NO_BACKSLASH_ESCAPES'", "u CREATE TABLE `it's` SELECT 1 AS a", "u CREATE TABLE IF NOT EXISTS `it's` SELECT 2 AS a", "u CREATE TABLE `it's` (p INT, KEY (p)) PARTITION BY KEY (p) SELECT 2 AS p",
		"u CREATE OR REPLACE TABLE `it's` (p INT, KEY (p)) PARTITION BY KEY (p) SELECT 2 AS p", "u SELECT * FROM `it's`")
	sayAllAlike(t, got, want, statements...)
	awaitEqual(t, c)
	for _, n := range c.Nodes {
		eventually(t, 40*time.Second, func() error { return readyz(n) })
		if got := metric(t, n, "nexus_mysql_beside_total"); got != "0" {
			t.Errorf("%s transactions beside the log on %s", got, n.Name)
		}
	}
}

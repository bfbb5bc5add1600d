package mysql

import (
	"strings"
	"testing"
	"time"
)

// Tables of engines without transactions become InnoDB's, as a server does that has no other engines; temporary tables are
// of the engine that they name.
func TestOtherEngines(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	conn := oneConn(t, open(t, leader))
	ctx := within(t, 60*time.Second)
	do := func(text string) {
		t.Helper()
		if _, err := conn.ExecContext(ctx, text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
	do("CREATE DATABASE app")
	do("USE app")
	if mode := mustQuery(t, conn, "SELECT @@sql_mode"); !strings.Contains(mode, "NO_ENGINE_SUBSTITUTION") {
		t.Fatalf("the server's sql_mode is %s: nothing is tested", mode)
	}
	for table, text := range map[string]string{
		"a": "CREATE TABLE a (id INT PRIMARY KEY, v VARCHAR(9)) ENGINE=MyISAM DELAY_KEY_WRITE=1 PACK_KEYS=1 ROW_FORMAT=FIXED CHECKSUM=1",
		"b": "CREATE TABLE b (id INT) ENGINE MEMORY MAX_ROWS=10",
		"d": "CREATE TABLE d (id INT NOT NULL) ENGINE=`CSV`",
		"e": "CREATE TABLE e ENGINE=Aria TRANSACTIONAL=1 AS SELECT 1 AS id",
		"f": "CREATE TABLE f (id INT) ENGINE=MyISAM PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (10) ENGINE = MyISAM, PARTITION p1 VALUES LESS THAN MAXVALUE ENGINE = MyISAM)",
	} {
		do(text)
		if got := mustQuery(t, conn, "SHOW WARNINGS"); !strings.Contains(got, "Note,1266,Using storage engine InnoDB for table '"+table+"'") {
			t.Errorf("%s: warnings %q", text, got)
		}
	}
	do("ALTER TABLE a ENGINE=MEMORY")
	before := mustQuery(t, conn, "SHOW WARNINGS")
	if !strings.Contains(before, "1266") {
		t.Errorf("ALTER TABLE: warnings %q", before)
	}
	do("SET default_storage_engine=MyISAM")
	if got := mustQuery(t, conn, "SHOW WARNINGS"); got != before { // a server leaves them where they are
		t.Errorf("SET: warnings %q, want %q", got, before)
	}
	do("CREATE TABLE g (id INT) ROW_FORMAT=FIXED")
	if got := mustQuery(t, conn, "SHOW WARNINGS"); !strings.Contains(got, "Note,1266,Using storage engine InnoDB for table 'g'") {
		t.Errorf("a table of the default engine: warnings %q", got)
	}
	do("CREATE TABLE h LIKE a")
	// The server replaces the default engine too, if it is told to, but not that of partitions.
	do("CREATE TABLE i (id INT) PARTITION BY HASH (id) PARTITIONS 2")
	do("CREATE TABLE j (id INT) /*!50100 PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES LESS THAN MAXVALUE) */")
	do("INSERT INTO i VALUES (1), (2)")
	do("INSERT INTO j VALUES (1), (20)")
	do("ALTER TABLE g PARTITION BY HASH (id) PARTITIONS 2")
	for _, table := range []string{"g", "i", "j"} {
		if got := mustQuery(t, conn, "SHOW CREATE TABLE "+table); strings.Contains(got, "MyISAM") {
			t.Errorf("of the default engine: %s", got)
		}
	}
	if got := mustQuery(t, conn, "SELECT GROUP_CONCAT(DISTINCT engine) FROM information_schema.tables WHERE table_schema='app'"); got != "InnoDB" {
		t.Errorf("engines %s", got)
	}
	for _, tc := range []struct {
		text string
		code uint16
	}{
		{"CREATE TABLE x (id INT) ENGINE=nosuch", 1286}, {"CREATE TABLE x (id INT) ENGINE=MERGE UNION=(a)", 1235}, {"CREATE TABLE x (id INT) ENGINE=BLACKHOLE", 1235},
	} {
		if _, err := conn.ExecContext(ctx, tc.text); code(err) != tc.code {
			t.Errorf("%s: %v, want %d", tc.text, err, tc.code)
		}
	}
	for _, engine := range []string{"MEMORY", "MyISAM", "Aria"} {
		do("CREATE TEMPORARY TABLE mine (id INT) ENGINE=" + engine)
		if got := mustQuery(t, conn, "SHOW CREATE TABLE mine"); !strings.Contains(got, "ENGINE="+engine) {
			t.Errorf("temporary: %s", got)
		}
		do("INSERT INTO mine VALUES (1), (2)")
		do("BEGIN")
		do("INSERT INTO mine VALUES (3)")
		do("INSERT INTO g SELECT id FROM mine")
		do("COMMIT")
		do("TRUNCATE mine")
		do("ALTER TABLE mine ADD v INT")
		do("DROP TABLE mine")
	}
	if got := mustQuery(t, conn, "SELECT COUNT(*) FROM g"); got != "9" {
		t.Errorf("%s rows", got)
	}
	awaitEqual(t, c)
	if got := metric(t, leader, "nexus_mysql_beside_total"); got != "0" {
		t.Errorf("%s transactions beside the log", got)
	}
}

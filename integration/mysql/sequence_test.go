package mysql

import (
	"database/sql"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// No value of a sequence is told twice, through whichever node and whoever leads, and all servers hold the same.
func TestSequences(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	execute(t, open(t, leader), "CREATE DATABASE app", "CREATE SEQUENCE app.s CACHE 7", "CREATE SEQUENCE app.down START -1 INCREMENT -3 NOCACHE",
		"CREATE SEQUENCE app.ring MAXVALUE 10 CACHE 4 CYCLE", "CREATE TABLE app.t (id BIGINT PRIMARY KEY DEFAULT NEXT VALUE FOR app.s, who INT)",
		"CREATE FUNCTION app.hidden() RETURNS BIGINT RETURN NEXTVAL(app.s)")
	told := make(map[string]bool)
	draw(t, c, told)
	awaitSequences(t, c)

	follower, err := c.Follower(within(t, 40*time.Second))
	check(t, err)
	lead(t, c, follower)
	draw(t, c, told)
	awaitSequences(t, c)

	check(t, follower.Kill())
	leader, err = c.Leader(within(t, 40*time.Second), follower)
	check(t, err)
	db := open(t, leader)
	eventually(t, 40*time.Second, func() error { return db.PingContext(within(t, 40*time.Second)) })
	check(t, follower.StartReady(within(t, 40*time.Second)))
	draw(t, c, told)
	awaitSequences(t, c)

	if got := mustQuery(t, db, "SELECT SETVAL(app.s, 100000)"); got != "100000" {
		t.Errorf("SETVAL: %s", got)
	}
	if got := mustQuery(t, db, "SELECT NEXTVAL(app.s), LASTVAL(app.s)"); got != "100001,100001" {
		t.Errorf("after SETVAL: %s", got)
	}
	execute(t, db, "ALTER SEQUENCE app.down RESTART -1")
	if got := mustQuery(t, db, "SELECT NEXTVAL(app.down)"); got != "-1" {
		t.Errorf("after RESTART: %s", got)
	}
	awaitSequences(t, c)
	execute(t, db, "DROP SEQUENCE app.ring", "CREATE SEQUENCE app.ring")
	if got := mustQuery(t, db, "SELECT NEXTVAL(app.ring)"); got != "1" {
		t.Errorf("after it was made anew: %s", got)
	}
	awaitSequences(t, c)
	awaitEqual(t, c)
	for _, n := range c.Nodes {
		db, err := n.MariaDB.Client()
		check(t, err)
		if got := metric(t, n, "nexus_mysql_beside_total"); got != "0" {
			t.Errorf("%s counts %s writes beside the log", n.Name, got)
		}
		db.Close()
	}
}

// INSERT into a sequence, which all servers would not have then, is refused. A program that does it all the same, which keeps all others from the sequence,
// keeps no server from applying anything.
func TestSequencesAreWritten(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	db := open(t, leader)
	execute(t, db, "CREATE DATABASE app", "CREATE /*!100300SEQUENCE*/ app.made")
	if _, err := db.Exec("INSERT INTO app.made VALUES (50, 1, 1000, 1, 7, 10, 0, 0)"); code(err) != 1235 {
		t.Errorf("the first sequence: %v", err)
	}
	execute(t, db, "CREATE SEQUENCE app.s", "CREATE SEQUENCE app.other", "CREATE TABLE app.counted (n INT)", "CREATE TABLE app.t (a INT PRIMARY KEY)",
		"CREATE PROCEDURE app.p(n INT) INSERT INTO app.s VALUES (n, 1, 9223372036854775806, 1, 1, 1000, 0, 0)", "SELECT NEXTVAL(app.s)")
	conn := oneConn(t, open(t, leader))
	exec(t, conn, "USE app")
	for _, text := range []string{"INSERT INTO app.s VALUES (NEXT VALUE FOR app.s, 1, 9223372036854775806, 1, 1, 1000, 0, 0)", "REPLACE s SELECT * FROM other", "SET STATEMENT sql_mode='' FOR INSERT IGNORE `s` VALUES ()",
		"INSERT INTO app./*.*/s VALUES (60, 1, 1000, 1, 8, 10, 0, 0)", "INSERT INTO .s VALUES (60, 1, 1000, 1, 8, 10, 0, 0)", "ANALYZE FORMAT=JSON INSERT INTO s VALUES (70, 1, 1000, 1, 9, 10, 0, 0)",
		"LOAD DATA LOCAL INFILE 'nosuch' INTO TABLE s", "INSERT INTO made VALUES (50, 1, 1000, 1, 7, 10, 0, 0)"} {
		if _, err := conn.ExecContext(t.Context(), text); code(err) != 1235 {
			t.Errorf("%s: %v", text, err)
		}
	}
	exec(t, conn, "SET sql_mode=ANSI_QUOTES")
	if _, err := conn.ExecContext(t.Context(), `INSERT INTO "s" VALUES (60, 1, 1000, 1, 11, 10, 0, 0)`); code(err) != 1235 {
		t.Errorf("a name in double quotes: %v", err)
	}
	exec(t, conn, "SET sql_mode=DEFAULT", "BEGIN", "INSERT INTO t VALUES (-1),(-2),(-3)", "INSERT INTO counted VALUES (ROW_COUNT())", "COMMIT")
	if got := mustQuery(t, db, "SELECT * FROM app.counted"); got != "3" {
		t.Errorf("rows of the statement before: %s", got)
	}
	execute(t, db, "CALL app.p(5000)")
	if got := mustQuery(t, db, "SELECT NEXTVAL(app.s)"); got != "5000" {
		t.Errorf("after it was written: %s", got)
	}
	exec(t, conn, "BEGIN", "SELECT NEXTVAL(app.s)", "SELECT NEXTVAL(app.other)", "CALL app.p(7000)")
	for i := range 5 { // others commit meanwhile
		execute(t, db, "INSERT INTO app.t VALUES ("+strconv.Itoa(i)+")")
	}
	exec(t, conn, "COMMIT")
	awaitSame(t, c, "SELECT * FROM app.s")
	if now, err := c.Leader(within(t, 40*time.Second)); err != nil || now != leader {
		t.Errorf("the leader is another one: %v", err)
	}
}

// draw takes values of the sequences through all nodes, in all the ways there are.
func draw(t *testing.T, c *cluster.Cluster, told map[string]bool) {
	t.Helper()
	var mu sync.Mutex
	note := func(value string) {
		mu.Lock()
		defer mu.Unlock()
		if value == "" || told[value] {
			t.Errorf("%s was told before", value)
		}
		told[value] = true
	}
	var wg sync.WaitGroup
	for i := range 6 {
		db := open(t, c.Nodes[i%3])
		wg.Go(func() {
			if err := drawSome(t, db, note); err != nil {
				t.Errorf("through %s: %v", c.Nodes[i%3].Name, err)
			}
		})
	}
	wg.Wait()
}

func drawSome(t *testing.T, db *sql.DB, note func(string)) error {
	ctx := within(t, 60*time.Second)
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	for i := range 8 {
		for _, text := range []string{"SELECT NEXTVAL(app.s)", "SELECT NEXT VALUE FOR app.s", "SELECT app.hidden()", "INSERT INTO app.t (who) VALUES (1) RETURNING id"} {
			value, err := query(ctx, conn, text)
			if err != nil {
				return fmt.Errorf("%s: %w", text, err)
			}
			note(value)
		}
		end := []string{"COMMIT", "ROLLBACK"}[i%2]
		for _, text := range []string{"BEGIN", "SET @x=NEXTVAL(app.s)", "INSERT INTO app.t (who) VALUES (NEXTVAL(app.down))", "DO NEXTVAL(app.ring)", end} {
			if _, err := conn.ExecContext(ctx, text); err != nil {
				return fmt.Errorf("%s: %w", text, err)
			}
		}
		value, err := query(ctx, conn, "SELECT @x")
		if err != nil {
			return err
		}
		note(value)
	}
	value, err := query(ctx, conn, "SELECT NEXTVAL(app.s), NEXTVAL(app.ring), NEXTVAL(app.down)") // what was rolled back has advanced the leader's only
	if err != nil {
		return err
	}
	note(strings.Split(value, ",")[0])
	return nil
}

// awaitSequences waits until the sequences of all servers stand at the same place.
func awaitSequences(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	awaitSame(t, c, "SELECT 's', a.* FROM app.s a UNION SELECT 'down', b.* FROM app.down b UNION SELECT 'ring', c.* FROM app.ring c")
}

// awaitSame waits until all servers answer a question in the same way.
func awaitSame(t *testing.T, c *cluster.Cluster, text string) {
	t.Helper()
	eventually(t, 40*time.Second, func() error {
		var first string
		for _, n := range c.Nodes {
			db, err := n.MariaDB.Client()
			if err != nil {
				return err
			}
			held, err := query(within(t, 40*time.Second), db, text)
			db.Close()
			if err != nil {
				return err
			}
			if first == "" {
				first = held
			}
			if held != first {
				return fmt.Errorf("%s stands at\n%s, another at\n%s", n.Name, held, first)
			}
		}
		return nil
	})
}

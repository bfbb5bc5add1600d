package mysql

import (
	"context"
	"database/sql"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// Procedures that end transactions and change the schema do what they do on a plain server.
func TestProceduresWithSteps(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	db := open(t, leader)
	execute(t, db, "CREATE DATABASE app", "CREATE TABLE app.t (id INT PRIMARY KEY, v VARCHAR(20))", "CREATE DATABASE other")
	conn := oneConn(t, db)
	ctx := within(t, 120*time.Second)
	do := func(texts ...string) {
		t.Helper()
		for _, text := range texts {
			if _, err := conn.ExecContext(ctx, text); err != nil {
				t.Fatalf("%s: %v", text, err)
			}
		}
	}
	fails := func(text, want string) {
		t.Helper()
		if _, err := conn.ExecContext(ctx, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
	holds := func(text, want string) {
		t.Helper()
		if got := mustQuery(t, conn, text); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
	do("USE other")
	do(`CREATE PROCEDURE app.move(a INT, b INT, OUT done VARCHAR(10), INOUT n INT) BEGIN
		DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; SET done='failed'; RESIGNAL; END;
		START TRANSACTION; INSERT INTO t VALUES (a, 'a'); INSERT INTO t VALUES (b, 'b'); COMMIT; SET done='moved', n=n+1; END`)
	do("SET @n=5, @done=''", "CALL app.move(1, 2, @done, @n)")
	holds("SELECT @done, @n, DATABASE()", "moved,6,other")
	fails("CALL app.move(3, 1, @done, @n)", "1062")
	holds("SELECT @done, @n, (SELECT GROUP_CONCAT(id ORDER BY id) FROM app.t)", "moved,6,1,2") // what one that fails would tell is not told

	do(`CREATE PROCEDURE app.migrate() BEGIN DECLARE i INT DEFAULT 0; DECLARE x INT; DECLARE seen INT DEFAULT 0;
		DECLARE k CURSOR FOR SELECT id FROM t ORDER BY id; DECLARE CONTINUE HANDLER FOR 1060 SET seen=seen+1; DECLARE CONTINUE HANDLER FOR SQLSTATE '42S01' SET seen=seen+10;
		OPEN k;
		WHILE i<2 DO
			CREATE TABLE IF NOT EXISTS log (id INT AUTO_INCREMENT PRIMARY KEY, what TEXT, at DATETIME DEFAULT NOW());
			FETCH k INTO x; INSERT INTO log (what) VALUES (CONCAT('row ', x)); SELECT COUNT(*) FROM log; SET i=i+1;
		END WHILE;
		ALTER TABLE t ADD COLUMN w INT DEFAULT 7; ALTER TABLE t ADD COLUMN w INT; CREATE TABLE t (a INT);
		IF NOT EXISTS (SELECT 1 FROM information_schema.statistics WHERE table_schema='app' AND index_name='late') THEN CREATE INDEX late ON t (v); END IF;
		INSERT INTO log (what) VALUES (CONCAT('seen ', seen)); END`)
	do("CALL app.migrate()")
	holds("SELECT GROUP_CONCAT(what ORDER BY id) FROM app.log", "row 1,row 2,seen 11")
	holds("SELECT COUNT(*) FROM information_schema.statistics WHERE index_name='late'", "1")
	do("CALL app.migrate()")
	holds("SELECT COUNT(*) FROM app.log", "6")

	// Within a transaction the first step commits it; what follows a COMMIT is a transaction of its own.
	do("CREATE PROCEDURE app.half(fail INT) BEGIN INSERT INTO t (id) VALUES (20+fail); COMMIT; INSERT INTO t (id) VALUES (30+fail); IF fail=1 THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT='no'; END IF; END")
	do("BEGIN", "INSERT INTO app.t (id) VALUES (10)", "CALL app.half(0)", "ROLLBACK")
	fails("CALL app.half(1)", "1644")
	holds("SELECT GROUP_CONCAT(id ORDER BY id) FROM app.t", "1,2,10,20,21,30")
	do("CREATE PROCEDURE app.opens() BEGIN START TRANSACTION; INSERT INTO t (id) VALUES (40); END", "CALL app.opens()", "ROLLBACK", "CALL app.opens()", "COMMIT")
	do("SET autocommit=0", "CALL app.half(2)", "ROLLBACK", "SET autocommit=1")
	holds("SELECT GROUP_CONCAT(id ORDER BY id) FROM app.t WHERE id>=22", "22,30,40")

	// Rights are the caller's own; one that acts with another's is left to the server.
	do("CREATE USER small@'%'", "GRANT EXECUTE, SELECT, INSERT, CREATE ROUTINE ON app.* TO small@'%'")
	small, err := sql.Open("mysql", "small@tcp("+leader.Addr()+")/app")
	check(t, err)
	defer small.Close()
	execute(t, small, "CREATE PROCEDURE app.drops() DROP TABLE log")
	if _, err := small.ExecContext(ctx, "CALL drops()"); code(err) != 1142 {
		t.Errorf("DROP without the privilege: %v", err)
	}
	execute(t, small, "CALL half(5)") // with the definer's rights
	holds("SELECT GROUP_CONCAT(id ORDER BY id) FROM app.t WHERE id>40 OR id=25 OR id=35", "25,35")
	// A text that is executed with other settings is not told before, and one that is read otherwise was not looked at.
	do("USE app", "CREATE PROCEDURE texts() BEGIN COMMIT; SET STATEMENT max_statement_time=100 FOR EXECUTE IMMEDIATE 'SELECT 1'; END")
	fails("CALL texts()", "1235")
	do("CREATE PROCEDURE modes() BEGIN SET sql_mode='NO_BACKSLASH_ESCAPES'; ALTER TABLE log COMMENT 'x\\', RENAME TO other.log -- '\n; END")
	fails("CALL modes()", "1235")
	do("CREATE PROCEDURE charsets() BEGIN SET NAMES latin1; ALTER TABLE log COMMENT 'x'; END")
	fails("CALL charsets()", "1235")
	holds("SELECT @@character_set_client, DATABASE()", "utf8mb4,app")
	do("USE other")
	do("BEGIN", "INSERT INTO app.t (id) VALUES (50)", "CALL app.migrate()", "ROLLBACK")
	holds("SELECT COUNT(*) FROM app.log WHERE id>6", "3")
	holds("SELECT COUNT(*) FROM app.t WHERE id=50", "1")
	fails("CALL app.half(1, 2)", "1318")
	fails("CALL app.nosuch()", "1305")
	awaitEqual(t, c)
	if got := metric(t, leader, "nexus_mysql_beside_total"); got != "0" {
		t.Errorf("%s transactions beside the log", got)
	}
	for _, n := range c.Nodes {
		server, err := n.MariaDB.Client()
		check(t, err)
		if got := mustQuery(t, server, "SELECT COUNT(*) FROM nexus.program_answer"); got != "0" {
			t.Errorf("%s answers are left on %s", got, n.Name)
		}
		check(t, server.Close())
	}
}

// A leader that dies at any step of a procedure leaves what was committed up to there, and all members hold the same.
func TestCrashWithinProcedure(t *testing.T) {
	t.Parallel()
	c := newCluster(t, cluster.Options{Binary: failingNodeBinary})
	check(t, c.StartReady(within(t, 60*time.Second)))
	ctx := within(t, 300*time.Second)
	leader, err := c.Leader(ctx)
	check(t, err)
	execute(t, open(t, leader), "CREATE DATABASE app", "CREATE TABLE app.t (place VARCHAR(40), n INT, PRIMARY KEY (place, n))",
		"CREATE PROCEDURE app.handled(place VARCHAR(40)) BEGIN DECLARE CONTINUE HANDLER FOR SQLEXCEPTION BEGIN END; INSERT INTO app.t VALUES (place, 1); COMMIT; INSERT INTO app.t VALUES (place, 2); END",
		"CREATE PROCEDURE app.p(place VARCHAR(40)) BEGIN INSERT INTO app.t VALUES (place, 1); ALTER TABLE app.t ADD INDEX (n); INSERT INTO app.t VALUES (place, 2); COMMIT; INSERT INTO app.t VALUES (place, 3); END",
		"CREATE PROCEDURE app.escapes(place VARCHAR(40)) BEGIN DECLARE CONTINUE HANDLER FOR SQLEXCEPTION BEGIN END; INSERT INTO app.t VALUES (place, 1); COMMIT; INSERT INTO app.t VALUES (place, 2); END",
		"CREATE PROCEDURE app.hides(place VARCHAR(40)) BEGIN DECLARE CONTINUE HANDLER FOR SQLEXCEPTION BEGIN END; INSERT INTO app.t VALUES (place, 1); CREATE TEMPORARY TABLE app.t (a INT); TRUNCATE app.t; DROP TABLE app.t; INSERT INTO app.t VALUES (place, 2); END",
		"CREATE PROCEDURE app.fills(place VARCHAR(40)) BEGIN INSERT INTO app.t VALUES (place, 1); CREATE TABLE app.filled AS SELECT * FROM app.t; INSERT INTO app.t VALUES (place, 2); END",
		"CREATE PROCEDURE app.nested(place VARCHAR(40)) BEGIN DECLARE CONTINUE HANDLER FOR SQLEXCEPTION BEGIN END; CALL p(place); INSERT INTO app.t VALUES (place, 4); COMMIT; END")
	for _, step := range []struct{ procedure, place, want string }{
		{"p", "mysql.captured", ""}, {"p", "mysql.before-commit", "1"}, {"p", "mysql.before-answer", "1"}, {"p", "mysql.after-schema", "1"},
		{"nested", "mysql.captured", ""}, {"nested", "mysql.before-commit", "1"}, {"nested", "mysql.after-schema", "1"},
		{"hides", "mysql.before-commit", "1"}, {"hides", "mysql.before-answer", "1"},
		{"escapes", "mysql.before-answer", "1"},
		{"handled", "mysql.captured", ""}, // it goes on behind any error, but not to its commit
		{"fills", "mysql.before-answer", "1"}, {"fills", "mysql.after-schema", "1"},
	} {
		victim, err := c.Leader(ctx)
		check(t, err)
		check(t, victim.Stop(20*time.Second))
		victim.Env = []string{"NEXUS_FAILPOINT=" + step.place}
		check(t, victim.StartReady(ctx))
		lead(t, c, victim)
		db := open(t, victim)
		conn := oneConn(t, db)
		_, err = conn.ExecContext(ctx, "USE app")
		check(t, err)
		if _, err := conn.ExecContext(ctx, "CALL "+step.procedure+"('"+step.procedure+step.place+"')"); err == nil {
			t.Errorf("%s: the procedure was answered", step.place)
		}
		select {
		case <-victim.Exited():
		case <-ctx.Done():
			t.Fatalf("%s: the node did not die", step.place)
		}
		victim.Env = nil
		check(t, victim.StartReady(ctx))
		awaitEqual(t, c)
		n, err := c.Leader(ctx)
		check(t, err)
		if got := mustQuery(t, open(t, n), "SELECT n FROM app.t WHERE place=? ORDER BY n", step.procedure+step.place); got != step.want {
			t.Errorf("%s: rows %q, want %q", step.place, got, step.want)
		}
		if got := mustQuery(t, open(t, n), "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema='app' AND table_name='filled'"); got != "0" {
			t.Errorf("%s: the table has its name before it has its rows", step.place)
		}
		for _, n := range c.Nodes {
			server, err := n.MariaDB.Client()
			check(t, err)
			if got := mustQuery(t, server, "XA RECOVER"); got != "" {
				t.Errorf("%s: still prepared on %s: %s", step.place, n.Name, got)
			}
			if got := mustQuery(t, server, "SELECT COUNT(*) FROM information_schema.routines WHERE routine_name LIKE 'nexus%'"); got != "0" {
				t.Errorf("%s: %s procedures of its own are left on %s", step.place, got, n.Name)
			}
			check(t, server.Close())
		}
	}
}

// Procedures of many sessions, with schema changes between their transactions, and clients that leave in the middle.
func TestProceduresAtOnce(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	db := open(t, leader)
	execute(t, db, "CREATE DATABASE app", "CREATE TABLE app.account (id INT PRIMARY KEY, balance INT)", "INSERT INTO app.account VALUES (1, 100), (2, 100), (3, 100)",
		`CREATE PROCEDURE app.pay(a INT, b INT, n INT) BEGIN
			DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL; END;
			START TRANSACTION; UPDATE account SET balance=balance-n WHERE id=a; UPDATE account SET balance=balance+n WHERE id=b; COMMIT; END`,
		"CREATE PROCEDURE app.note(n INT) BEGIN CREATE TABLE IF NOT EXISTS notes (n INT); ALTER TABLE notes COMMENT='x'; INSERT INTO notes VALUES (n); END")
	ctx := within(t, 120*time.Second)
	const sessions, rounds = 6, 8
	done := make(chan error, sessions)
	for i := range sessions {
		n := leader
		if i%2 == 1 {
			n = other(c, leader)
		}
		pool := open(t, n)
		go func() {
			done <- func() error {
				conn, err := pool.Conn(ctx)
				if err != nil {
					return err
				}
				defer conn.Close()
				if _, err := conn.ExecContext(ctx, "USE app"); err != nil {
					return err
				}
				for round := range rounds {
					text := fmt.Sprintf("CALL pay(%d, %d, %d)", i%3+1, (i+round)%3+1, round)
					if round%4 == 3 {
						text = fmt.Sprintf("CALL note(%d)", i)
					}
					if _, err := conn.ExecContext(ctx, text); err != nil && code(err) != 1213 && code(err) != 1205 {
						return fmt.Errorf("%s: %w", text, err)
					}
				}
				return nil
			}()
		}()
	}
	for range sessions {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	for range 3 {
		conn := oneConn(t, open(t, leader))
		_, err := conn.ExecContext(ctx, "USE app")
		check(t, err)
		leaving, leave := context.WithTimeout(ctx, 20*time.Millisecond)
		_, _ = conn.ExecContext(leaving, "CALL pay(1, 2, 1)") // whatever becomes of it
		leave()
	}
	execute(t, db, "CREATE TABLE app.last (a INT)") // nothing holds up a schema change
	if got := mustQuery(t, db, "SELECT SUM(balance) FROM app.account"); got != "300" {
		t.Errorf("the sum is %s", got)
	}
	awaitEqual(t, c)
}

// Who may read what programs are told learns no name of a transaction, with which it could be ended beside the log.
func TestProgramsTellNoNames(t *testing.T) {
	t.Parallel()
	_, leader := startCluster(t)
	db := open(t, leader)
	execute(t, db, "CREATE DATABASE app", "CREATE USER nobody@'%'", "CREATE PROCEDURE app.p() BEGIN COMMIT; START TRANSACTION; DO SLEEP(30); END")
	ctx := within(t, 120*time.Second)
	caller, reader := oneConn(t, db), account(t, leader, "nobody", "")
	_, err := caller.ExecContext(ctx, "USE app")
	check(t, err)
	id := mustQuery(t, caller, "SELECT CONNECTION_ID()")
	called := make(chan error, 1)
	go func() { _, err := caller.ExecContext(ctx, "CALL p()"); called <- err }()
	eventually(t, 60*time.Second, func() error {
		got, err := query(ctx, reader, "SELECT step, xid FROM nexus.program_answer")
		if err == nil && got != "3," && got != "1," {
			err = fmt.Errorf("told is %q", got)
		}
		return err
	})
	// One that ends in the middle leaves nothing behind that leads it.
	execute(t, db, "KILL "+id)
	if err := <-called; err == nil {
		t.Error("the procedure was answered")
	}
	eventually(t, 60*time.Second, func() error {
		got, err := query(ctx, reader, "SELECT step FROM nexus.program_answer")
		if err == nil && got != "" {
			err = fmt.Errorf("the answer of step %s is still there", got)
		}
		return err
	})
}

// Somebody who waits for the lock of a program before the program does keeps it from its commit, but not the leader from its office.
func TestStolenLockOfProgram(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	db := open(t, leader)
	execute(t, db, "CREATE DATABASE app", "CREATE TABLE app.t (id INT PRIMARY KEY)", "CREATE USER u@'%'", "GRANT ALL ON app.* TO u@'%'")
	execute(t, db, "CREATE DEFINER=u@'%' PROCEDURE app.p(n INT) BEGIN INSERT INTO t VALUES (n); DO SLEEP(1); COMMIT; END")
	term := metric(t, leader, "nexus_raft_term")
	ctx := within(t, 60*time.Second)
	const programs = 3
	watcher := account(t, leader, "u", "app")
	called := make(chan error, programs)
	prefix := regexp.MustCompile("nexus-[0-9a-f]{16}-")
	seen := make(map[string]bool)
	for i := range programs {
		caller := account(t, leader, "u", "app")
		go func() { _, err := caller.ExecContext(ctx, fmt.Sprintf("CALL p(%d+SLEEP(1))", i)); called <- err }()
	}
	for len(seen) < programs {
		info, err := query(ctx, watcher, "SELECT GROUP_CONCAT(info) FROM information_schema.processlist WHERE id<>CONNECTION_ID()")
		check(t, err)
		select {
		case err := <-called:
			t.Fatalf("a program has ended before: %v", err)
		default:
		}
		for _, name := range prefix.FindAllString(info, -1) {
			if seen[name] {
				continue
			}
			seen[name] = true
			thief := account(t, leader, "u", "app")
			go func() { _, _ = query(ctx, thief, "SELECT GET_LOCK('"+name+"0', 60), SLEEP(20)") }()
		}
	}
	for range programs {
		if err := <-called; err == nil {
			t.Error("a program was answered that could not go on")
		}
	}
	if got := metric(t, leader, "nexus_raft_term"); got != term {
		t.Errorf("term is %s, was %s", got, term)
	}
	n, err := c.Leader(ctx)
	check(t, err)
	if n != leader {
		t.Errorf("%s leads", n.Name)
	}
	if got := mustQuery(t, db, "SELECT COUNT(*) FROM app.t"); got != "3" {
		t.Errorf("%s rows", got)
	}
	awaitEqual(t, c)
}

// A procedure that goes on behind a deadlock, and commits what is not there any more, is told so at once, and holds nobody up.
func TestProcedureBehindDeadlock(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	db := open(t, leader)
	execute(t, db, "CREATE DATABASE app", "CREATE TABLE app.t (id INT PRIMARY KEY, v INT)", "INSERT INTO app.t VALUES (1, 0), (2, 0)", "CREATE TABLE app.heavy (id INT PRIMARY KEY)",
		"CREATE PROCEDURE app.p() BEGIN DECLARE CONTINUE HANDLER FOR SQLEXCEPTION BEGIN END; UPDATE app.t SET v=v+1 WHERE id=1; UPDATE app.t SET v=v+1 WHERE id=2; COMMIT; END")
	heavy, caller := oneConn(t, db), oneConn(t, db)
	ctx := within(t, 120*time.Second)
	for _, text := range []string{"USE app", "BEGIN", "INSERT INTO heavy SELECT seq FROM seq_1_to_2000", "UPDATE app.t SET v=10 WHERE id=2"} {
		if _, err := heavy.ExecContext(ctx, text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
	_, err := caller.ExecContext(ctx, "USE app")
	check(t, err)
	called := make(chan error, 1)
	go func() {
		_, err := caller.ExecContext(ctx, "CALL p()")
		for err != nil && strings.Contains(err.Error(), "the schema has just changed") {
			_, err = caller.ExecContext(ctx, "CALL p()")
		}
		called <- err
	}()
	eventually(t, 40*time.Second, func() error {
		time.Sleep(200 * time.Millisecond) // a server that is asked more often than every 100 ms tells the same again and again
		if n := mustQuery(t, db, "SELECT COUNT(*) FROM information_schema.innodb_trx WHERE trx_state='LOCK WAIT'"); n != "1" {
			return fmt.Errorf("%s wait", n)
		}
		return nil
	})
	for _, text := range []string{"UPDATE app.t SET v=10 WHERE id=1", "COMMIT"} {
		if _, err := heavy.ExecContext(ctx, text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
	if err := <-called; code(err) != 1213 || !strings.Contains(err.Error(), "went on behind that error") {
		t.Errorf("the procedure is told %v", err)
	}
	execute(t, db, "ALTER TABLE app.t ADD w INT")
	if got := mustQuery(t, db, "SELECT GROUP_CONCAT(v) FROM app.t"); got != "10,10" {
		t.Errorf("the table holds %s", got)
	}
	awaitEqual(t, c)
}

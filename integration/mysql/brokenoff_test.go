package mysql

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var brokenOffFor = flag.Duration("broken-off-for", 10*time.Second, "for how long statements are broken off")

// interrupted are sessions that do all kinds of things while somebody breaks their statements off.
type interrupted struct {
	db              *sql.DB
	ids             [6]atomic.Int64
	done, brokenOff atomic.Int64
	mu              sync.Mutex
	wrong           []string
}

// deeds are what a session does, each with statements that belong together.
var deeds = [][]string{
	{"INSERT INTO app.t (v) VALUES (1)"},
	{"BEGIN", "INSERT INTO app.t (v) VALUES (2)", "UPDATE app.t SET v=v+1 WHERE id=LAST_INSERT_ID()", "COMMIT"},
	{"BEGIN", "INSERT INTO app.t (v) VALUES (3)", "ROLLBACK"},
	{"BEGIN", "SELECT COUNT(*) FROM app.t", "COMMIT"},
	{"SET autocommit=0", "INSERT INTO app.t (v) VALUES (4)", "COMMIT", "SET autocommit=1"},
	{"CALL app.p()"},
	{"BEGIN NOT ATOMIC INSERT INTO app.t (v) VALUES (5); COMMIT; INSERT INTO app.t (v) VALUES (6); ROLLBACK; INSERT INTO app.t (v) VALUES (7); END"},
	{"CREATE TEMPORARY TABLE app.mine (a INT)", "INSERT INTO app.mine VALUES (1)", "ALTER TABLE app.mine ADD b INT", "TRUNCATE app.mine", "DROP TABLE app.mine"},
	{"PREPARE x FROM 'INSERT INTO app.t (v) VALUES (?)'", "EXECUTE x USING 8", "DEALLOCATE PREPARE x"},
	{"LOCK TABLES app.t WRITE", "INSERT INTO app.t (v) VALUES (9)", "UNLOCK TABLES"},
	{"SELECT app.f(10)"},
	{"SELECT v FROM app.t ORDER BY id DESC LIMIT 100"},
}

// live is one session, until it is of no use any more.
func (i *interrupted) live(ctx context.Context, number int) error {
	conn, err := i.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer func() { _ = conn.Raw(func(any) error { return errors.New("not for the pool") }) }()
	var id int64
	if err := conn.QueryRowContext(ctx, "SELECT CONNECTION_ID()").Scan(&id); err != nil {
		return err
	}
	i.ids[number].Store(id)
	if number%2 == 0 {
		limits := []string{"0.0001", "0.0002", "0.0005", "0.002"}
		if _, err := conn.ExecContext(ctx, "SET max_statement_time="+limits[rand.IntN(len(limits))]); err != nil {
			return err
		}
	}
	for ctx.Err() == nil {
		for _, text := range deeds[rand.IntN(len(deeds))] {
			_, err := query(ctx, conn, text)
			if err == nil {
				i.done.Add(1)
			} else if code(err) == 0 {
				return err // the session has ended
			}
			if code(err) == 1317 || code(err) == 1969 {
				i.brokenOff.Add(1)
			}
			i.asks(ctx, conn, text)
		}
	}
	return nil
}

// asks asks for a number: whoever gets another one has got the answer to something else. Nor does the node go out of service.
func (i *interrupted) asks(ctx context.Context, conn *sql.Conn, behind string) {
	want := rand.IntN(1 << 30)
	got, err := query(ctx, conn, fmt.Sprint("SELECT ", want))
	if err == nil && got != fmt.Sprint(want) || err != nil && strings.Contains(err.Error(), "backend of this node") {
		i.mu.Lock()
		i.wrong = append(i.wrong, fmt.Sprintf("behind %s: asked for %d, got %q, %v", behind, want, got, err))
		i.mu.Unlock()
	}
}

// Statements that KILL and max_statement_time break off, wherever they are, write nothing beside the log, and are not answered with what
// belongs to others.
func TestBrokenOff(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	db := open(t, leader)
	execute(t, db, "CREATE DATABASE app", "CREATE TABLE app.t (id INT PRIMARY KEY AUTO_INCREMENT, v INT)",
		"CREATE PROCEDURE app.p() BEGIN INSERT INTO app.t (v) VALUES (11); COMMIT; INSERT INTO app.t (v) VALUES (12); COMMIT; INSERT INTO app.t (v) VALUES (13); ROLLBACK; END",
		"CREATE FUNCTION app.f(x INT) RETURNS INT BEGIN INSERT INTO app.t (v) VALUES (x); RETURN x; END")
	server, err := leader.MariaDB.Client()
	check(t, err)
	defer server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), *brokenOffFor)
	defer cancel()
	i := &interrupted{db: db}
	var ended sync.WaitGroup
	for number := range i.ids {
		ended.Go(func() {
			for ctx.Err() == nil {
				_ = i.live(ctx, number) // a session may end whenever a statement of the node's own is broken off
			}
		})
	}
	ended.Go(func() {
		for ctx.Err() == nil {
			kill := "KILL QUERY "
			if rand.IntN(30) == 0 {
				kill = "KILL "
			}
			_, _ = server.ExecContext(ctx, fmt.Sprint(kill, i.ids[rand.IntN(len(i.ids))].Load())) // which may have gone
			time.Sleep(rand.N(400 * time.Microsecond))
		}
	})
	ended.Wait()
	t.Logf("%d statements were executed, %d broken off", i.done.Load(), i.brokenOff.Load())
	for _, wrong := range i.wrong {
		t.Error(wrong)
	}
	awaitEqual(t, c)
	if n := metric(t, leader, "nexus_mysql_beside_total"); n != "0" {
		t.Errorf("%s transactions beside the log", n)
	}
}

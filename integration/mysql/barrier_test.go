package mysql

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"
)

// A transaction that stays open keeps a schema change out for as long as the session of that one wants to wait, and nobody
// for longer.
func TestBarrierIsBounded(t *testing.T) {
	t.Parallel()
	_, leader := startCluster(t)
	db := open(t, leader)
	execute(t, db, "CREATE DATABASE app", "CREATE TABLE app.t (id INT PRIMARY KEY)", "CREATE TABLE app.other (id INT PRIMARY KEY)")
	idle, changer, third := oneConn(t, db), oneConn(t, db), oneConn(t, db)
	exec(t, idle, "BEGIN", "INSERT INTO app.t VALUES (1)")
	exec(t, changer, "SET lock_wait_timeout=1")
	changed := make(chan error, 1)
	go func() {
		_, err := changer.ExecContext(context.Background(), "ALTER TABLE app.t ADD v INT")
		changed <- err
	}()
	for waiting := true; waiting; { // others write while it waits, or wait with it, and write when it has given up
		exec(t, third, "INSERT INTO app.other SELECT IFNULL(MAX(id),0)+1 FROM app.other")
		select {
		case err := <-changed:
			waiting = false
			if code(err) != 1205 {
				t.Errorf("a schema change behind an open transaction: %v", err)
			}
		default:
		}
	}
	exec(t, third, "INSERT INTO app.other SELECT IFNULL(MAX(id),0)+1 FROM app.other")
	exec(t, idle, "COMMIT")
	exec(t, changer, "ALTER TABLE app.t ADD v INT")
	if got := mustQuery(t, db, "SELECT * FROM app.t"); got != "1," {
		t.Errorf("got %s", got)
	}
}

// Readers and writers go on while the schema changes under them.
func TestSchemaChangesUnderLoad(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	db := open(t, leader)
	execute(t, db, "CREATE DATABASE app", "CREATE TABLE app.t (id INT PRIMARY KEY AUTO_INCREMENT, v INT)")
	ctx, cancel := context.WithCancel(within(t, 120*time.Second))
	var wg sync.WaitGroup
	for i := range 6 {
		db := open(t, c.Nodes[i%3])
		wg.Go(func() {
			for ctx.Err() == nil {
				var err error
				if i < 3 {
					_, err = query(ctx, db, "SELECT COUNT(*), MAX(v) FROM app.t")
				} else {
					_, err = db.ExecContext(ctx, "INSERT INTO app.t (v) VALUES (1)")
				}
				if err != nil && !errors.Is(err, context.Canceled) && ctx.Err() == nil {
					t.Errorf("through %s: %v", c.Nodes[i%3].Name, err)
					return
				}
			}
		})
	}
	for i := range 5 {
		execute(t, db, fmt.Sprintf("ALTER TABLE app.t ADD c%d INT DEFAULT %d", i, i), fmt.Sprintf("CREATE INDEX i%d ON app.t (v, c%d)", i, i),
			fmt.Sprintf("CREATE OR REPLACE VIEW app.w AS SELECT c%d FROM app.t", i))
	}
	cancel()
	wg.Wait()
	awaitEqual(t, c)
}

// A connection that is lost while it fills a table does not count as one that has left the barrier.
func TestBarrierAfterLostFilling(t *testing.T) {
	t.Parallel()
	_, leader := startCluster(t)
	db := open(t, leader)
	execute(t, db, "CREATE DATABASE app", "CREATE TABLE app.t (id INT PRIMARY KEY)")
	ctx := within(t, 120*time.Second)
	filling, holder, changer := oneConn(t, db), oneConn(t, db), oneConn(t, db)
	_, err := filling.ExecContext(ctx, "USE app")
	check(t, err)
	id := mustQuery(t, filling, "SELECT CONNECTION_ID()")
	filled := make(chan error, 1)
	go func() {
		_, err := filling.ExecContext(ctx, "CREATE TABLE app.big (a INT PRIMARY KEY) SELECT seq AS a, REPEAT('x', 100) AS b FROM seq_1_to_1000000")
		filled <- err
	}()
	eventually(t, 60*time.Second, func() error {
		if got := mustQuery(t, db, "SELECT COUNT(*) FROM information_schema.processlist WHERE id="+id+" AND info LIKE '%INSERT INTO `app`.`nexus_selected%'"); got != "1" {
			select {
			case err := <-filled:
				t.Fatalf("the table was not filled: %v", err)
			default:
			}
			return errors.New("the table is not being filled yet")
		}
		return nil
	})
	execute(t, db, "KILL "+id)
	if err := <-filled; err == nil {
		t.Fatal("the table was filled")
	}
	for _, text := range []string{"BEGIN", "INSERT INTO app.t VALUES (1)"} {
		_, err := holder.ExecContext(ctx, text)
		check(t, err)
	}
	_, err = changer.ExecContext(ctx, "SET lock_wait_timeout=1")
	check(t, err)
	if _, err := changer.ExecContext(ctx, "CREATE TABLE app.late (a INT)"); code(err) != 1205 {
		t.Errorf("a schema change beside an open transaction: %v", err)
	}
	_, err = holder.ExecContext(ctx, "COMMIT")
	check(t, err)
}

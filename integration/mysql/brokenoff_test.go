package mysql

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Statements of which KILL QUERY and max_statement_time break some off while their transactions are begun write nothing beside the log.
func TestBrokenOffBeginnings(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	db := open(t, leader)
	execute(t, db, "CREATE DATABASE app", "CREATE TABLE app.t (id INT PRIMARY KEY AUTO_INCREMENT, v INT)")
	server, err := leader.MariaDB.Client()
	check(t, err)
	defer server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
	defer cancel()
	var connections [6]atomic.Int64
	var answered, refused atomic.Int64
	var ended sync.WaitGroup
	for i := range connections {
		ended.Go(func() {
			for ctx.Err() == nil { // the session ends with a beginning that is broken off
				conn, err := db.Conn(ctx)
				if err != nil {
					continue
				}
				var id int64
				if conn.QueryRowContext(ctx, "SELECT CONNECTION_ID()").Scan(&id) == nil {
					connections[i].Store(id)
				}
				if i%2 == 0 {
					_, err = conn.ExecContext(ctx, "SET max_statement_time=0.0002")
				}
				for n := 0; err == nil; n++ {
					if n%3 == 2 {
						_, err = conn.ExecContext(ctx, "BEGIN")
					}
					if err == nil {
						_, err = conn.ExecContext(ctx, "INSERT INTO app.t (v) VALUES (1)")
					}
					if err == nil && n%3 == 2 {
						_, err = conn.ExecContext(ctx, "COMMIT")
					}
					if err == nil {
						answered.Add(1)
					} else if code(err) == 1317 || code(err) == 1969 {
						refused.Add(1)
						err = nil
					}
				}
				_ = conn.Raw(func(any) error { return fmt.Errorf("not for the pool: %w", err) })
				_ = conn.Close()
			}
		})
	}
	ended.Go(func() {
		for ctx.Err() == nil {
			_, _ = server.ExecContext(ctx, fmt.Sprint("KILL QUERY ", connections[rand.IntN(len(connections))].Load()))
			time.Sleep(rand.N(400 * time.Microsecond))
		}
	})
	ended.Wait()
	t.Logf("%d statements were answered, %d broken off", answered.Load(), refused.Load())
	awaitEqual(t, c)
	if n := metric(t, leader, "nexus_mysql_beside_total"); n != "0" {
		t.Errorf("%s transactions beside the log", n)
	}
}

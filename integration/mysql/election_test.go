package mysql

import (
	"context"
	"database/sql/driver"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// A client that connects while there is no leader waits for one, whichever node that becomes, and what it then says succeeds. What
// was acknowledged is there, once.
func TestConnectDuringAnElection(t *testing.T) {
	t.Parallel()
	c, leader := startCluster(t)
	execute(t, open(t, leader), "CREATE DATABASE app", "CREATE TABLE app.t (client INT, id INT, PRIMARY KEY (client, id))")
	awaitEqual(t, c)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var killed atomic.Int64 // when, in nanoseconds; 0: not yet
	var acknowledged, later atomic.Int64
	var tasks sync.WaitGroup
	i := 0
	for _, n := range c.Nodes {
		if n == leader {
			continue
		}
		for range 3 {
			client := i
			i++
			tasks.Go(func() {
				for id := 0; ctx.Err() == nil; id++ {
					began := time.Now().UnixNano()
					err := visit(n, client, id)
					afterwards := killed.Load() != 0 && began > killed.Load()
					if err == nil {
						acknowledged.Add(1)
						if afterwards {
							later.Add(1)
						}
					} else if afterwards {
						t.Errorf("client %d of %s, %v after the leader was killed: %v", client, n.Name, time.Duration(time.Now().UnixNano()-killed.Load()), err)
						return
					}
				}
			})
		}
	}
	time.Sleep(time.Second)
	check(t, leader.Kill())
	killed.Store(time.Now().UnixNano())
	eventually(t, 60*time.Second, func() error {
		if n := later.Load(); n < 200 && !t.Failed() {
			return fmt.Errorf("%d visits after the leader was killed", n)
		}
		return nil
	})
	stop()
	tasks.Wait()
	survivor, err := c.Leader(within(t, 40*time.Second))
	check(t, err)
	var rows int64
	if _, err := fmt.Sscan(mustQuery(t, open(t, survivor), "SELECT COUNT(*) FROM app.t"), &rows); err != nil || rows < acknowledged.Load() {
		t.Errorf("%d rows, %d were acknowledged, %v", rows, acknowledged.Load(), err)
	}
}

// visit connects once, reads and writes.
func visit(n *cluster.Node, client, id int) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	cfg := mysql.NewConfig()
	cfg.Net, cfg.Addr, cfg.User = "tcp", n.Addr(), "root"
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		return err
	}
	conn, err := connector.Connect(ctx) // without a pool, which would try again
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer conn.Close()
	for _, text := range []string{"DO 1", fmt.Sprintf("INSERT INTO app.t VALUES (%d, %d)", client, id)} {
		if _, err := conn.(driver.ExecerContext).ExecContext(ctx, text, nil); err != nil {
			return fmt.Errorf("%s: %w", text, err)
		}
	}
	return nil
}

package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster"
)

var (
	// durable servers have a commit on disk when they answer it.
	durable = []string{"--innodb-flush-log-at-trx-commit=1", "--sync-binlog=1"}
	// relaxed ones are as those behind nodes.
	relaxed []string
)

func newMariaDB(e *env, args ...string) (*cluster.MariaDB, error) {
	dir, err := os.MkdirTemp(e.dir, "mariadb-")
	if err != nil {
		return nil, err
	}
	port, err := cluster.FreePort()
	if err != nil {
		return nil, err
	}
	m, err := cluster.NewMariaDB(filepath.Base(dir), dir, port)
	if err != nil {
		return nil, err
	}
	m.Args = append(m.Args, args...)
	return m, nil
}

func startMariaDB(ctx context.Context, e *env, args ...string) (*system, error) {
	m, err := newMariaDB(e, args...)
	if err != nil {
		return nil, err
	}
	s := &system{processes: backends(&m.Process), at: fixed(m.Addr())}
	s.stop = func() error { return stopAll(s.processes) }
	if err := m.StartReady(ctx); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

// startSemiSync starts a server that answers a commit when one of its two replicas has it, and they.
func startSemiSync(ctx context.Context, e *env) (*system, error) {
	s := new(system)
	s.stop = func() error { return stopAll(s.processes) }
	if err := s.startSemiSync(ctx, e); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

func (s *system) startSemiSync(ctx context.Context, e *env) error {
	const never = "--rpl-semi-sync-master-timeout=3600000" // does it go on without a replica
	first, err := newMariaDB(e, append([]string{"--rpl-semi-sync-master-enabled=1", "--rpl-semi-sync-master-wait-point=AFTER_SYNC", never}, durable...)...)
	if err != nil {
		return err
	}
	s.at = fixed(first.Addr())
	s.processes = append(s.processes, backends(&first.Process)...)
	if err := first.StartReady(ctx); err != nil {
		return err
	}
	var replicas []*cluster.MariaDB
	s.caughtUp = func(ctx context.Context) error { return replicasCaughtUp(ctx, first, replicas) }
	for range 2 {
		m, err := newMariaDB(e, append([]string{"--rpl-semi-sync-slave-enabled=1", "--log-slave-updates=1", "--slave-parallel-threads=4", "--slave-parallel-mode=optimistic"}, durable...)...)
		if err != nil {
			return err
		}
		s.processes = append(s.processes, backends(&m.Process)...)
		if err := m.StartReady(ctx); err != nil {
			return err
		}
		if err := replicate(ctx, m, first.Port); err != nil {
			return fmt.Errorf("start %s as a replica: %w", m.Name, err)
		}
		replicas = append(replicas, m)
	}
	return eventually(ctx, first, "SHOW STATUS LIKE 'Rpl_semi_sync_master_clients'", "2")
}

func replicate(ctx context.Context, m *cluster.MariaDB, from int) error {
	db, err := m.Client()
	if err != nil {
		return err
	}
	defer db.Close()
	return executeAll(ctx, db, fmt.Sprintf("CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT=%d, MASTER_USER='root', MASTER_USE_GTID=slave_pos", from),
		"START SLAVE")
}

// replicasCaughtUp waits until replicas have executed what their server had committed before.
func replicasCaughtUp(ctx context.Context, first *cluster.MariaDB, replicas []*cluster.MariaDB) error {
	position, err := value(ctx, first, "SELECT 'position', @@gtid_binlog_pos")
	if err != nil {
		return err
	}
	for _, m := range replicas {
		if err := eventually(ctx, m, fmt.Sprintf("SELECT 'MASTER_GTID_WAIT', MASTER_GTID_WAIT('%s', 10)", position), "0"); err != nil {
			return err
		}
	}
	return nil
}

// value is the second column of a row.
func value(ctx context.Context, m *cluster.MariaDB, query string) (string, error) {
	db, err := m.Client()
	if err != nil {
		return "", err
	}
	defer db.Close()
	var name, value string
	if err := db.QueryRowContext(ctx, query).Scan(&name, &value); err != nil {
		return "", fmt.Errorf("%s: %s: %w", m.Name, query, err)
	}
	return value, nil
}

// eventually waits until a status of the server has a value.
func eventually(ctx context.Context, m *cluster.MariaDB, query, want string) error {
	db, err := m.Client()
	if err != nil {
		return err
	}
	defer db.Close()
	for {
		var name, value string
		err := db.QueryRowContext(ctx, query).Scan(&name, &value)
		if err == nil && value == want {
			return nil
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("%s: %s is %q, not yet %q: %w", m.Name, query, value, want, errors.Join(err, ctx.Err()))
		}
	}
}

func executeAll(ctx context.Context, db *sql.DB, texts ...string) error {
	for _, text := range texts {
		if _, err := db.ExecContext(ctx, text); err != nil {
			return fmt.Errorf("%s: %w", text, err)
		}
	}
	return nil
}

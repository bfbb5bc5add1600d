package main

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// accountWait bounds how long it may take until clients can log in, from when the nodes serve.
const accountWait = 30 * time.Second

// prepareAccount makes what clients are told to log in with, on the first run, and returns when it is good at each node.
func prepareAccount(ctx context.Context, members []*cluster.Node) error {
	ctx, cancel := context.WithTimeout(ctx, accountWait)
	defer cancel()
	made := false
	err := persist(ctx, func() (err error) {
		made, err = createAccount(ctx, members[0], made)
		return err
	})
	if err != nil || !made {
		return err // who has changed the password since knows it
	}
	for _, n := range members {
		if err := persist(ctx, func() error { return logIn(ctx, n) }); err != nil {
			return fmt.Errorf("log in at %s as app: %w; see %s", n.Name, err, n.Log)
		}
	}
	return nil
}

// persist does something until it succeeds: a node may lose its leader just now.
func persist(ctx context.Context, do func() error) error {
	for {
		err := do()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// createAccount reports whether it was this run that made the account, which an earlier try may have begun.
func createAccount(ctx context.Context, n *cluster.Node, begun bool) (made bool, err error) {
	db, err := n.SQL()
	if err != nil {
		return begun, err
	}
	defer db.Close()
	var there int
	if err := db.QueryRowContext(ctx, "SELECT COUNT(*) FROM mysql.db WHERE User='app' AND Db='app'").Scan(&there); err != nil {
		return begun, fmt.Errorf("look for the account app: %w", err)
	}
	if there > 0 {
		return begun, nil
	}
	for _, text := range []string{
		"CREATE DATABASE IF NOT EXISTS app CHARACTER SET utf8mb4", "CREATE USER IF NOT EXISTS app@'%' IDENTIFIED BY 'app'", "GRANT ALL ON app.* TO app@'%'",
	} {
		if _, err := db.ExecContext(ctx, text); err != nil {
			return true, fmt.Errorf("%s: %w", text, err)
		}
	}
	return true, nil
}

// logIn does what clients are told to.
func logIn(ctx context.Context, n *cluster.Node) error {
	db, err := sql.Open("mysql", "app:app@tcp("+n.Addr()+")/app?timeout=2s")
	if err != nil {
		return err
	}
	defer db.Close()
	var one int
	return db.QueryRowContext(ctx, "SELECT 1").Scan(&one)
}

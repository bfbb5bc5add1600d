package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// Rows of the bank, and how many lines its journal keeps, so that the data does not grow.
const (
	accounts     = 1000
	journalLines = 5000
)

// brief is the network of connections that break off by themselves.
const brief = "brief"

func init() {
	_ = mysql.SetLogger(log.New(io.Discard, "", 0)) // that they break off is no news
	mysql.RegisterDialContext(brief, func(ctx context.Context, addr string) (net.Conn, error) {
		var d net.Dialer
		conn, err := d.DialContext(ctx, "tcp", addr)
		if err == nil {
			time.AfterFunc(time.Duration(5+rand.IntN(100))*time.Millisecond, func() { _ = conn.Close() }) // that is the point
		}
		return conn, err
	})
}

func prepareBank(ctx context.Context, n *cluster.Node) error {
	db, err := n.SQL()
	if err != nil {
		return err
	}
	defer db.Close()
	for _, text := range []string{
		"CREATE DATABASE soak",
		"CREATE TABLE soak.account (id INT PRIMARY KEY, money INT NOT NULL)",
		"CREATE TABLE soak.journal (line INT PRIMARY KEY, text VARCHAR(200))",
		fmt.Sprintf("USE soak; INSERT INTO account SELECT seq, 1000 FROM seq_1_to_%d", accounts),
	} {
		if _, err := db.ExecContext(ctx, text); err != nil {
			return fmt.Errorf("%s: %w", text, err)
		}
	}
	return nil
}

// workMySQL is a client that behaves: money moves, a journal, reads, prepared statements, a new connection now and then.
func workMySQL(ctx context.Context, n *cluster.Node, number int, pause time.Duration, c *count) {
	for ctx.Err() == nil {
		db, err := n.SQL()
		if err != nil {
			c.note(err)
			return
		}
		db.SetMaxOpenConns(1)
		for i := 0; i < 100 && rest(ctx, pause) == nil; i++ {
			var err error
			switch i % 4 {
			case 0:
				err = transfer(ctx, db)
			case 1: // prepared by the driver
				_, err = db.ExecContext(ctx, "REPLACE INTO soak.journal VALUES (?, ?)", rand.IntN(journalLines), fmt.Sprintf("client %d, line %d", number, i))
			case 2:
				var money int
				err = db.QueryRowContext(ctx, "SELECT money FROM soak.account WHERE id = ?", 1+rand.IntN(accounts)).Scan(&money)
			case 3:
				_, err = db.ExecContext(ctx, "UPDATE soak.account SET money = money + 0 WHERE id BETWEEN ? AND ?", 1, 3)
			}
			if ctx.Err() == nil {
				c.note(err)
			}
		}
		db.Close()
	}
}

func transfer(ctx context.Context, db *sql.DB) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	from := 1 + rand.IntN(accounts)
	to := 1 + (from+rand.IntN(accounts-1))%accounts               // another one
	for _, account := range []int{min(from, to), max(from, to)} { // in one order, so that nobody waits for each other
		change := 1
		if account == from {
			change = -1
		}
		if _, err := tx.ExecContext(ctx, "UPDATE soak.account SET money = money + ? WHERE id = ?", change, account); err != nil {
			return errors.Join(err, tx.Rollback())
		}
	}
	return tx.Commit()
}

// audit finds out whether money was made or lost.
func audit(ctx context.Context, n *cluster.Node) error {
	db, err := n.SQL()
	if err != nil {
		return err
	}
	defer db.Close()
	var sum int
	if err := db.QueryRowContext(ctx, "SELECT SUM(money) FROM soak.account").Scan(&sum); err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	if sum != 1000*accounts {
		return fmt.Errorf("audit: there are %d in the bank instead of %d", sum, 1000*accounts)
	}
	return nil
}

// mysqlBreaks are what clients are doing when they vanish.
var mysqlBreaks = []func(context.Context, *sql.Conn) error{
	func(ctx context.Context, c *sql.Conn) error { // a transaction with locks
		if _, err := c.ExecContext(ctx, "START TRANSACTION"); err != nil {
			return err
		}
		_, err := c.ExecContext(ctx, "UPDATE soak.account SET money = money + 1 WHERE id = 7")
		return errors.Join(err, rest(ctx, time.Second))
	},
	func(ctx context.Context, c *sql.Conn) error { // waits for such locks
		_, err := c.ExecContext(ctx, "UPDATE soak.account SET money = money WHERE id BETWEEN 5 AND 9")
		return errors.Join(err, rest(ctx, time.Second))
	},
	func(ctx context.Context, c *sql.Conn) error { // statements that nobody closes
		for i := range 20 {
			if _, err := c.PrepareContext(ctx, fmt.Sprintf("SELECT money + %d FROM soak.account WHERE id = ?", i)); err != nil {
				return err
			}
		}
		return rest(ctx, time.Second)
	},
	func(ctx context.Context, c *sql.Conn) error { // temporary tables and variables
		_, err := c.ExecContext(ctx, "CREATE TEMPORARY TABLE soak.t (a INT); INSERT INTO soak.t VALUES (1); SET @a = REPEAT('x', 10000)")
		return errors.Join(err, rest(ctx, time.Second))
	},
	func(ctx context.Context, c *sql.Conn) error { // a statement that takes longer
		_, err := c.ExecContext(ctx, "DO SLEEP(2)")
		return err
	},
	func(ctx context.Context, c *sql.Conn) error { // a result that nobody reads
		rows, err := c.QueryContext(ctx, "SELECT a.id, b.id FROM soak.account a, soak.account b")
		if err != nil {
			return err
		}
		defer rows.Close()
		return rest(ctx, time.Second)
	},
}

// vanishFromMySQL is one client after the other whose connection breaks off in the middle of something.
func vanishFromMySQL(ctx context.Context, n *cluster.Node, number int, c *count) {
	for i := number; ctx.Err() == nil; i++ {
		db, err := sql.Open("mysql", "root@"+brief+"("+n.Addr()+")/?multiStatements=true")
		if err != nil {
			c.note(err)
			return
		}
		_ = breakOff(ctx, db, mysqlBreaks[i%len(mysqlBreaks)]) // it fails, as it should
		db.Close()
		c.vanished.Add(1)
		if rest(ctx, 5*time.Millisecond) != nil {
			return
		}
	}
}

func breakOff(ctx context.Context, db *sql.DB, do func(context.Context, *sql.Conn) error) error {
	ctx, cancel := context.WithTimeout(ctx, 150*time.Millisecond)
	defer cancel()
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	return do(ctx, conn)
}

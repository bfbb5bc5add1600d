package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster"
)

const (
	accounts = 8
	opening  = 100
)

// ledger is what the clients of a bank know about their transfers.
type ledger struct {
	next atomic.Int64
	mu   sync.Mutex
	// committed are acknowledged; unknown ended with an error that says that nobody knows, or with a lost connection
	// after COMMIT was sent.
	committed, unknown map[int64]bool
	failed             int
}

func newBank(t *testing.T, db *sql.DB) *ledger {
	t.Helper()
	execute(t, db, "CREATE DATABASE bank", "CREATE TABLE bank.accounts (id INT PRIMARY KEY, balance INT NOT NULL)",
		"CREATE TABLE bank.transfers (id BIGINT PRIMARY KEY, source INT, target INT, amount INT, at DATETIME(6))")
	for id := range accounts {
		execute(t, db, fmt.Sprintf("INSERT INTO bank.accounts VALUES (%d, %d)", id, opening))
	}
	return &ledger{committed: make(map[int64]bool), unknown: make(map[int64]bool)}
}

// transfer moves money in an interactive transaction, and notes what it knows of the outcome.
func (l *ledger) transfer(ctx context.Context, db *sql.DB) {
	id := l.next.Add(1)
	sent, err := transfer(ctx, db, id)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err == nil:
		l.committed[id] = true
	case sent && (code(err) == 0 || strings.Contains(err.Error(), "outcome unknown")):
		l.unknown[id] = true
	default:
		l.failed++
	}
}

func transfer(ctx context.Context, db *sql.DB, id int64) (sent bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return false, err
	}
	defer func() { _ = tx.Rollback() }()
	source, target, amount := rand.IntN(accounts), rand.IntN(accounts), 1+rand.IntN(10)
	var balance int
	if err := tx.QueryRowContext(ctx, "SELECT balance FROM bank.accounts WHERE id=? FOR UPDATE", source).Scan(&balance); err != nil {
		return false, err
	}
	for _, step := range []struct {
		text string
		args []any
	}{
		{"UPDATE bank.accounts SET balance=? WHERE id=?", []any{balance - amount, source}},
		{"UPDATE bank.accounts SET balance=balance+? WHERE id=?", []any{amount, target}},
		{"INSERT INTO bank.transfers VALUES (?, ?, ?, ?, SYSDATE(6))", []any{id, source, target, amount}},
	} {
		if source == target && step.args[0] == balance-amount {
			continue
		}
		if source == target && strings.Contains(step.text, "balance+?") {
			continue
		}
		if _, err := tx.ExecContext(ctx, step.text, step.args...); err != nil {
			return false, err
		}
	}
	return true, tx.Commit()
}

// run lets clients of all nodes transfer until stop is called.
func (l *ledger) run(t *testing.T, c *cluster.Cluster, clients int) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for i := range clients {
		db := open(t, c.Nodes[i%len(c.Nodes)])
		wg.Go(func() {
			for ctx.Err() == nil {
				before := l.failures()
				l.transfer(ctx, db)
				if l.failures() > before {
					select { // a node that is down refuses at once
					case <-ctx.Done():
					case <-time.After(10 * time.Millisecond):
					}
				}
			}
		})
	}
	return func() { cancel(); wg.Wait() }
}

func (l *ledger) failures() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failed
}

// commits is how many were acknowledged.
func (l *ledger) commits() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.committed)
}

// awaitCommits waits until more transfers were acknowledged.
func (l *ledger) awaitCommits(t *testing.T, more int) {
	t.Helper()
	want := l.commits() + more
	eventually(t, 60*time.Second, func() error {
		if got := l.commits(); got < want {
			return fmt.Errorf("%d transfers acknowledged, want %d", got, want)
		}
		return nil
	})
}

// audit compares what clients know with what the bank holds.
func (l *ledger) audit(t *testing.T, db *sql.DB) {
	t.Helper()
	if got := mustQuery(t, db, "SELECT SUM(balance) FROM bank.accounts"); got != strconv.Itoa(accounts*opening) {
		t.Errorf("the sum is %s, want %d", got, accounts*opening)
	}
	there := make(map[int64]bool)
	for _, text := range strings.Split(mustQuery(t, db, "SELECT id FROM bank.transfers"), ";") {
		if id, err := strconv.ParseInt(text, 10, 64); err == nil {
			there[id] = true
		}
	}
	for id := range l.committed {
		if !there[id] {
			t.Errorf("transfer %d was acknowledged and is lost", id)
		}
	}
	for id := range there {
		if !l.committed[id] && !l.unknown[id] {
			t.Errorf("transfer %d is there, though its client was told that it is not", id)
		}
	}
	wrong := mustQuery(t, db, fmt.Sprintf("SELECT a.id, a.balance, %d"+
		" - IFNULL((SELECT SUM(amount) FROM bank.transfers WHERE source=a.id AND target<>a.id),0)"+
		" + IFNULL((SELECT SUM(amount) FROM bank.transfers WHERE target=a.id AND source<>a.id),0) AS due FROM bank.accounts a HAVING balance<>due", opening))
	if wrong != "" {
		t.Errorf("balances that the transfers do not explain: %s", wrong)
	}
	t.Logf("%d transfers acknowledged, %d unknown of which %d are there, %d failed", len(l.committed), len(l.unknown), count(l.unknown, there), l.failed)
}

func count(of, in map[int64]bool) (n int) {
	for id := range of {
		if in[id] {
			n++
		}
	}
	return n
}

// No transfer is lost, doubled or half done, and no transaction sees what no order explains, whatever is killed, paused or
// cut off.
func TestBankUnderFaults(t *testing.T) {
	t.Parallel()
	c := newLinks(t, "-nexusLeaseBasedReads")
	ctx := within(t, 5*time.Minute)
	current := func() *cluster.Node {
		n, err := c.Leader(ctx)
		check(t, err)
		return n
	}
	first := open(t, current())
	l, appended := newBank(t, first), newLists(t, first)
	stop, stopLists := l.run(t, c.Cluster, 16), appended.run(t, c.Cluster, 6)
	l.awaitCommits(t, 20)

	for _, fault := range []struct {
		name       string
		inflict    func(n *cluster.Node) error
		mend       func(n *cluster.Node) error
		onFollower bool
	}{
		{"kill the leader", (*cluster.Node).Kill, (*cluster.Node).Start, false},
		{"kill its server", func(n *cluster.Node) error { return n.MariaDB.Kill() }, func(n *cluster.Node) error { return n.MariaDB.StartReady(ctx) }, false},
		{"pause its server", func(n *cluster.Node) error { return n.MariaDB.Pause() }, func(n *cluster.Node) error { return n.MariaDB.Resume() }, false},
		{"pause the leader", (*cluster.Node).Pause, (*cluster.Node).Resume, false},
		{"kill both", func(n *cluster.Node) error { return errors.Join(n.Kill(), n.MariaDB.Kill()) },
			func(n *cluster.Node) error { return errors.Join(n.MariaDB.StartReady(ctx), n.Start()) }, false},
		{"cut the leader off", func(n *cluster.Node) error { c.CutOff(n); return nil }, func(*cluster.Node) error { c.Net.Heal(); return nil }, false},
		{"cut a follower off", func(n *cluster.Node) error { c.CutOff(n); return nil }, func(*cluster.Node) error { c.Net.Heal(); return nil }, true},
		{"kill a follower's server", func(n *cluster.Node) error { return n.MariaDB.Kill() }, func(n *cluster.Node) error { return n.MariaDB.StartReady(ctx) }, true},
	} {
		t.Log(fault.name)
		n := current()
		if fault.onFollower {
			var err error
			n, err = c.Follower(ctx)
			check(t, err)
		}
		check(t, fault.inflict(n))
		l.awaitCommits(t, 10)
		check(t, fault.mend(n))
		check(t, n.AwaitReady(ctx))
		l.awaitCommits(t, 5)
	}
	stop()
	stopLists()

	awaitEqual(t, c.Cluster)
	db := open(t, current())
	l.audit(t, db)
	appended.audit(t, db)
}

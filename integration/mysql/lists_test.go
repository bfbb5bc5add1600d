package mysql

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// listCount is how many lists there are; few, so that transactions are in each other's way.
const listCount = 4

// appendTx is a transaction that reads lists and appends its own number to one of them.
type appendTx struct {
	id      int
	target  int
	reads   map[int][]int // what it saw, before it appended
	unknown bool          // its client does not know whether it was committed
}

// lists are what clients append to and remember.
type lists struct {
	next atomic.Int64
	mu   sync.Mutex
	done []appendTx
}

func newLists(t *testing.T, db *sql.DB) *lists {
	t.Helper()
	execute(t, db, "CREATE DATABASE lists", "CREATE TABLE lists.t (id INT PRIMARY KEY, v MEDIUMTEXT NOT NULL)")
	for i := range listCount {
		execute(t, db, fmt.Sprintf("INSERT INTO lists.t VALUES (%d, '')", i))
	}
	return new(lists)
}

// run lets clients of all nodes append until stop is called.
func (l *lists) run(t *testing.T, c *cluster.Cluster, clients int) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for i := range clients {
		db := open(t, c.Nodes[i%len(c.Nodes)])
		wg.Go(func() {
			for ctx.Err() == nil {
				if l.append(ctx, db) != nil {
					select {
					case <-ctx.Done():
					case <-time.After(10 * time.Millisecond):
					}
				}
			}
		})
	}
	return func() { cancel(); wg.Wait() }
}

func (l *lists) append(ctx context.Context, db *sql.DB) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	tx, err := db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelSerializable})
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	a := appendTx{id: int(l.next.Add(1)), target: rand.IntN(listCount), reads: make(map[int][]int)}
	for _, list := range []int{rand.IntN(listCount), a.target} {
		var text string
		if err := tx.QueryRowContext(ctx, "SELECT v FROM lists.t WHERE id=?", list).Scan(&text); err != nil {
			return err
		}
		if a.reads[list], err = parseList(text); err != nil {
			return err
		}
	}
	if _, err := tx.ExecContext(ctx, "UPDATE lists.t SET v=CONCAT(v, ?) WHERE id=?", strconv.Itoa(a.id)+" ", a.target); err != nil {
		return err
	}
	err = tx.Commit()
	if err != nil {
		if code(err) != 0 && !strings.Contains(err.Error(), "outcome unknown") {
			return err // certainly not committed
		}
		a.unknown = true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.done = append(l.done, a)
	return err
}

func parseList(text string) ([]int, error) {
	var list []int
	for _, word := range strings.Fields(text) {
		n, err := strconv.Atoi(word)
		if err != nil {
			return nil, err
		}
		list = append(list, n)
	}
	return list, nil
}

// audit checks that there is an order in which the transactions could have been executed one after the other.
func (l *lists) audit(t *testing.T, db *sql.DB) {
	t.Helper()
	final := make(map[int][]int)
	for i := range listCount {
		list, err := parseList(mustQuery(t, db, "SELECT v FROM lists.t WHERE id=?", i))
		check(t, err)
		final[i] = list
	}
	if err := serializable(final, l.done); err != nil {
		t.Error(err)
	}
	t.Logf("%d transactions on %d lists", len(l.done), listCount)
}

// serializable reports why transactions with these results cannot have been executed one after the other; nil if they can.
// The lists themselves tell the order of what was appended; who saw which of it orders the rest.
func serializable(final map[int][]int, done []appendTx) error {
	where := make(map[int]int) // a transaction to its list
	for list, ids := range final {
		for _, id := range ids {
			if _, ok := where[id]; ok {
				return fmt.Errorf("transaction %d appended twice", id)
			}
			where[id] = list
		}
	}
	known := make(map[int]bool)
	before := make(map[int]map[int]bool) // a transaction to those that must come after it
	order := func(a, b int) {
		if a == b {
			return
		}
		if before[a] == nil {
			before[a] = make(map[int]bool)
		}
		before[a][b] = true
	}
	for list := range final {
		for i := 1; i < len(final[list]); i++ {
			order(final[list][i-1], final[list][i])
		}
	}
	for _, a := range done {
		known[a.id] = true
		list, there := where[a.id]
		switch {
		case !there && !a.unknown:
			return fmt.Errorf("transaction %d was acknowledged and is lost", a.id)
		case !there:
			continue
		case list != a.target:
			return fmt.Errorf("transaction %d appended to list %d, not %d", a.id, list, a.target)
		}
		for list, saw := range a.reads {
			if len(saw) > len(final[list]) || !slices.Equal(saw, final[list][:len(saw)]) {
				return fmt.Errorf("transaction %d saw %v in list %d, which became %v", a.id, saw, list, final[list])
			}
			if len(saw) > 0 {
				order(saw[len(saw)-1], a.id)
			}
			if len(saw) < len(final[list]) {
				order(a.id, final[list][len(saw)])
			}
		}
	}
	for id := range where {
		if !known[id] {
			return fmt.Errorf("transaction %d is there, though its client was told that it is not", id)
		}
	}
	return acyclic(before)
}

// acyclic takes away what nothing comes before, until nothing or a cycle is left.
func acyclic(before map[int]map[int]bool) error {
	degree := make(map[int]int)
	for a, after := range before {
		degree[a] += 0
		for b := range after {
			degree[b]++
		}
	}
	var free []int
	for a, n := range degree {
		if n == 0 {
			free = append(free, a)
		}
	}
	for len(free) > 0 {
		a := free[len(free)-1]
		free = free[:len(free)-1]
		delete(degree, a)
		for b := range before[a] {
			if degree[b]--; degree[b] == 0 {
				free = append(free, b)
			}
		}
	}
	if len(degree) > 0 {
		return fmt.Errorf("no order explains what transactions %v saw", slices.Sorted(maps.Keys(degree)))
	}
	return nil
}

// The judge of the lists notices what it is there for.
func TestSerializable(t *testing.T) {
	final := map[int][]int{0: {1, 2}, 1: {3}}
	tx := func(id, target int, reads map[int][]int) appendTx {
		return appendTx{id: id, target: target, reads: reads}
	}
	one, two, three := tx(1, 0, map[int][]int{0: nil}), tx(2, 0, map[int][]int{0: {1}}), tx(3, 1, map[int][]int{1: nil, 0: {1, 2}})
	if err := serializable(final, []appendTx{one, two, three}); err != nil {
		t.Error(err)
	}
	maybe := tx(4, 1, nil)
	maybe.unknown = true
	if err := serializable(final, []appendTx{one, two, three, maybe}); err != nil {
		t.Error(err)
	}
	for name, done := range map[string][]appendTx{
		"lost":         {one, two, three, tx(4, 1, nil)},
		"not expected": {one, three},
		"lost update":  {one, tx(2, 0, map[int][]int{0: {7}}), three},
		"write skew":   {one, tx(2, 0, map[int][]int{0: {1}, 1: nil}), tx(3, 1, map[int][]int{1: nil, 0: {1}})},
		"a cycle":      {tx(1, 0, map[int][]int{0: nil, 1: {3}}), two, tx(3, 1, map[int][]int{1: nil, 0: {1}})},
		"other list":   {one, two, tx(3, 0, nil)},
	} {
		if err := serializable(final, done); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if err := serializable(map[int][]int{0: {1, 1}}, []appendTx{one}); err == nil {
		t.Error("appended twice: no error")
	}
}

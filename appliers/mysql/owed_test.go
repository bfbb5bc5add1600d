package mysql

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestOwed(t *testing.T) {
	o := owed{limit: 10, first: make(chan struct{}, 1)}
	admits := func(lookups float64) bool {
		ok, _ := o.admits(lookups)
		return ok
	}
	if !admits(1000) {
		t.Error("a large one is not admitted where nothing is owed")
	}
	o.add(3, 4)
	o.add(5, 4)
	if !admits(2) || admits(3) {
		t.Error("not as many as the limit has left")
	}
	ok, settled := o.admits(6)
	if ok {
		t.Error("more than the limit has left")
	}
	o.settle(2)
	if isClosed(settled) {
		t.Error("nothing was settled, and who waits is woken")
	}
	o.settle(3)
	if !isClosed(settled) || !admits(6) || admits(7) {
		t.Error("the first was settled")
	}
	o.settle(9)
	if !admits(1000) {
		t.Error("all was settled")
	}
}

// Who waits until nothing is owed is not overtaken by those who need less.
func TestOwedInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := owed{limit: 10, first: make(chan struct{}, 1)}
		o.add(3, 9)
		var order []float64
		var ended sync.WaitGroup
		for _, lookups := range []float64{1000, 1} {
			ended.Go(func() {
				if err := o.await(t.Context(), "t", lookups); err != nil {
					t.Error(err)
				}
				order = append(order, lookups)
				o.add(uint64(4+len(order)), lookups)
			})
			synctest.Wait()
		}
		if len(order) > 0 {
			t.Errorf("%v do not wait", order)
		}
		o.settle(3)
		synctest.Wait()
		if len(order) != 1 || order[0] != 1000 {
			t.Errorf("%v came first", order)
		}
		o.settle(5)
		ended.Wait()
		o.add(9, 9)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := o.await(ctx, "t", 1000); !errors.Is(err, ErrOwed) {
			t.Errorf("without time left: %v", err)
		}
	})
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// Transactions that others find late wait for these to catch up with earlier ones, and fail where they do not. Others do not wait.
func TestOwedTransactionsWait(t *testing.T) {
	t.Parallel()
	m := openMember(t, 1)
	m.owed.limit = 1
	m.apply(t, entry(2, 1, schema(2, "CREATE DATABASE bank"), schema(2, "CREATE TABLE bank.bare (n INT, m INT)"), schema(2, "CREATE TABLE bank.t (n INT PRIMARY KEY, m INT)")))
	index := uint64(1)
	commit := func(text string) {
		t.Helper()
		_, data := m.prepare(t, m.session(t), 2, text)
		index++
		m.apply(t, entry(2, index, data))
	}
	commit("INSERT INTO bank.bare SELECT seq, 0 FROM bank.seq_1_to_2000")
	commit("INSERT INTO bank.t VALUES (1, 0)")
	if m.Owes() {
		t.Error("rows that were inserted are owed")
	}
	commit("UPDATE bank.bare SET m=1")
	if !m.Owes() {
		t.Fatal("rows that others have to look for are not owed")
	}
	commit("UPDATE bank.t SET m=1")
	late, cancel := context.WithCancel(t.Context())
	s, tx := m.execute(t, "UPDATE bank.bare SET m=2")
	cancel()
	if _, err := tx.Captured(late); !errors.Is(err, ErrOwed) && !errors.Is(err, context.Canceled) { // whichever is noticed first
		t.Errorf("others have not caught up: %v", err)
	}
	s.exec("XA ROLLBACK " + tx.XID())
	tx.End(true)

	captured := make(chan error, 1)
	_, tx = m.execute(t, "UPDATE bank.bare SET m=2")
	ctx := within(t, 40*time.Second)
	go func() {
		_, err := tx.Captured(ctx)
		captured <- err
	}()
	m.Settle(index)
	if err := <-captured; err != nil {
		t.Errorf("others have caught up: %v", err)
	}
	if err := m.owed.await(late, "bank.bare", 5); err != nil {
		t.Errorf("nothing is owed: %v", err)
	}
	m.owed.add(index, 5)
	if err := m.owed.await(late, "bank.bare", 5); !errors.Is(err, ErrOwed) || !strings.HasPrefix(err.Error(), "bank.bare has no index, and the other servers") {
		t.Errorf("others do not catch up: %v", err)
	}
}

// execute executes a statement as a transaction of epoch 2, up to XA PREPARE.
func (m *member) execute(t *testing.T, text string) (*session, *Transaction) {
	t.Helper()
	s := m.session(t)
	tx, err := m.Begin(2, s)
	check(t, err)
	s.exec("XA START "+tx.XID(), text, tx.Mark(), "XA END "+tx.XID())
	check(t, tx.Prepare())
	s.exec("XA PREPARE " + tx.XID())
	return s, tx
}

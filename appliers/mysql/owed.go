package mysql

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// What a leader changes in an instant in a table without any index, the others look for at length. They fall behind by the sum of that, and who leads
// next serves when it has caught up. So such transactions wait while too much is owed: their leader is as fast as the others then.

// ErrOwed means that a transaction changed rows that the other servers would find too late, since they have yet to find those of earlier ones. It must be rolled
// back, and may be tried again.
var ErrOwed = errors.New("has no index, and the other servers have yet to find rows that earlier transactions have changed in such tables: give it a primary key")

// maxOwed are the lookups of all transactions that no majority of the servers has done yet, unless a single one has more: a minute or two.
const maxOwed = 1e9

// owed are the lookups that other servers have yet to do for what this one has committed. What several sessions are about to commit is not counted yet, nor
// what is too small to be looked at.
type owed struct {
	limit float64
	first chan struct{} // held by who came first of those who wait: a large transaction waits until nothing is owed, which the others must not prevent

	mu      sync.Mutex
	entries []owedEntry   // by index
	settled chan struct{} // closed when entries go; nil where nobody waits
}

type owedEntry struct {
	index   uint64
	lookups float64
}

func (o *owed) add(index uint64, lookups float64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.entries = append(o.entries, owedEntry{index, lookups})
}

// settle notes that enough servers have applied the log up to index.
func (o *owed) settle(index uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := 0
	for n < len(o.entries) && o.entries[n].index <= index {
		n++
	}
	o.entries = append(o.entries[:0], o.entries[n:]...)
	if n > 0 && o.settled != nil {
		close(o.settled)
		o.settled = nil
	}
}

// admits reports whether so many lookups may be added now, or returns what to wait for.
func (o *owed) admits(lookups float64) (ok bool, settled <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	sum := lookups
	for _, e := range o.entries {
		sum += e.lookups
	}
	if len(o.entries) == 0 || sum <= o.limit {
		return true, nil
	}
	if o.settled == nil {
		o.settled = make(chan struct{})
	}
	return false, o.settled
}

// await waits until so many lookups, of a table, may be added.
func (o *owed) await(ctx context.Context, table string, lookups float64) error {
	late := func() error { return fmt.Errorf("%s %w", table, ErrOwed) }
	select {
	case o.first <- struct{}{}:
	default:
		select {
		case o.first <- struct{}{}:
		case <-ctx.Done():
			return late()
		}
	}
	defer func() { <-o.first }()
	for {
		ok, settled := o.admits(lookups)
		if ok {
			return nil
		}
		select {
		case <-settled:
		case <-ctx.Done():
			return late()
		}
	}
}

// Owes reports whether others are known to have yet to find rows that this server has committed.
func (b *Backend) Owes() bool {
	b.owed.mu.Lock()
	defer b.owed.mu.Unlock()
	return len(b.owed.entries) > 0
}

// Settle notes that a majority of the members has applied the log up to index.
func (b *Backend) Settle(index uint64) { b.owed.settle(index) }

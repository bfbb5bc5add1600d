package mysql

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Rows that Nexus keeps are written with every transaction and with the position. A client who may, or whose program may, can
// lock them as it can lock its own; who waits for it is everybody. So whoever holds them up is disconnected.

// holdupPatience is how long a statement of this node's own is executed before it is looked whether a client holds it up. A
// leader whose server takes nothing for 3 s loses its office.
const holdupPatience = 700 * time.Millisecond

// holders selects the connections that have locked rows of Nexus's own for which somebody else waits. The tables are MariaDB's: MySQL 8
// has them in performance_schema.
const holders = "SELECT DISTINCT b.trx_mysql_thread_id FROM information_schema.innodb_lock_waits w JOIN information_schema.innodb_locks l ON l.lock_id=w.requested_lock_id" +
	" JOIN information_schema.innodb_trx b ON b.trx_id=w.blocking_trx_id WHERE b.trx_mysql_thread_id<>0" +
	" AND l.lock_table REGEXP '^`nexus`\\\\.`(" + Bookkeeping + ")`$'"

// ownConnections are the numbers of those that this node's own account has open.
type ownConnections struct {
	mu  sync.Mutex
	ids map[uint64]bool
}

func (o *ownConnections) add(id uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ids == nil {
		o.ids = make(map[uint64]bool)
	}
	o.ids[id] = true
}

func (o *ownConnections) remove(id uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.ids, id)
}

func (o *ownConnections) has(id uint64) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.ids[id]
}

// EndHoldups disconnects sessions of clients that have locked rows of Nexus's own for which others wait.
func (b *Backend) EndHoldups(ctx context.Context) error {
	k, err := b.connect(ctx)
	if err != nil {
		return err
	}
	defer k.close()
	rows, err := k.rows(ctx, holders)
	if err != nil {
		return fmt.Errorf("look for who holds up Nexus's own rows: %w", err)
	}
	var ids []uint64
	for _, row := range rows {
		id, err := strconv.ParseUint(row[0], 10, 64)
		if err != nil {
			return fmt.Errorf("look for who holds up Nexus's own rows: %w", err)
		}
		if b.connections.has(id) {
			continue
		}
		b.log.Warn("a session of a client has locked rows of Nexus's own, and is disconnected", "connection", id)
		ids = append(ids, id)
	}
	return b.Disconnect(ctx, ids)
}

// watched makes sure that a statement of this node's own, which is about to be executed, is not held up for long. The function
// that it returns ends that, and waits for the end.
func (b *Backend) watched() (done func()) {
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan struct{})
	timer := time.AfterFunc(holdupPatience, func() {
		defer close(over)
		for ctx.Err() == nil {
			if err := b.EndHoldups(ctx); err != nil && ctx.Err() == nil {
				b.log.Warn("a statement of this node's own takes long", "err", err)
			}
			select {
			case <-time.After(holdupPatience):
			case <-ctx.Done():
			}
		}
	})
	return func() {
		cancel()
		if !timer.Stop() {
			<-over
		}
	}
}

// writesOwn reports whether a statement of this node's own may wait for rows of its own.
func writesOwn(text string) bool {
	return strings.Contains(text, "nexus.") && !strings.HasPrefix(text, "SELECT")
}

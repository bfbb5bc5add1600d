package mysql

import (
	"context"
	"fmt"
	"strconv"
	"sync"
)

// addresses say where the clients of each node are served, as the log told.
type addresses struct {
	mu     sync.Mutex
	byNode map[uint64]string
}

func (a *addresses) set(node uint64, address string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.byNode == nil {
		a.byNode = make(map[uint64]string)
	}
	a.byNode[node] = address
}

// Address returns where the clients of node are served; "" if the log did not tell yet.
func (b *Backend) Address(node uint64) string {
	b.addresses.mu.Lock()
	defer b.addresses.mu.Unlock()
	return b.addresses.byNode[node]
}

func (b *Backend) loadAddresses(ctx context.Context) error {
	rows, err := b.conn.rows(ctx, "SELECT node, address FROM nexus.address")
	if err != nil {
		return err
	}
	for _, row := range rows {
		node, err := strconv.ParseUint(row[0], 10, 64)
		if err != nil {
			return fmt.Errorf("nexus.address: %w", err)
		}
		b.addresses.set(node, row[1])
	}
	return nil
}

package mysql

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// endOthers kills all other connections, which are those of an earlier process: what it was about to do must not happen
// any more.
func (b *Backend) endOthers(ctx context.Context) error {
	err := b.killWhere(ctx, "id<>CONNECTION_ID() AND command<>'Daemon'")
	if err == nil {
		b.lost = nil
	}
	return err
}

// lose closes a connection on which something may still be executed, and have its effect later.
func (b *Backend) lose(k *conn) {
	b.lost = append(b.lost, uint64(k.c.GetConnectionID()))
	k.close()
}

// endLost ends what lose has left, before the same is said again: a schema change, or rows that stand in the middle of an entry and
// have no position with them, would be there twice. A server that was restarted may have given the numbers away again.
func (b *Backend) endLost(ctx context.Context) error {
	if len(b.lost) == 0 {
		return nil
	}
	var ids []string
	for _, id := range b.lost {
		if !b.connections.has(id) {
			ids = append(ids, strconv.FormatUint(id, 10))
		}
	}
	if len(ids) > 0 {
		if err := b.killWhere(ctx, "user="+quote(b.cfg.User)+" AND id IN ("+strings.Join(ids, ",")+")"); err != nil {
			return fmt.Errorf("end connections that were lost: %w", err)
		}
	}
	b.lost = nil
	return nil
}

// killWhere ends the connections of users for which a condition on the process list holds.
func (b *Backend) killWhere(ctx context.Context, condition string) error {
	rows, err := b.conn.rows(ctx, "SELECT id FROM information_schema.processlist WHERE user<>'system user' AND "+condition)
	if err != nil {
		return err
	}
	var ids []uint64
	for _, row := range rows {
		id, err := strconv.ParseUint(row[0], 10, 64)
		if err != nil {
			return fmt.Errorf("list the connections: %w", err)
		}
		ids = append(ids, id)
	}
	return b.kill(ctx, ids)
}

// kill ends connections and waits until the server has let go of them.
func (b *Backend) kill(ctx context.Context, ids []uint64) error {
	if len(ids) == 0 {
		return nil
	}
	list := ""
	for _, id := range ids {
		if b.isOwn(id) {
			continue // the server was restarted, and has given the number away again
		}
		if _, err := b.conn.exec(ctx, fmt.Sprintf("KILL CONNECTION %d", id)); err != nil && serverCode(err) != codeNoThread {
			return err
		}
		list += fmt.Sprintf(",%d", id)
	}
	for list != "" {
		row, err := b.conn.row(ctx, "SELECT COUNT(*) FROM information_schema.processlist WHERE id IN ("+list[1:]+")")
		if err != nil {
			return err
		}
		if row[0] == "0" {
			return nil
		}
		select {
		case <-time.After(2 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("wait for connections to end: %w", context.Cause(ctx))
		}
	}
	return nil
}

// codeNoThread is for a connection that has ended by itself.
const codeNoThread = 1094

// Interrupt ends the statements that are being executed on connections of clients, which live on.
func (b *Backend) Interrupt(ctx context.Context, connections []uint64) error {
	return b.killEach(ctx, "QUERY", connections)
}

// Disconnect ends connections of clients, with what is being executed there.
func (b *Backend) Disconnect(ctx context.Context, connections []uint64) error {
	return b.killEach(ctx, "CONNECTION", connections)
}

func (b *Backend) killEach(ctx context.Context, what string, connections []uint64) error {
	if len(connections) == 0 {
		return nil
	}
	k, err := b.connect(ctx)
	if err != nil {
		return err
	}
	defer k.close()
	for _, id := range connections {
		if _, err := k.exec(ctx, fmt.Sprintf("KILL %s %d", what, id)); err != nil && serverCode(err) != codeNoThread {
			return err
		}
	}
	return nil
}

func (b *Backend) isOwn(id uint64) bool {
	for _, k := range []*conn{b.conn, b.applier} {
		if k != nil && uint64(k.c.GetConnectionID()) == id {
			return true
		}
	}
	return false
}

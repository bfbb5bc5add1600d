package mysql

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"
)

// rollBackPrepared rolls back the prepared transactions of Nexus that which selects. Their connections are gone.
func (b *Backend) rollBackPrepared(ctx context.Context, which func(name string) bool) error {
	listed, err := b.recover(ctx)
	if err != nil {
		return err
	}
	doubted := make(map[string]error)
	for name, id := range listed {
		if !which(name) {
			continue
		}
		b.log.Info("rolling back a prepared transaction", "epoch", id.epoch, "sequence", id.sequence)
		_, err := b.conn.exec(ctx, "XA ROLLBACK '"+name+"'")
		switch {
		case err == nil, serverCode(err) == codeNoXID:
		case isRolledBack(err):
			doubted[name] = err
		default:
			return err
		}
	}
	if len(doubted) == 0 {
		return nil
	}
	if listed, err = b.recover(ctx); err != nil {
		return err
	}
	for name, err := range doubted {
		if _, there := listed[name]; there {
			return fmt.Errorf("%w, and it is there still", err)
		}
	}
	return nil
}

// codeNoXID is XAER_NOTA: no such transaction, or its connection still lives.
const codeNoXID = 1397

// isRolledBack reports whether the server has rolled a prepared transaction back, whatever it was asked for: a statement in it had
// failed in such a way, or was broken off. MariaDB's documentation: XA_RBROLLBACK, XA_RBTIMEOUT, XA_RBDEADLOCK.
func isRolledBack(err error) bool {
	switch serverCode(err) {
	case 1402, 1613, 1614:
		return true
	}
	return false
}

// recover lists the names of the prepared transactions of Nexus, with what they say: the epoch, and which transaction was the first of that name.
func (b *Backend) recover(ctx context.Context) (map[string]transactionID, error) {
	rows, err := b.conn.rows(ctx, "XA RECOVER FORMAT='RAW'")
	if err != nil {
		return nil, err
	}
	list := make(map[string]transactionID)
	for _, row := range rows {
		text := row[len(row)-1]
		if raw, err := hex.DecodeString(strings.TrimPrefix(text, "0x")); err == nil && strings.HasPrefix(text, "0x") {
			text = string(raw)
		}
		if id, ok := parseXID(text); ok {
			list[text] = id
		}
	}
	return list, nil
}

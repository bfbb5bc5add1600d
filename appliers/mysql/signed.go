package mysql

import (
	"context"

	"github.com/nexus-replication/nexus/raft"
)

// codeOutOfRange is for a number that is too great, or too small, for its type.
const codeOutOfRange = 1690

// applySigned takes over transactions that failed with codeOutOfRange, one by one. The sql_mode of who wrote them decides what the subtraction of unsigned numbers yields, in partitions and
// generated columns, and rows do not tell it. Where both modes yield something, that is the same.
func (b *Backend) applySigned(ctx context.Context, ops []operation, to *raft.Position) error {
	defer b.closeApplier()
	mode := ""
	for i := range ops {
		at := to
		if i < len(ops)-1 {
			at = nil // the position is that of all
		}
		var err error
		for range 2 {
			if err = b.applyIn(ctx, mode, ops[i:i+1], at); serverCode(err) != codeOutOfRange {
				break
			}
			if mode == "" {
				mode = signedSubtraction
			} else {
				mode = ""
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// applyIn is tryRows in a session of this sql_mode. A table that is open already is understood in the mode of who has opened it.
func (b *Backend) applyIn(ctx context.Context, mode string, ops []operation, to *raft.Position) error {
	k, err := b.openApplier(ctx)
	if err != nil {
		return err
	}
	if err := k.run(ctx, "SET SESSION sql_mode="+quote(mode), "SET STATEMENT lock_wait_timeout=5 FOR FLUSH TABLES"); err != nil {
		b.closeApplier()
		return err
	}
	return b.tryRows(ctx, ops, to)
}

func (b *Backend) closeApplier() {
	if b.applier != nil {
		b.applier.close()
		b.applier = nil
	}
}

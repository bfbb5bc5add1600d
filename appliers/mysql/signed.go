package mysql

import (
	"context"

	"github.com/nexus-replication/nexus/raft"
)

// codeOutOfRange is for a number that is too great, or too small, for its type.
const codeOutOfRange = 1690

// tryModes is tryRows in whatever sql_mode ops need, and returns those that are left after an error. The sql_mode of who wrote rows decides what the subtraction of
// unsigned numbers yields, in partitions and generated columns, and rows do not tell it. Where both modes yield something, that is the same.
func (b *Backend) tryModes(ctx context.Context, ops []operation, to *raft.Position) (left []operation, err error) {
	if err := b.tryRows(ctx, ops, to); serverCode(err) != codeOutOfRange {
		return ops, err
	}
	defer b.closeApplier()
	mode := ""
	for len(ops) > 0 { // one by one: what is applied has its marker, but the last, which brings the position of all
		at := to
		if len(ops) > 1 {
			at = nil
		}
		var err error
		for range 2 {
			if err = b.applyIn(ctx, mode, ops[:1], at); serverCode(err) != codeOutOfRange {
				break
			}
			if mode == "" {
				mode = signedSubtraction
			} else {
				mode = ""
			}
		}
		if err != nil {
			return ops, err
		}
		ops = ops[1:]
	}
	return nil, nil
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

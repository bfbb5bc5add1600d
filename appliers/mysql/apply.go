package mysql

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nexus-replication/nexus/raft"
	"github.com/nexus-replication/nexus/raft/failpoint"
)

// operation is a command of a run with where it stands.
type operation struct {
	command
	entry *raft.Entry
	index int // in entry.Commands
}

func (o *operation) reply(reply []byte) {
	c := &o.entry.Commands[o.index]
	if c.Wanted {
		c.Reply = reply
	}
}

// Apply applies entries. See raft.Store. What it has done of them when it fails is recognised the next time.
func (b *Backend) Apply(ctx context.Context, entries []raft.Entry) error {
	err := b.ensure(ctx)
	if err == nil {
		err = b.apply(ctx, entries)
	}
	b.report(err)
	if err == nil {
		return nil
	}
	var fatal *raft.FatalError
	var behind *raft.BehindError
	switch {
	case errors.As(err, &fatal):
		b.fatal = err
	case errors.As(err, &behind):
	default:
		b.drop()
	}
	return err
}

func (b *Backend) apply(ctx context.Context, entries []raft.Entry) error {
	if err := b.endGiven(ctx); err != nil {
		return err
	}
	if len(entries) == 0 {
		return b.idle(ctx)
	}
	ops, err := decode(entries)
	if err != nil {
		return &raft.FatalError{Err: err}
	}
	for i := range entries {
		if err := b.enterTerm(ctx, entries[i].Term); err != nil {
			return err
		}
	}
	for ops = b.behindHeld(ops); len(ops) > 0; {
		n, err := b.applyRun(ctx, ops)
		if err != nil {
			return err
		}
		ops = ops[n:]
	}
	if last := entries[len(entries)-1].Position; last.Index > b.held.Index {
		b.held = last
	}
	if b.held != b.saved && time.Since(b.savedAt) >= b.cfg.SaveInterval {
		return b.savePosition(ctx)
	}
	return nil
}

func decode(entries []raft.Entry) ([]operation, error) {
	var ops []operation
	for i := range entries {
		e := &entries[i]
		for j := range e.Commands {
			c, err := decodeCommand(e.Commands[j].Data)
			if err != nil {
				return nil, fmt.Errorf("entry %d: %w", e.Index, err)
			}
			ops = append(ops, operation{command: c, entry: e, index: j})
		}
	}
	return ops, nil
}

// behindHeld returns those of ops that stand behind what the backend holds. An earlier call may have applied the entries before and
// failed then: a schema change among them would move the position back, and what follows it would be there twice.
func (b *Backend) behindHeld(ops []operation) []operation {
	n := 0
	for ; n < len(ops) && ops[n].entry.Index <= b.held.Index; n++ {
		o := &ops[n]
		if o.kind != kindRows || o.epoch != o.entry.Term {
			continue
		}
		if tx := b.transactions.take(o.epoch, o.sequence); tx != nil {
			b.transactions.forget([]*Transaction{tx})
		}
		o.reply([]byte{byte(Done)})
	}
	return ops[n:]
}

// enterTerm ends the transactions of earlier terms: their locks would stand in the way of what comes.
func (b *Backend) enterTerm(ctx context.Context, term uint64) error {
	return b.endTransactions(ctx, b.transactions.fence(term))
}

// applyRun applies the first operations of ops that can be applied in one go, and returns how many these were.
func (b *Backend) applyRun(ctx context.Context, ops []operation) (int, error) {
	first := &ops[0]
	switch {
	case first.kind == kindAddress:
		return 1, b.applyAddress(ctx, first)
	case first.epoch != first.entry.Term:
		first.reply([]byte{byte(Fenced)})
		return 1, nil
	case first.kind == kindSequence:
		return 1, b.applySequence(ctx, first)
	case first.kind == kindVariable:
		return 1, b.applyVariable(ctx, first)
	case first.kind == kindSchema:
		return 1, b.applySchema(ctx, first)
	}
	own := b.transactions.take(first.epoch, first.sequence)
	txs := []*Transaction{own}
	n, size := 1, len(first.events)
	for ; n < len(ops) && size < maxRunBytes; n++ {
		o := &ops[n]
		if o.kind != kindRows || o.epoch != o.entry.Term {
			break
		}
		tx := b.transactions.take(o.epoch, o.sequence)
		if (tx == nil) != (own == nil) {
			break
		}
		txs = append(txs, tx)
		size += len(o.events)
	}
	if own == nil {
		return n, b.applyOthers(ctx, ops[:n])
	}
	return n, b.commitOwn(ctx, ops[:n], txs)
}

// maxRunBytes bounds the events of one transaction that applies them.
const maxRunBytes = 4 << 20

// commitOwn commits transactions that wait prepared on this server. All of them hold their locks, so they do not depend on
// each other, and the server may commit them in any order and to disk together.
func (b *Backend) commitOwn(ctx context.Context, ops []operation, txs []*Transaction) error {
	failpoint.Hit("mysql.before-commit")
	b.forgetKnown()
	errs := make([]error, len(txs))
	names := b.transactions.expect(txs)
	for i, tx := range txs {
		if !tx.committed { // in an earlier call, which failed afterwards
			errs[i] = tx.session.SendCommit(names[i])
		}
	}
	// The answer to the last one comes last, and the others are there by then: each that is waited for puts this goroutine to
	// sleep.
	for i := len(txs) - 1; i >= 0; i-- {
		if errs[i] == nil && !txs[i].committed {
			errs[i] = txs[i].session.Committed()
		}
	}
	b.transactions.committed(txs, errs)
	for i, err := range errs {
		if err != nil {
			b.log.Warn("commit of a prepared transaction failed on its connection", "xid", txs[i].Name(), "err", err)
			if err := b.settle(ctx, txs[i], &ops[i]); err != nil {
				return err
			}
		}
	}
	failpoint.Hit("mysql.after-commit")
	b.transactions.forget(txs)
	for i := range ops {
		b.markers = append(b.markers, marker{ops[i].epoch, ops[i].sequence, ops[i].entry.Index})
		if lookups := txs[i].lookups; lookups > 0 {
			b.owed.add(ops[i].entry.Index, lookups)
		}
		ops[i].reply([]byte{byte(Done)})
	}
	b.stats.committed.Add(uint64(len(ops)))
	return nil
}

// settle commits a transaction whose own connection failed to.
func (b *Backend) settle(ctx context.Context, tx *Transaction, o *operation) error {
	tx.session.Disconnect()
	if err := b.kill(ctx, []uint64{tx.session.ConnectionID()}); err != nil {
		return err
	}
	listed, err := b.recover(ctx)
	if err != nil {
		return err
	}
	if _, prepared := listed[tx.Name()]; prepared {
		if _, err := b.conn.exec(ctx, "XA COMMIT "+tx.XID()); err == nil || !isRolledBack(err) {
			return err
		}
	}
	// Committed already, rolled back, or lost by the server. What it did may be such that it cannot be done twice, and its marker comes last.
	b.forgetKnown()
	left, err := b.missing(ctx, []operation{*o})
	if err != nil {
		return err
	}
	return b.applyRows(ctx, left, nil)
}

// idle looks after the backend while there is nothing to apply.
func (b *Backend) idle(ctx context.Context) error {
	if b.held != b.saved {
		return b.savePosition(ctx)
	}
	row, err := b.marker(ctx, b.conn)
	if err != nil {
		return err
	}
	if row == nil {
		return b.reopen(ctx)
	}
	held, err := b.checkMarker(row)
	if err != nil {
		return err
	}
	if held != b.saved {
		b.take(held)
		return &raft.BehindError{Position: held}
	}
	if err := b.lookAtBinlog(ctx); err != nil {
		return err
	}
	return b.purge(ctx)
}

// savePosition writes the position down, and removes the markers that it makes needless.
func (b *Backend) savePosition(ctx context.Context) error {
	if err := b.conn.transact(ctx, positionMove(b.saved, b.held)); err != nil {
		return err
	}
	return b.positionSaved(ctx)
}

func positionUpdate(p raft.Position) string {
	return fmt.Sprintf("UPDATE nexus.position SET term=%d, idx=%d WHERE id=1", p.Term, p.Index)
}

// maxMarkers are removed at a time.
const maxMarkers = 500

func (b *Backend) positionSaved(ctx context.Context) error {
	b.saved, b.savedAt = b.held, time.Now()
	if b.saved.Term > b.epoch {
		if err := b.removeEpochs(ctx); err != nil {
			return err
		}
	}
	for len(b.markers) >= maxMarkers {
		n := 0
		for n < maxMarkers && b.markers[n].index <= b.saved.Index {
			n++
		}
		if n == 0 {
			return nil
		}
		if err := b.removeMarkers(ctx, b.markers[:n]); err != nil {
			return err
		}
		b.markers = b.markers[n:]
		b.forgetKnown() // or it would grow for ever
	}
	return nil
}

// removeEpochs removes the markers of earlier epochs, of which nothing can come any more.
func (b *Backend) removeEpochs(ctx context.Context) error {
	_, err := b.conn.exec(ctx, fmt.Sprintf("SET STATEMENT innodb_lock_wait_timeout=0 FOR DELETE FROM nexus.applied WHERE epoch<%d", b.saved.Term))
	if serverCode(err) == codeLockTimeout {
		return nil // the next time
	}
	if err == nil {
		b.epoch = b.saved.Term
	}
	return err
}

// purge removes the part of the binary log that was read.
func (b *Backend) purge(ctx context.Context) error {
	if time.Since(b.purged) < b.cfg.PurgeInterval {
		return nil
	}
	b.purged = time.Now()
	c := b.capture.Load()
	if c == nil {
		return nil
	}
	_, err := b.conn.exec(ctx, "PURGE BINARY LOGS TO "+quote(c.position().Name))
	return err
}

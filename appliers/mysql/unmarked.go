package mysql

import (
	"context"
	"encoding/binary"
	"fmt"
	"strconv"

	"github.com/nexus-replication/nexus/raft"
)

// Rows that come with the position need no marker: either both are there, or neither. A transaction that applies rows of
// another server so leaves the markers out, which are a row to write, and to remove later, for each transaction of the log. Three
// things have to be known for that:
//
//   - the position stands behind all of the entry, or what is left of it would be applied again without being recognised;
//   - which transactions are there that this server has executed itself and whose position was not written yet (markers);
//   - nobody else moves the position. A connection that was lost may still be about to commit the same rows. So the position is
//     moved first, from what it was, which waits for such a one and then fails.

// known are the markers that are there, of which b.markers may lack those of an earlier process.
type known map[transactionID]struct{}

// forgetKnown has them read again, after something of which the outcome is not certain.
func (b *Backend) forgetKnown() { b.known = nil }

// with returns them with those of ops, whose markers were written.
func (there known) with(ops []operation) known {
	if there == nil {
		return nil
	}
	for i := range ops {
		there[transactionID{ops[i].epoch, ops[i].sequence}] = struct{}{}
	}
	return there
}

// loadKnown reads the markers if they are not known.
func (b *Backend) loadKnown(ctx context.Context) error {
	if b.known != nil {
		return nil
	}
	rows, err := b.conn.rows(ctx, "SELECT epoch, sequence FROM nexus.applied")
	if err != nil {
		return err
	}
	there := make(known, len(rows))
	for _, row := range rows {
		var id transactionID
		if id.epoch, err = strconv.ParseUint(row[0], 10, 64); err == nil {
			id.sequence, err = strconv.ParseUint(row[1], 10, 64)
		}
		if err != nil {
			return fmt.Errorf("read the markers: %w", err)
		}
		there[id] = struct{}{}
	}
	b.known = there
	return nil
}

// checkCommits has those transactions committed again, or taken over as rows, of which the server has said that they were committed
// and does not hold the marker: it was restarted, and has lost what was younger than its last write to disk.
func (b *Backend) checkCommits(ctx context.Context) error {
	if !b.transactions.anyCommitted() {
		return nil
	}
	if err := b.loadKnown(ctx); err != nil {
		return err
	}
	b.transactions.checkCommitted(b.known)
	b.forgetKnown() // other commits may still be on their way
	return nil
}

func (t *transactions) anyCommitted() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, tx := range t.byID {
		if tx.committed {
			return true
		}
	}
	return false
}

func (t *transactions) checkCommitted(there known) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for id, tx := range t.byID {
		if tx.committed {
			_, tx.committed = there[id]
		}
	}
}

// missing returns those of ops that were not applied before, and answers the others.
func (b *Backend) missing(ctx context.Context, ops []operation) ([]operation, error) {
	if err := b.loadKnown(ctx); err != nil {
		return nil, err
	}
	left := ops[:0:0]
	for i := range ops {
		o := &ops[i]
		_, marked := b.known[transactionID{o.epoch, o.sequence}]
		if marked {
			o.reply([]byte{byte(Done)})
			continue
		}
		left = append(left, *o)
	}
	return left, nil
}

// moved is the SQLSTATE that says that the position is not what this process wrote last.
const moved = "NXPOS"

// positionMove moves the position from one to another, and fails if somebody else has.
func positionMove(from, to raft.Position) []string {
	return []string{
		fmt.Sprintf("%s AND term=%d AND idx=%d", positionUpdate(to), from.Term, from.Index),
		"IF ROW_COUNT()<>1 THEN SIGNAL SQLSTATE '" + moved + "' SET MESSAGE_TEXT='the position was moved by another connection'; END IF",
	}
}

// isMark reports whether a statement's events do nothing but insert a marker.
func isMark(statement []byte) bool {
	if len(statement) < eventHeader || statement[4] != eventTableMap {
		return false
	}
	size := int(binary.LittleEndian.Uint32(statement[9:])) // nextStatement has looked at it
	table := statement[eventHeader:size]
	if database, name := tableOf(table); database != "nexus" || name != "applied" {
		return false
	}
	rows := statement[size:]
	return len(rows) == markSize && rows[4] == eventFirstRows && tableID(rows[eventHeader:]) == tableID(table)
}

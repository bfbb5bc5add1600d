package mysql

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/nexus-replication/nexus/raft"
	"github.com/nexus-replication/nexus/raft/failpoint"
)

const (
	codeDuplicate = 1062
	// statementEnd in the flags of a rows event: the next one belongs to another statement.
	statementEnd = 1
	// maxBinlogBytes is where one BINLOG statement ends, at the next end of a statement.
	maxBinlogBytes = 1 << 20
)

// applyOthers takes over transactions of another server, but those that are there: this node has committed them as the leader, before
// a crash, and its position does not tell.
func (b *Backend) applyOthers(ctx context.Context, ops []operation) error {
	// Those that are there already may be the last ones: the position is that of all.
	last := &ops[len(ops)-1]
	to := &last.entry.Position
	if last.index < len(last.entry.Commands)-1 {
		to = nil // the position stays that of the entry before
	}
	ops, err := b.missing(ctx, ops)
	if err != nil {
		return err
	}
	return b.applyRows(ctx, ops, to)
}

// applyRows takes over transactions of another server, or of this one that it has lost, in one transaction: with the position to
// which they bring the backend and without their markers, if it is known that none of them was applied before; or with the markers.
func (b *Backend) applyRows(ctx context.Context, ops []operation, to *raft.Position) error {
	ops, err := b.tryModes(ctx, ops, to)
	if serverCode(err) == codeLockTimeout && b.transactions.count() == 0 {
		// Only readers are left, of which a function may lock what it reads.
		b.log.Warn("rows that are to be applied are locked by sessions of this server, which are disconnected")
		if err := b.endReaders(ctx, true); err != nil {
			return err
		}
		ops, err = b.tryModes(ctx, ops, to)
	}
	if to == nil && serverCode(err) == codeDuplicate {
		// Somebody was about to commit some of them when it was looked whether they are there.
		if ops, err = b.unmarked(ctx, ops); err == nil {
			ops, err = b.tryModes(ctx, ops, to)
		}
	}
	var server *ServerError
	if errors.As(err, &server) && !machineError(server.Code) && server.State != moved {
		return &raft.FatalError{Err: fmt.Errorf("the rows of entries %d to %d do not fit the data of backend %s, which therefore differs from the others: %w",
			ops[0].entry.Index, ops[len(ops)-1].entry.Index, b.cfg.Addr, err)}
	}
	return err
}

// rowPatience is how long rows may be locked by sessions of clients, in seconds.
const rowPatience = 5

// tryRows leaves the transaction rolled back after an error.
func (b *Backend) tryRows(ctx context.Context, ops []operation, to *raft.Position) error {
	if len(ops) == 0 {
		return nil
	}
	k, err := b.openApplier(ctx)
	if err != nil {
		return err
	}
	impatiently, done := k.patiently(), b.labours(k.c.GetConnectionID(), ops)
	err = b.executeRows(ctx, k, ops, to)
	done()
	impatiently()
	if err != nil {
		b.applier = nil
		if serverCode(err) == 0 {
			b.lose(k)
		} else {
			k.close()
		}
		return err
	}
	b.stats.applied.Add(uint64(len(ops)))
	for i := range ops {
		if to == nil {
			b.markers = append(b.markers, marker{ops[i].epoch, ops[i].sequence, ops[i].entry.Index})
		}
		ops[i].reply([]byte{byte(Done)})
	}
	return nil
}

func (b *Backend) executeRows(ctx context.Context, k *conn, ops []operation, to *raft.Position) error {
	statements, err := binlogStatements(ops, to == nil)
	if err != nil {
		return err
	}
	there := b.known
	if to == nil {
		b.forgetKnown()
	} else {
		statements = append(positionMove(b.saved, *to), statements...)
	}
	failpoint.Hit("mysql.before-rows")
	if err := k.transact(ctx, statements); err != nil {
		return err
	}
	if to == nil {
		b.known = there.with(ops)
		return nil
	}
	failpoint.Hit("mysql.after-rows")
	b.held = *to
	return b.positionSaved(ctx)
}

// binlogStatements puts the events of transactions into as few statements as their size allows, with or without the markers.
func binlogStatements(ops []operation, marked bool) ([]string, error) {
	var statements []string
	var pending []byte
	flush := func() {
		if len(pending) > 0 {
			statements = append(statements, "BINLOG '"+base64.StdEncoding.EncodeToString(pending)+"'")
			pending = pending[:0]
		}
	}
	for i := range ops {
		for rest := ops[i].events; len(rest) > 0; {
			statement, err := nextStatement(rest)
			if err != nil {
				return nil, &raft.FatalError{Err: fmt.Errorf("entry %d: %w", ops[i].entry.Index, err)}
			}
			rest = rest[len(statement):]
			if !marked && isMark(statement) {
				continue
			}
			pending = append(pending, statement...)
			if len(pending) >= maxBinlogBytes {
				flush()
			}
		}
	}
	flush()
	return statements, nil
}

// openApplier returns the connection that executes row events, after telling it how these are laid out.
func (b *Backend) openApplier(ctx context.Context) (*conn, error) {
	if b.applier != nil {
		return b.applier, nil
	}
	c := b.capture.Load()
	if c == nil {
		return nil, errors.New("apply rows: the binary log is not being read")
	}
	k, err := b.connect(ctx)
	if err != nil {
		return nil, err
	}
	if err := k.run(ctx, fmt.Sprintf("SET SESSION innodb_lock_wait_timeout=%d", rowPatience),
		"BINLOG '"+base64.StdEncoding.EncodeToString(c.description)+"'"); err != nil {
		k.close()
		return nil, err
	}
	b.applier = k
	return k, nil
}

// nextStatement returns the events at the front of events up to the end of a statement: a server forgets the tables that
// the events name when a BINLOG statement ends.
func nextStatement(events []byte) ([]byte, error) {
	for at := 0; at+eventHeader <= len(events); {
		size := int(binary.LittleEndian.Uint32(events[at+9:]))
		if size < eventHeader || at+size > len(events) {
			break
		}
		kind := events[at+4]
		if kind != eventTableMap && (kind < eventFirstRows || kind > eventLastRows) {
			return nil, fmt.Errorf("a row event of type %d, which this program does not know", kind)
		}
		// Of a rows event: table id (6), flags (2).
		if kind != eventTableMap && size >= eventHeader+8 && events[at+eventHeader+6]&statementEnd != 0 {
			return events[:at+size], nil
		}
		at += size
	}
	return nil, errors.New("row events end early")
}

// unmarked returns those of ops whose marker is not there.
func (b *Backend) unmarked(ctx context.Context, ops []operation) ([]operation, error) {
	var text strings.Builder
	text.WriteString("SELECT epoch, sequence FROM nexus.applied WHERE (epoch,sequence) IN (")
	for i := range ops {
		if i > 0 {
			text.WriteByte(',')
		}
		fmt.Fprintf(&text, "(%d,%d)", ops[i].epoch, ops[i].sequence)
	}
	text.WriteByte(')')
	rows, err := b.conn.rows(ctx, text.String())
	if err != nil {
		return nil, err
	}
	there := make(map[string]bool)
	for _, row := range rows {
		there[row[0]+"-"+row[1]] = true
	}
	var missing []operation
	for i := range ops {
		if there[fmt.Sprintf("%d-%d", ops[i].epoch, ops[i].sequence)] {
			b.markers = append(b.markers, marker{ops[i].epoch, ops[i].sequence, ops[i].entry.Index})
			ops[i].reply([]byte{byte(Done)})
			continue
		}
		missing = append(missing, ops[i])
	}
	if len(missing) == len(ops) {
		return nil, &raft.FatalError{Err: fmt.Errorf("a row of entries %d to %d is there already on backend %s, which therefore differs from the others",
			ops[0].entry.Index, ops[len(ops)-1].entry.Index, b.cfg.Addr)}
	}
	return missing, nil
}

// IsMachineError reports whether an error says nothing about what was to be done: the same can succeed later.
func IsMachineError(err error) bool {
	code := serverCode(err)
	return code == 0 || machineError(code)
}

// machineError reports whether an error of the server says something about the machine, or about locks, rather than the
// data: the same statement can succeed later.
func machineError(code uint16) bool {
	switch code {
	case 1009, 1010, 1021, 1030, 1037, 1038, 1040, 1041, 1053, 1114, 1135, 1159, 1160, 1161, 1180, 1181, 1205, 1206, 1213, 1290, 1317, 1836, 1927, 3169:
		return true
	}
	return false
}

// isOtherEngine reports whether the server refuses an engine that is not to be replaced by InnoDB. It has the code of what a
// server refuses for how it was started, which each answers by itself; this one they all refuse.
func isOtherEngine(err error) bool {
	return serverCode(err) == 1290 && strings.Contains(err.Error(), "NO_ENGINE_SUBSTITUTION")
}

package mysql

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/nexus-replication/nexus/raft/failpoint"
)

const codeLockTimeout = 1205

// namesPublic finds statements that may take rights from PUBLIC that clients need for the markers of their transactions.
var namesPublic = regexp.MustCompile(`(?i)\bpublic\b`)

// applySchema executes a schema change, once whatever crash comes in between.
func (b *Backend) applySchema(ctx context.Context, o *operation) error {
	begun, err := b.conn.row(ctx, fmt.Sprintf("SELECT file, pos, reply FROM nexus.schema_change WHERE idx=%d AND ordinal=%d", o.entry.Index, o.index))
	if err != nil {
		return err
	}
	if begun != nil {
		done, reply, err := b.schemaOutcome(ctx, begun)
		if err != nil {
			return err
		}
		if done {
			if err := b.grantAgain(ctx, o.text); err != nil {
				return err
			}
			return b.schemaDone(ctx, o, reply)
		}
	} else if err := b.schemaIntent(ctx, o); err != nil {
		return err
	}
	failpoint.Hit("mysql.before-schema")
	reply, err := b.executeSchema(ctx, o)
	if err != nil {
		return err
	}
	failpoint.Hit("mysql.after-schema")
	return b.schemaDone(ctx, o, reply)
}

// schemaIntent records where in the binary log the statement will stand if it is executed.
func (b *Backend) schemaIntent(ctx context.Context, o *operation) error {
	status, err := b.conn.row(ctx, "SHOW MASTER STATUS")
	if err != nil {
		return err
	}
	if len(status) < 2 {
		return b.unsuitable("has no binary log: start it with --log-bin")
	}
	return b.conn.run(ctx, fmt.Sprintf("INSERT INTO nexus.schema_change VALUES (%d, %d, %s, %s, NULL)",
		o.entry.Index, o.index, quote(status[0]), status[1]))
}

// schemaOutcome finds out whether a statement was executed that was begun before.
func (b *Backend) schemaOutcome(ctx context.Context, begun []string) (done bool, reply []byte, err error) {
	if begun[2] != "" {
		return true, []byte(begun[2]), nil
	}
	files, err := b.conn.rows(ctx, "SHOW BINARY LOGS")
	if err != nil {
		return false, nil, err
	}
	pos, reached := begun[1], false
	for _, file := range files {
		reached = reached || file[0] == begun[0]
		if !reached {
			continue
		}
		events, err := b.conn.rows(ctx, fmt.Sprintf("SHOW BINLOG EVENTS IN %s FROM %s", quote(file[0]), pos))
		if err != nil {
			return false, nil, err
		}
		for _, e := range events {
			if e[2] == "Query" && !strings.HasPrefix(e[5], "XA ") && !isTransactionEnd(e[5]) {
				return true, []byte{byte(Done)}, nil
			}
		}
		pos = "4"
	}
	return false, nil, nil
}

func isTransactionEnd(info string) bool {
	return info == "COMMIT" || info == "ROLLBACK" || info == "BEGIN"
}

// executeSchema returns the reply to the statement. Readers that keep it waiting for too long are disconnected: nothing
// is applied meanwhile.
func (b *Backend) executeSchema(ctx context.Context, o *operation) ([]byte, error) {
	b.amid.note(o.text)
	b.changing.Store(true)
	defer b.changing.Store(false)
	defer b.labour.begin(func() (string, string) {
		return fmt.Sprintf("the schema change %s (log entry %d)", firstWords(o.text), o.entry.Index), ""
	})()
	defer b.tellLong(o)()
	for first := true; ; first = false {
		reply, err := b.trySchema(ctx, o)
		if serverCode(err) != codeLockTimeout {
			return reply, err
		}
		b.log.Warn("a schema change waits for sessions of this server, which are disconnected", "statement", firstWords(o.text))
		if err := b.endReaders(ctx, first); err != nil {
			return nil, err
		}
	}
}

// longSchema is how long a schema change may take before the log tells of it: what comes behind it waits.
const longSchema = 2 * time.Second

// tellLong tells of a schema change that is still executed after a while, and, by the function that it returns, of its end then.
func (b *Backend) tellLong(o *operation) (end func()) {
	begun := time.Now()
	about := []any{"statement", firstWords(o.text), "index", o.entry.Index}
	timer := time.AfterFunc(longSchema, func() {
		b.log.Info("a schema change takes long, and all entries of the log wait behind it", about...)
	})
	return func() {
		if !timer.Stop() {
			b.log.Info("the schema change is over", append(about, "took", time.Since(begun).Round(time.Millisecond))...)
		}
	}
}

func (b *Backend) trySchema(ctx context.Context, o *operation) ([]byte, error) {
	k, err := b.connect(ctx)
	if err != nil {
		return nil, err
	}
	end := k.close
	defer func() { end() }()
	defer k.patiently()()
	prelude := []string{
		fmt.Sprintf("SET SESSION lock_wait_timeout=%d", max(1, int(b.cfg.DDLPatience.Seconds()))),
		fmt.Sprintf("SET SESSION timestamp=%d.%03d", o.entry.Stamp/1000, o.entry.Stamp%1000),
		// Other engines have no transactions that can be prepared.
		"SET SESSION enforce_storage_engine=InnoDB, default_storage_engine=InnoDB",
	}
	setup := len(prelude)
	prelude = append(prelude, o.prelude...)
	var result *changed
	for i, text := range append(prelude, "SET SESSION sql_log_bin=1", o.text) {
		result, err = k.change(ctx, text, firstWords(text))
		code := serverCode(err)
		switch {
		case err == nil:
		case code == 0:
			b.lose(k)
			return nil, err
		case i < setup || machineError(code) && !isOtherEngine(err):
			return nil, err
		case i < len(prelude) && code != codeNoDatabase:
			// The leader's server has these settings, so this one is installed differently: its time zones, say.
			return nil, fmt.Errorf("the server does not take what the session of a schema change has set, as others do: %w", err)
		default:
			end = k.leave
			return appendWarnings(failure(err), b.warnings(ctx, k)), nil
		}
	}
	end = k.leave
	b.stats.schema.Add(1)
	if namesSequence.MatchString(o.text) {
		b.sequences.any.Store(true)
	}
	if err := b.grantAgain(ctx, o.text); err != nil {
		return nil, err
	}
	return done(Answer{Warnings: b.noted(ctx, k, result.warnings), Affected: result.affected, Checks: result.rows, Info: result.info}), nil
}

// grantAgain gives back what every account needs, where a statement may have taken it, as REVOKE ... FROM PUBLIC.
func (b *Backend) grantAgain(ctx context.Context, text string) error {
	if !namesPublic.MatchString(text) {
		return nil
	}
	return b.grant(ctx, b.conn)
}

// maxWarnings are kept of a statement; a server keeps 64 too.
const maxWarnings = 64

// noted is warnings of a statement that the server has counted.
func (b *Backend) noted(ctx context.Context, k *conn, count int) []Warning {
	if count == 0 {
		return nil
	}
	return b.warnings(ctx, k)
}

// warnings returns what the server has noted about the last statement. It is told to the client only, so an error is a
// matter of the log.
func (b *Backend) warnings(ctx context.Context, k *conn) []Warning {
	rows, err := k.rows(ctx, "SHOW WARNINGS")
	if err != nil {
		b.log.Warn("warnings of a schema change could not be read", "err", err)
		return nil
	}
	var list []Warning
	for _, row := range rows[:min(len(rows), maxWarnings)] {
		code, err := strconv.ParseUint(row[1], 10, 16)
		if err != nil || strings.HasPrefix(row[2], "Event scheduler is switched off") { // every warning has a number
			continue
		}
		list = append(list, Warning{Level: row[0], Code: uint16(code), Message: row[2]})
	}
	return list
}

// firstWords of a statement for messages: what follows may be a password.
func firstWords(text string) string {
	words := strings.Fields(text[:min(len(text), 60)])
	return strings.Join(words[:min(len(words), 2)], " ")
}

// endReaders disconnects sessions of clients, of which none has a transaction open that may write: see the barrier of
// proxy/mysql. Where busy is set, those are spared that wait for their client outside of any transaction: they should hold
// no locks.
func (b *Backend) endReaders(ctx context.Context, busy bool) error {
	own := []string{"CONNECTION_ID()"}
	if b.applier != nil {
		own = append(own, strconv.FormatUint(uint64(b.applier.c.GetConnectionID()), 10))
	}
	for _, id := range b.steered.list() {
		own = append(own, strconv.FormatUint(id, 10))
	}
	condition := "id NOT IN (" + strings.Join(own, ",") + ") AND command NOT IN ('Daemon','Binlog Dump')"
	if busy {
		condition += " AND (command<>'Sleep' OR id IN (SELECT trx_mysql_thread_id FROM information_schema.innodb_trx))"
	}
	return b.killWhere(ctx, condition)
}

// schemaDone records the result with the position, where the statement ends its entry.
func (b *Backend) schemaDone(ctx context.Context, o *operation, reply []byte) error {
	texts := []string{"BEGIN",
		fmt.Sprintf("UPDATE nexus.schema_change SET reply=%s WHERE idx=%d AND ordinal=%d", quote(string(reply)), o.entry.Index, o.index),
		fmt.Sprintf("DELETE FROM nexus.schema_change WHERE idx<%d", o.entry.Index)}
	last := o.index == len(o.entry.Commands)-1
	if last {
		texts = append(texts, positionUpdate(o.entry.Position))
	}
	if err := b.conn.run(ctx, append(texts, "COMMIT")...); err != nil {
		return err
	}
	failpoint.Hit("mysql.schema-recorded")
	o.reply(reply)
	if !last {
		return nil
	}
	b.held = o.entry.Position
	return b.positionSaved(ctx)
}

// applyAddress notes where the clients of a node are served.
func (b *Backend) applyAddress(ctx context.Context, o *operation) error {
	if err := b.conn.run(ctx, fmt.Sprintf("REPLACE INTO nexus.address VALUES (%d, %s)", o.node, quote(o.address))); err != nil {
		return err
	}
	b.addresses.set(o.node, o.address)
	o.reply([]byte{byte(Done)})
	return nil
}

package mysql

import (
	"context"
	"encoding/binary"
	"fmt"
)

// Global variables that clients set are the same on all servers, and last: each is a row of nexus.global_variable, and is set
// again whenever a server may have been restarted. A row is never removed: its value may be the word DEFAULT.

// variableTable may be missing on a server that an earlier program has claimed.
const variableTable = "CREATE TABLE IF NOT EXISTS nexus.global_variable (name VARCHAR(64) CHARACTER SET ascii PRIMARY KEY, value LONGTEXT CHARACTER SET utf8mb4 NOT NULL) ENGINE=InnoDB"

// EncodeVariable returns the command that sets a global variable on every member. The value is SQL: a literal or a word.
func EncodeVariable(epoch uint64, name, value string) []byte {
	dst := []byte{commandVersion, byte(kindVariable)}
	dst = binary.AppendUvarint(dst, epoch)
	dst = appendText(dst, name)
	return appendText(dst, value)
}

// applyVariable sets a variable and writes it down. It does the same when it is applied again.
func (b *Backend) applyVariable(ctx context.Context, o *operation) error {
	result, err := b.conn.exec(ctx, setGlobal(o.variable, o.value))
	if code := serverCode(err); code != 0 && !machineError(code) {
		o.reply(failure(err))
		return nil
	}
	if err != nil {
		return err
	}
	answer := done(Answer{Warnings: b.warnings(ctx, b.conn, result)})
	if err := b.conn.run(ctx, variableTable,
		"REPLACE INTO nexus.global_variable VALUES ("+quote(o.variable)+", "+quote(o.value)+")"); err != nil {
		return err
	}
	o.reply(answer)
	return nil
}

// setVariables sets what clients have set. A server that does not know one of them, or does not take its value, goes on
// without: it is another version than the one that took it.
func (b *Backend) setVariables(ctx context.Context, k *conn) error {
	rows, err := k.rows(ctx, "SELECT name, value FROM nexus.global_variable ORDER BY name")
	if code := serverCode(err); code == codeNoTable || code == codeNoDatabase {
		return nil
	}
	if err != nil {
		return err
	}
	for _, row := range rows {
		_, err := k.exec(ctx, setGlobal(row[0], row[1]))
		if code := serverCode(err); code != 0 && !machineError(code) {
			b.log.Warn("a global variable that a client has set is not taken by the server", "name", row[0], "value", row[1], "err", err)
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func setGlobal(variable, value string) string {
	return fmt.Sprintf("SET GLOBAL %s=%s", name(variable), value)
}

// codeNoDatabase is for a server that nobody has claimed yet.
const codeNoDatabase = 1049

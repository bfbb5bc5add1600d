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

// EncodeVariable returns the command that sets a global variable on every member. The value is SQL: a literal or a word. tried
// says that the leader's server was seen to take the value: one that does not differs from it.
func EncodeVariable(epoch uint64, name, value string, tried bool) []byte {
	dst := []byte{commandVersion, byte(kindVariable)}
	dst = binary.AppendUvarint(dst, epoch)
	dst = appendText(dst, name)
	dst = appendText(dst, value)
	if tried {
		dst = append(dst, 1)
	}
	return dst
}

// applyVariable sets a variable and writes it down. It does the same when it is applied again. What is written down does not
// depend on this server: only an error that says the same on all of them is a result.
func (b *Backend) applyVariable(ctx context.Context, o *operation) error {
	result, err := b.conn.exec(ctx, setGlobal(o.variable, o.value))
	code := serverCode(err)
	if err != nil && (code == 0 || machineError(code)) {
		return err
	}
	if err != nil && !o.tried && sameEverywhere(code) {
		o.reply(failure(err))
		return nil
	}
	var answer []byte
	if err == nil {
		answer = done(Answer{Warnings: b.noted(ctx, b.conn, int(result.Warnings))})
	} else {
		answer = failure(err)
	}
	if err := b.conn.run(ctx, variableTable,
		"REPLACE INTO nexus.global_variable VALUES ("+quote(o.variable)+", "+quote(o.value)+")"); err != nil {
		return err
	}
	b.variableTaken(o.variable, o.value, err)
	o.reply(answer)
	return nil
}

// sameEverywhere reports whether a value that was not tried before is refused by every server: of another type, out of its
// range, or a character set that there is not.
func sameEverywhere(code uint16) bool {
	switch code {
	case 1231, 1232, 1115, 1273:
		return true
	}
	return false
}

// variableTaken notes whether the server has the value that the log says.
func (b *Backend) variableTaken(variable, value string, err error) {
	if err == nil {
		delete(b.untaken, variable)
	} else {
		b.untaken[variable] = true
		b.log.Error("a global variable that a client has set is not taken by the server, which differs from the others now: install it as they are, and restart it or set the variable again",
			"name", variable, "value", value, "err", err)
	}
	b.stats.untaken.Store(int64(len(b.untaken)))
}

// setVariables sets what clients have set. A server that does not know one of them, or does not take its value, goes on
// without: it is installed differently from the one that took it.
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
		if code := serverCode(err); err != nil && (code == 0 || machineError(code)) {
			return err
		}
		b.variableTaken(row[0], row[1], err)
	}
	return nil
}

func setGlobal(variable, value string) string {
	return fmt.Sprintf("SET GLOBAL %s=%s", name(variable), value)
}

// codeNoDatabase is for a server that nobody has claimed yet.
const codeNoDatabase = 1049

package mysql

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nexus-replication/nexus/proxy/mysql/statement"
	"github.com/nexus-replication/nexus/proxy/mysql/wire"
	"github.com/nexus-replication/nexus/raft"
)

// A reader is a session of the port for reading: it is served by the local server, whoever leads. Its statements, and its
// transactions, begin when the local server holds everything that was acknowledged before. It must not lock rows: the
// entries of the log are applied to the same server.

// codeReadOnlyServer is what a server answers that was started to be read only; drivers know it.
const codeReadOnlyServer = 1290

// refuses says why a statement may not be executed here, or nil.
func (s *session) refuses(what *statement.Statement) *wire.Error {
	if what.Syntax {
		return syntaxError(what)
	}
	if what.Kind == statement.Refused {
		return refused("%s is refused: %s", what.Verb, what.Reason)
	}
	if !s.reader {
		return nil
	}
	denied := what.Locks
	switch what.Kind {
	case statement.LockTables:
		denied = what.Writes || what.Everything
	case statement.Write, statement.DDL, statement.CreateSelect, statement.LockingRead, statement.Flush: // CALL too: a procedure may open its session
		denied = true
	case statement.Begin, statement.SetTransaction:
		denied = what.Access == statement.ReadWrite || what.Isolation == "SERIALIZABLE"
	case statement.Set:
		denied = setsSerializable(what.Assignments) || setsGlobal(what.Assignments)
	}
	if !denied {
		return nil
	}
	verb := what.Verb
	switch {
	case what.Locks:
		verb += " with a lock that has a name"
	case what.Kind == statement.LockingRead:
		verb += " that locks rows"
	case what.Kind == statement.Set && setsGlobal(what.Assignments):
		verb = "SET GLOBAL"
	case what.Kind == statement.Set || what.Isolation == "SERIALIZABLE":
		verb = "SERIALIZABLE, under which every read locks rows,"
	}
	return &wire.Error{Code: codeReadOnlyServer, State: "HY000", Message: fmt.Sprintf("Nexus: %s is refused: this port is for reading (-readOnlyPort); "+
		"connect to the port of -proxyPort. The server is running with the --read-only option so it cannot execute this statement", verb)}
}

// setsSerializable reports whether an assignment may choose the isolation level under which reads lock.
func setsSerializable(assignments []statement.Assignment) bool {
	for _, a := range assignments {
		if a.User || a.Name != "tx_isolation" && a.Name != "transaction_isolation" {
			continue
		}
		switch strings.ToUpper(strings.Trim(a.Value, `'"`)) {
		case "READ-UNCOMMITTED", "READ-COMMITTED", "REPEATABLE-READ":
		default: // or an expression
			return true
		}
	}
	return false
}

func setsGlobal(assignments []statement.Assignment) bool {
	return slices.ContainsFunc(assignments, func(a statement.Assignment) bool { return a.Global })
}

// catchUp returns when the local server holds all that was acknowledged. The node bounds that itself, and bears with a server
// that executes a schema change; the session waits for as long as a transaction would.
func (s *session) catchUp() error {
	limit := max(s.server.cfg.Timeout, s.server.cfg.GateTimeout)
	ctx := bounded{session: s, timeout: limit}
	defer ctx.stop()
	err := s.server.node.Read(&ctx, func(context.Context) error { return nil })
	var late *raft.NoAnswerError
	switch {
	case err == nil:
		return nil
	case ctx.interrupted():
		return errInterrupted
	case errors.As(err, &late) && late.After == limit && limit > s.server.cfg.Timeout:
		return &wire.Error{Code: codeLockTimeout, State: "HY000", Message: fmt.Sprintf("Nexus: not executed: a schema change was "+
			"executed for %v; try again", limit)}
	}
	if s.reader { // nothing of the statement was executed, nor will the next one be: a pool would keep the connection
		return s.final(unserved(reason(err)))
	}
	return unavailable(err)
}

package mysql

import (
	"context"
	"errors"
	"fmt"
	"strings"

	appliers "github.com/nexus-replication/nexus/appliers/mysql"
	"github.com/nexus-replication/nexus/proxy/mysql/statement"
	"github.com/nexus-replication/nexus/proxy/mysql/wire"
	"github.com/nexus-replication/nexus/raft"
)

// Codes of the server that clients know what to do with.
const (
	codeTooManyConns   = 1040
	codeBadHandshake   = 1043
	codeUnknownCommand = 1047
	codeShutdown       = 1053
	codeSyntax         = 1064
	codeUnknown        = 1105
	codeDenied         = 1142
	codeCommitFailed   = 1180
	codeLockTimeout    = 1205
	codeDeadlock       = 1213
	codeNotSupported   = 1235
	codeOtherEngine    = 1266
	codeNoCharacter    = 1300
	codeInterrupted    = 1317
	codeInsideXA       = 1399
	codeParameterCount = 1582 // of a function of the server
	codeReadOnly       = 1792
	codeKilled         = 1927
)

// OutcomeUnknown begins the message of an error after which nobody knows whether the transaction was committed.
const OutcomeUnknown = "Nexus: outcome unknown"

// officeOver is what a session ends with when another node leads.
const officeOver = "the leadership moved to another node, connect again"

// errHangUp ends a session after the client was told why.
var errHangUp = errors.New("the connection is closed")

// reason is err as clients may see it: without the words of this program's language.
func reason(err error) string {
	return strings.ReplaceAll(err.Error(), context.DeadlineExceeded.Error(), "no answer in time")
}

func refused(format string, args ...any) *wire.Error {
	return &wire.Error{Code: codeNotSupported, State: "42000", Message: "Nexus: " + fmt.Sprintf(format, args...)}
}

// syntaxError is what the server would answer.
func syntaxError(what *statement.Statement) *wire.Error {
	near := what.Near
	if len(near) > 80 {
		near = near[:77] + "..."
	}
	return &wire.Error{Code: codeSyntax, State: "42000", Message: fmt.Sprintf("You have an error in your SQL syntax; check the manual that corresponds to your "+
		"MariaDB server version for the right syntax to use near '%s' at line %d", near, what.Line)}
}

// unserved is for a client whose connection is closed behind it: it is not served here, or not any more. Servers that shut down say
// the same, and drivers that know several connect to the next one.
func unserved(reason string) *wire.Error {
	return &wire.Error{Code: codeShutdown, State: "08S01", Message: "Nexus: " + reason}
}

// badHandshake is for who does not speak the protocol.
func badHandshake(reason string) *wire.Error {
	return &wire.Error{Code: codeBadHandshake, State: "08S01", Message: "Bad handshake: " + reason}
}

func unavailable(err error) *wire.Error {
	return &wire.Error{Code: codeUnknown, State: "HY000", Message: "Nexus: " + reason(err)}
}

// commitError says what is known about a transaction after a proposal that brought no verdict. Drivers and ORMs try a
// transaction again that ended with a deadlock.
func commitError(err error) *wire.Error {
	switch {
	case errors.Is(err, raft.ErrOutcomeUnknown):
		message := OutcomeUnknown + ": the transaction may or may not be committed"
		if why := raft.Unmarked(reason(err), raft.ErrOutcomeUnknown); why != "" {
			message += ": " + why
		}
		return &wire.Error{Code: codeUnknown, State: "HY000", Message: message}
	case errors.Is(err, raft.ErrTooLarge):
		return &wire.Error{Code: codeCommitFailed, State: "HY000", Message: "Nexus: the transaction was rolled back: " + reason(err)}
	case errors.Is(err, appliers.ErrFenced):
		return &wire.Error{Code: codeDeadlock, State: "40001", Message: "Nexus: the transaction was rolled back, because the leadership changed; try restarting transaction"}
	}
	return &wire.Error{Code: codeDeadlock, State: "40001", Message: "Nexus: the transaction was rolled back; try restarting transaction: " + reason(err)}
}

// captureError is for a transaction that is rolled back before anybody was asked to commit it.
func captureError(err error) *wire.Error {
	if errors.Is(err, appliers.ErrTrespassed) {
		return &wire.Error{Code: codeDenied, State: "42000", Message: "Nexus: the transaction was rolled back: " + reason(err)}
	}
	if errors.Is(err, appliers.ErrUnfindable) || errors.Is(err, appliers.ErrKeyless) || errors.Is(err, appliers.ErrAstray) {
		return &wire.Error{Code: codeNotSupported, State: "42000", Message: "Nexus: the transaction was rolled back: " + reason(err)}
	}
	return commitError(err)
}

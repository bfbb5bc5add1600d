package statement

import (
	"fmt"
	"slices"
	"strings"
)

// Classify says what text, one statement, is. A semicolon may stand at its end.
func Classify(text string, d Dialect) Statement {
	if bad := badEnd(text, d); bad.Kind == Refused && bad.Reason != "" {
		return bad
	}
	p := newParser(text, d)
	for p.takePunct('(') { // (SELECT ...) UNION ...
		if !p.at("SELECT", "WITH", "VALUES", "TABLE") && !p.tok.punct('(') {
			return refuse("(", "no statement begins so")
		}
	}
	return p.classify()
}

// badEnd says what keeps the text from being exactly one statement.
func badEnd(text string, d Dialect) Statement {
	p := newParser(text, d)
	programs, _ := definesProgram(text, d)
	for ended := false; ; p.skip() {
		switch {
		case p.tok.kind == tokenBad:
			return p.malformed("", fmt.Sprintf("a quote or comment has no end: %.40s", p.tok.text))
		case p.tok.kind == tokenEnd && p.lexer.inside:
			return p.malformed("", "a comment has no end")
		case p.tok.kind == tokenEnd:
			return Statement{}
		case p.tok.punct(';') && p.lexer.inside && !programs:
			return p.malformed("", "a semicolon stands in a comment that is executed")
		case ended && !p.tok.punct(';'):
			return p.malformed("", "it is more than one statement")
		case p.tok.punct(';') && !programs:
			ended = true
		}
	}
}

// form classifies what begins with its word, which was taken already.
type form func(p *parser, verb string) Statement

// formOf returns how to classify what begins with verb, in upper case; nil for a word that no statement begins with.
func formOf(verb string) form {
	switch verb {
	case "SELECT", "VALUES", "TABLE":
		return (*parser).query
	case "WITH":
		return (*parser).with
	case "SHOW":
		return (*parser).show
	case "EXPLAIN", "DESCRIBE", "DESC":
		return (*parser).explain
	case "ANALYZE":
		return (*parser).analyze
	case "DO", "HELP", "CHECKSUM", "SIGNAL", "RESIGNAL":
		return kind(Read)
	case "GET":
		return kind(Diagnostics)
	case "INSERT", "REPLACE", "UPDATE", "DELETE", "CALL":
		return (*parser).dml
	case "LOAD":
		return (*parser).load
	case "IF", "CASE", "LOOP", "WHILE", "REPEAT", "FOR":
		return (*parser).compound
	}
	if f := sessionForm(verb); f != nil {
		return f
	}
	if f := schemaForm(verb); f != nil {
		return f
	}
	if reason := refusedVerb(verb); reason != "" {
		return func(_ *parser, verb string) Statement { return refuse(verb, reason) }
	}
	return nil
}

// sessionForm is formOf for transactions and the state of the session.
func sessionForm(verb string) form {
	switch verb {
	case "BEGIN":
		return (*parser).begin
	case "START":
		return (*parser).start
	case "COMMIT":
		return (*parser).commit
	case "ROLLBACK":
		return (*parser).rollback
	case "SAVEPOINT", "RELEASE":
		return kind(Savepoint)
	case "SET":
		return (*parser).set
	case "USE":
		return (*parser).use
	case "PREPARE":
		return (*parser).prepare
	case "EXECUTE":
		return (*parser).execute
	case "DEALLOCATE":
		return (*parser).deallocate
	case "KILL":
		return (*parser).kill
	case "LOCK":
		return (*parser).lock
	case "UNLOCK":
		return (*parser).unlock
	}
	return nil
}

// schemaForm is formOf for what commits the transaction before it.
func schemaForm(verb string) form {
	switch verb {
	case "CREATE":
		return (*parser).create
	case "ALTER":
		return (*parser).alter
	case "DROP":
		return (*parser).drop
	case "TRUNCATE":
		return (*parser).truncate
	case "RENAME":
		return (*parser).rename
	case "GRANT", "REVOKE":
		return (*parser).grant
	case "OPTIMIZE", "REPAIR", "CHECK":
		return (*parser).maintain
	case "FLUSH":
		return (*parser).flush
	}
	return nil
}

// refusedVerb says why a statement that begins with verb is refused, whatever follows.
func refusedVerb(verb string) string {
	switch verb {
	case "XA":
		return "each transaction is one of Nexus's own, which uses XA itself"
	case "HANDLER":
		return "it reads past transactions; use SELECT"
	case "BINLOG", "PURGE":
		return "the binary log of a backend belongs to Nexus"
	case "CHANGE", "STOP", "SLAVE":
		return reasonReplication
	case "CACHE", "RESET", "SHUTDOWN", "RESTART", "CLONE", "BACKUP":
		return reasonServer
	case "INSTALL", "UNINSTALL":
		return reasonPlugin
	case "IMPORT":
		return reasonTablespace
	case "DECLARE":
		return "a block of statements begins with BEGIN NOT ATOMIC"
	}
	return ""
}

const (
	reasonServer      = "it administers a single backend, which Nexus manages itself"
	reasonReplication = "Nexus replicates; a backend has no replication of its own"
	reasonPlugin      = "it loads code into a single backend"
	reasonTablespace  = "it moves files of a single backend"
	reasonFile        = "it names a file or directory of a single backend"
)

func (p *parser) classify() Statement {
	if p.end() {
		return Statement{Kind: Empty}
	}
	p.oracleLabel()
	if p.tok.kind != tokenWord {
		return p.malformed(p.tok.text, "no statement begins so")
	}
	verb := upper(p.tok.text)
	classify := formOf(verb)
	if verb == "DECLARE" && p.lexer.dialect.Oracle {
		classify = (*parser).compound
	}
	if classify == nil {
		if q := *p; q.label() {
			classify = (*parser).compound
		} else {
			return p.malformed(verb, "Nexus does not know the statement")
		}
	}
	p.skip()
	named := p.calls(watchedFunctions...) // most statements call none, and are looked through once
	if named != "" {
		named = p.calls(lockFunctions...)
		if name := p.calls(forbiddenFunctions...); name != "" {
			return refuse(verb, name+"() acts on a single backend")
		}
	}
	s := classify(p, verb)
	switch {
	case named == "" || s.Kind == Refused:
	case s.Kind == DDL: // the query of CreateSelect is executed once
		if program, _ := definesProgram(p.lexer.text, p.lexer.dialect); !program {
			return refuse(s.Verb, named+"() would lock on every server; call it from the session")
		}
	default:
		s.Locks = true
	}
	return s
}

// lockFunctions are about locks that are named by clients, on the server of the leader.
var lockFunctions = []string{"GET_LOCK", "RELEASE_LOCK", "RELEASE_ALL_LOCKS", "IS_FREE_LOCK", "IS_USED_LOCK"}

// forbiddenFunctions act on one server beside the data.
var forbiddenFunctions = []string{
	"MASTER_POS_WAIT", "SOURCE_POS_WAIT",
	"MASTER_GTID_WAIT", "WAIT_FOR_EXECUTED_GTID_SET", "WAIT_UNTIL_SQL_THREAD_AFTER_GTIDS",
}

var watchedFunctions = slices.Concat(lockFunctions, forbiddenFunctions)

// malformed refuses what the server would not understand either, from the next token on.
func (p *parser) malformed(verb, reason string) Statement {
	text := p.lexer.text
	at := min(p.tok.start, len(text))
	return Statement{Kind: Refused, Verb: verb, Reason: reason, Syntax: true, Near: text[at:], Line: 1 + strings.Count(text[:at], "\n")}
}

func refuse(verb, reason string) Statement {
	return Statement{Kind: Refused, Verb: verb, Reason: reason}
}

func kind(k Kind) form {
	return func(_ *parser, verb string) Statement { return Statement{Kind: k, Verb: verb} }
}

package mysql

import (
	"strconv"
	"strings"

	"github.com/nexus-replication/nexus/proxy/mysql/statement"
	"github.com/nexus-replication/nexus/proxy/mysql/wire"
)

// set executes SET. The session's own access mode and autocommit are this node's business too.
func (s *session) set(c call) (bool, error) {
	if ok, failed, err := s.setMixed(c); ok {
		return failed, err
	}
	if failed, err := s.beforeSet(c.what.Assignments); failed || err != nil {
		return failed, err
	}
	if s.tx == nil && strings.ContainsRune(c.text, '(') { // a subquery, maybe
		if err := s.proveOffice(); err != nil {
			return true, s.failWith(err)
		}
	}
	failed, err := s.direct(c)
	if err != nil || failed {
		return failed, err
	}
	s.rowCountAfter(result{})
	return false, s.afterSet(c.what.Assignments)
}

// beforeSet refuses what this node cannot follow, and commits where SET does.
func (s *session) beforeSet(assignments []statement.Assignment) (failed bool, err error) {
	for i := range assignments {
		a := &assignments[i]
		switch {
		case a.User || a.Name != "autocommit" && a.Name != "tx_read_only" && a.Name != "transaction_read_only":
			continue
		}
		if err := s.settle(a); err != nil {
			return true, s.failWith(err)
		}
		on, ok := a.Bool()
		if !ok {
			s.fail(refused("SET %s wants 0 or 1, not %s", a.Name, a.Value))
			return true, nil
		}
		if on && a.Name == "autocommit" {
			if err := s.commit(); err != nil {
				return true, s.failWith(err)
			}
		}
	}
	return false, nil
}

// settle puts the value in the place of a variable, and of DEFAULT.
func (s *session) settle(a *statement.Assignment) error {
	expression := a.Value
	switch {
	case strings.EqualFold(expression, "DEFAULT"):
		expression = "@@global." + a.Name
	case !strings.HasPrefix(expression, "@"):
		return nil
	}
	value, err := s.evaluate(expression)
	if err == nil {
		a.Value = value
	}
	return err
}

// afterSet follows what the server was told.
func (s *session) afterSet(assignments []statement.Assignment) error {
	access, dialect := statement.AccessDefault, false
	for i := range assignments {
		a := &assignments[i]
		switch {
		case a.User:
		case a.Name == "sql_mode", a.Name == "character_set_client":
			dialect = true // also of a character set that the server knows by a number
		case a.Name == "names" || a.Name == "charset":
			dialect = dialect || !isCommonCharset(a.Value)
		case a.Name == "tx_read_only", a.Name == "transaction_read_only":
			access = statement.ReadWrite
			if on, _ := a.Bool(); on {
				access = statement.ReadOnly
			}
		}
	}
	if access != statement.AccessDefault {
		s.access = access
		if err := s.shut(); err != nil {
			return err
		}
	}
	if dialect {
		if err := s.readDialect(); err != nil {
			return s.lost(err)
		}
	}
	return s.closeImplicit()
}

// isCommonCharset reports whether a client can speak what SET NAMES names, for which the server need not be asked.
func isCommonCharset(value string) bool {
	name, _, _ := strings.Cut(value, " ")
	switch strings.ToLower(strings.Trim(name, "'\"")) {
	case "utf8", "utf8mb3", "utf8mb4", "latin1", "ascii", "binary":
		return true
	}
	return false
}

// closeImplicit ends the transaction that a statement such as SET @a = (SELECT ...) began on the server where autocommit
// is off: XA could not start inside of it.
func (s *session) closeImplicit() error {
	if s.tx != nil || s.status&wire.StatusInTransaction == 0 {
		return nil
	}
	if err := s.ask("ROLLBACK"); err != nil {
		return s.lost(err)
	}
	return nil
}

// setTransaction executes SET [SESSION] TRANSACTION. Its access mode never reaches the server.
func (s *session) setTransaction(c call) (bool, error) {
	what := c.what
	if s.tx != nil && !what.Session {
		return s.inside(c) // the server's own words
	}
	text := "SET TRANSACTION ISOLATION LEVEL " + what.Isolation
	if what.Session {
		text = "SET SESSION TRANSACTION ISOLATION LEVEL " + what.Isolation
	}
	if what.Isolation != "" {
		if err := s.ask(text); err != nil {
			return true, s.failWith(err)
		}
	}
	if what.Access != statement.AccessDefault {
		if what.Session {
			s.access = what.Access
		} else {
			s.nextAccess = what.Access
		}
	}
	return false, s.ok(c.more)
}

// prepareNamed executes PREPARE, whose text is classified now.
func (s *session) prepareNamed(c call) (bool, error) {
	c, text, err := s.source(c)
	if err != nil {
		return true, s.failWith(err)
	}
	p := s.newPrepared(text)
	if e := s.refusal(p); e != nil {
		return true, s.failRefused(text, e)
	}
	if p.text != text {
		what := c.what
		c = s.textCall("PREPARE "+quoteName(what.Name)+" FROM "+s.literal(p.text), c.more)
	}
	if p.what.Verb == "CALL" {
		if p.database, err = s.currentDatabase(); err != nil {
			return true, s.failWith(err)
		}
	}
	closed, err := s.sendPrepare(c.payload, true)
	if err != nil {
		return true, s.lost(err)
	}
	r, err := s.relayResults(shape{more: c.more})
	if err != nil {
		return true, s.lost(err)
	}
	if r.err == nil {
		s.named[statement.FoldName(c.what.Name)] = p
	}
	return r.err != nil, closed()
}

// source returns the text that PREPARE or EXECUTE IMMEDIATE is about, and the call with that text in it: an expression may
// have another value the next time.
func (s *session) source(c call) (call, string, error) {
	if c.what.Expression == "" {
		return c, c.what.Text, nil
	}
	if statement.MentionsWord(c.what.Expression, s.dialect, "SELECT") {
		verb := c.what.Verb
		if verb == "PREPARE" {
			verb = "PREPARE..FROM"
		}
		return c, "", &wire.Error{Code: codeNoSubquery, State: "42000", Message: verb + " does not support subqueries or stored functions"}
	}
	value, err := s.evaluate(c.what.Expression)
	if err != nil {
		return c, "", err
	}
	if value == "NULL" {
		return c, "", syntaxError(&statement.Statement{Near: "NULL", Line: 1})
	}
	text := s.valueRead
	if s.dialect.NoBackslashEscapes {
		value = "'" + strings.ReplaceAll(text, "'", "''") + "'"
	} else {
		value = literal(text)
	}
	at := c.what.Behind
	what := c.what
	c = s.textCall(c.text[:at]+value+c.text[at+len(what.Expression):], c.more)
	c.what = what
	return c, text, nil
}

// executeNamed executes EXECUTE and EXECUTE IMMEDIATE as what was prepared.
func (s *session) executeNamed(c call) (bool, error) {
	if c.what.Name == "" {
		c, text, err := s.source(c)
		if err != nil {
			return true, s.failWith(err)
		}
		p := s.newPrepared(text)
		if p.text != text {
			what := c.what
			c = s.textCall(c.text[:what.Inner]+"EXECUTE IMMEDIATE "+s.literal(p.text)+" "+what.Using, c.more)
			c.what = what
		}
		return s.dispatchPrepared(s.settled(p, c), c)
	}
	p := s.named[statement.FoldName(c.what.Name)]
	if p == nil { // should the server know one nevertheless, nobody has looked at it
		s.fail(unknownPrepared(c.what.Name, "EXECUTE"))
		return true, nil
	}
	return s.dispatchPrepared(s.settled(p, c), c)
}

// settled is p with what SET STATEMENT says before EXECUTE, where p is executed by this node: the server is not told EXECUTE then.
func (s *session) settled(p *prepared, c call) *prepared {
	if c.what.Settings == "" || p.what.Kind != statement.DDL && p.what.Kind != statement.CreateSelect {
		return p
	}
	return s.newPrepared(c.text[:c.what.Inner] + p.text)
}

// kill executes KILL. Who is killed may wait for its next command, and would not notice by itself.
func (s *session) kill(c call) (bool, error) {
	if c.what.Expression != "" {
		value, err := s.evaluate(c.what.Expression)
		if err != nil {
			return true, s.failWith(err)
		}
		target, err := strconv.ParseUint(strings.Trim(value, "'"), 10, 64)
		if err != nil {
			target = 0 // nobody
		}
		what := c.what
		c = s.textCall(c.text[:what.Behind]+strconv.FormatUint(target, 10), c.more)
	}
	failed, err := s.direct(c)
	if failed || err != nil || c.what.Target == 0 || c.what.Target == s.id {
		return failed, err
	}
	s.server.interrupt(c.what.Target)
	if !c.what.QueryOnly {
		s.server.hangUp(c.what.Target)
	}
	return false, nil
}

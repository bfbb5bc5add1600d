package mysql

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	appliers "github.com/nexus-replication/nexus/appliers/mysql"
	"github.com/nexus-replication/nexus/proxy/mysql/statement"
	"github.com/nexus-replication/nexus/proxy/mysql/wire"
)

// Global variables go through the log, so that all servers have them, after a change of leader and after a restart too. See
// statement.GlobalRefusal for those that may be set.

// spareConnections are for the node itself, and for administrators, beside those of clients.
const spareConnections = 20

// setMixed executes SET of which a part is about global variables. ok is false where none is.
func (s *session) setMixed(c call) (ok, failed bool, err error) {
	var own []statement.Assignment
	globals := 0
	for _, a := range c.what.Assignments {
		if a.Global {
			globals++
			continue
		}
		own = append(own, a)
	}
	if globals == 0 {
		return false, false, nil
	}
	if failed, err := s.beforeSet(own); failed || err != nil {
		return true, failed, err
	}
	if err := s.maySetGlobal(); err != nil {
		return true, true, s.failWith(err)
	}
	var warnings []appliers.Warning
	for i := range c.what.Assignments {
		a := &c.what.Assignments[i]
		if !a.Global {
			err = s.ask("SET " + assignment(a))
		} else {
			err = s.setGlobal(a)
			warnings = append(warnings, s.facts.warnings...)
		}
		if err != nil {
			return true, true, s.failWith(err)
		}
	}
	s.facts.warnings = warnings
	if len(own) == 0 {
		return true, false, s.ok(c.more)
	}
	return true, false, errors.Join(s.afterSet(own), s.ok(c.more))
}

// assignment is an assignment of the session, as SET takes it.
func assignment(a *statement.Assignment) string {
	switch {
	case a.User:
		return "@" + quoteName(a.Name) + "=" + a.Value
	case a.Name == "names":
		return "NAMES " + a.Value
	case a.Name == "charset":
		return "CHARACTER SET " + a.Value
	case a.Name == "role":
		return "ROLE " + a.Value
	}
	return "SESSION " + quoteName(a.Name) + "=" + a.Value
}

// maySetGlobal refuses an account without the privilege.
func (s *session) maySetGlobal() error {
	row, err := s.row("SELECT COUNT(*) FROM information_schema.user_privileges WHERE privilege_type='SUPER'" +
		" AND grantee=CONCAT('''',SUBSTRING_INDEX(CURRENT_USER(),'@',1),'''@''',SUBSTRING_INDEX(CURRENT_USER(),'@',-1),'''')")
	if err != nil {
		return err
	}
	if row[0] == "0" {
		return &wire.Error{Code: 1227, State: "42000", Message: "Access denied; you need (at least one of) the SUPER privilege(s) for this operation"}
	}
	return nil
}

// setGlobal sets one variable on all servers.
func (s *session) setGlobal(a *statement.Assignment) error {
	value, err := s.globalValue(a.Value)
	if err != nil {
		return err
	}
	if a.Name == "event_scheduler" {
		return s.setScheduler(value)
	}
	if a.Name == "max_allowed_packet" {
		return s.setPacketLimit(value)
	}
	if reason := s.globalRefusal(a.Name, value); reason != "" {
		if err := s.nativeRefusal(a.Name); err != nil {
			return err
		}
		s.facts.warnings = nil
		if is, err := s.isGlobal(a.Name, value); is || err != nil {
			return err
		}
		return refused("SET GLOBAL %s is refused: %s", a.Name, reason)
	}
	tried, err := s.tryValue(a.Name, value)
	if err != nil {
		return err
	}
	if a.Name == "system_versioning_asof" && strings.HasPrefix(value, "'") { // a time in the time zone of the session that sets it
		row, err := s.row("SELECT IFNULL(CONVERT_TZ(" + s.literal(strings.Trim(value, "'")) + ", @@time_zone, '+00:00'),'')")
		if err != nil {
			return err
		}
		if row[0] != "" && !strings.HasPrefix(value[1:], row[0]) {
			value = "'" + row[0] + "'"
		}
	}
	ctx, cancel := s.context(s.server.cfg.Timeout)
	defer cancel()
	outcome, err := s.server.node.Propose(ctx, [][]byte{appliers.EncodeVariable(s.epoch, a.Name, value, tried)})
	if err != nil {
		e := commitError(err)
		e.Message = strings.ReplaceAll(e.Message, "the transaction", "the variable")
		return e
	}
	s.facts.warnings = nil
	return s.schemaReply(outcome.Replies[0].Data, "the variable was not set")
}

// setScheduler answers who wants events to be executed, or not: they are, by this node.
func (s *session) setScheduler(value string) error {
	s.facts.warnings = nil
	on, ok := (&statement.Assignment{Value: value}).Bool()
	switch {
	case !ok && !strings.EqualFold(value, "DEFAULT"):
		return &wire.Error{Code: codeWrongValue, State: "42000", Message: "Variable 'event_scheduler' can't be set to the value of '" + strings.Trim(value, "'") + "'"}
	case !on:
		s.facts.warnings = []appliers.Warning{{Level: "Note", Code: codeUnknown, Message: "Nexus executes events itself, whatever event_scheduler says; to keep one from it, say ALTER EVENT ... DISABLE"}}
	}
	return nil
}

// codeWrongValue is for a value that a variable cannot have.
const codeWrongValue = 1231

// setPacketLimit answers who asks for larger packets: there is enough for all but the largest. The limit is the same on all
// servers, which read the binary log by it.
func (s *session) setPacketLimit(value string) error {
	s.facts.warnings = nil
	row, err := s.row("SELECT @@global.max_allowed_packet")
	if err != nil {
		return err
	}
	limit, err := strconv.ParseUint(row[0], 10, 64)
	if err != nil {
		return fmt.Errorf("max_allowed_packet of the server: %w", err)
	}
	if wanted, err := strconv.ParseUint(value, 10, 64); err == nil && wanted <= limit || strings.EqualFold(value, "DEFAULT") {
		return nil
	}
	s.facts.warnings = []appliers.Warning{{Level: "Note", Code: codeUnknown, Message: "Nexus keeps max_allowed_packet as it is: " + row[0]}}
	return nil
}

// tryValue lets the server look at a value, where the variable is one of sessions too: it is set for no longer than a statement
// takes. The error is the server's own.
func (s *session) tryValue(name, value string) (tried bool, err error) {
	if strings.EqualFold(value, "DEFAULT") { // not of SET STATEMENT
		return false, nil
	}
	if s.dialect.NoBackslashEscapes && strings.Contains(value, `\`) {
		return false, nil
	}
	err = s.ask("SET STATEMENT " + quoteName(name) + "=" + value + " FOR DO 0")
	var server *wire.Error
	if !errors.As(err, &server) {
		return err == nil, err
	}
	switch server.Code {
	case codeGlobalVariable, codeSessionReadOnly, codeNotForStatement, codeSyntax:
		return false, nil // not a variable of sessions, or not one of single statements
	}
	return false, server
}

const (
	codeGlobalVariable  = 1229
	codeSessionReadOnly = 1621
	codeNotForStatement = 1971
)

// globalRefusal says why a variable must not have a value.
func (s *session) globalRefusal(name, value string) string {
	if name == "read_only" && isOff(value) || name == "log_bin_trust_function_creators" && isOn(value) {
		return "" // as it is
	}
	if reason := statement.GlobalRefusal(name); reason != "" {
		return reason
	}
	switch name {
	case "max_connections":
		if strings.HasPrefix(value, "'") {
			break // which the server refuses in its own words
		}
		if n, err := strconv.ParseUint(value, 10, 64); err != nil || n < uint64(s.server.cfg.MaxConnections+spareConnections) {
			return fmt.Sprintf("this node serves %d clients (-maxConnections) and needs %d more connections itself", s.server.cfg.MaxConnections, spareConnections)
		}
	case "tx_isolation", "transaction_isolation":
		if !strings.HasPrefix(value, "'") || setsSerializable([]statement.Assignment{{Name: name, Value: value}}) {
			return "sessions of -readOnlyPort would lock rows; set it for the session"
		}
	}
	return ""
}

func isOn(value string) bool {
	on, ok := (&statement.Assignment{Value: value}).Bool()
	return ok && on
}

func isOff(value string) bool {
	on, ok := (&statement.Assignment{Value: value}).Bool()
	return ok && !on
}

// isGlobal reports whether a global variable has a value already.
func (s *session) isGlobal(name, value string) (bool, error) {
	row, err := s.row("SELECT @@global." + quoteName(name))
	var server *wire.Error
	if errors.As(err, &server) {
		return false, nil // it cannot be told
	}
	if err != nil {
		return false, err
	}
	return strings.EqualFold(row[0], strings.Trim(value, "'")) || row[0] == "1" && isOn(value) || row[0] == "0" && isOff(value), nil
}

// nativeRefusal is what the server itself would answer who wants to set the variable; nil if it would take it.
func (s *session) nativeRefusal(name string) error {
	row, err := s.row("SELECT MAX(read_only='YES'), MAX(variable_scope='SESSION ONLY'), COUNT(*) FROM information_schema.system_variables WHERE variable_name=" + s.literal(name))
	switch {
	case err != nil:
		return err
	case row[2] == "0":
		return &wire.Error{Code: 1193, State: "HY000", Message: "Unknown system variable '" + name + "'"}
	case row[0] == "1":
		return &wire.Error{Code: 1238, State: "HY000", Message: "Variable '" + name + "' is a read only variable"}
	case row[1] == "1":
		return &wire.Error{Code: 1228, State: "HY000", Message: "Variable '" + name + "' is a SESSION variable and can't be used with SET GLOBAL"}
	}
	return nil
}

// plainValue is one that means the same in every session.
var plainValue = regexp.MustCompile(`^(?:[0-9]*[A-Za-z_][A-Za-z0-9_]*|-?[0-9]+(?:\.[0-9]+)?)$`)

// globalValue is the value of an expression, as a literal.
func (s *session) globalValue(expression string) (string, error) {
	if plainValue.MatchString(expression) {
		return expression, nil
	}
	return s.evaluate(expression)
}

// evaluate asks for the value of an expression, and returns it as a literal in the default sql_mode.
func (s *session) evaluate(expression string) (string, error) {
	text := "SELECT " + expression + ", NULL"
	if what := statement.Classify(text, s.dialect); what.Kind == statement.Refused {
		return "", refused("%s", what.Reason)
	} else if what.Kind != statement.Read {
		return "", refused("it is no expression")
	}
	ask := s.row
	if strings.Contains(strings.ToLower(expression), "character_set_results") { // which is another one in a node's own question
		ask = s.tryRow
	}
	row, err := ask(text)
	if err != nil {
		return "", err
	}
	if len(row) != 2 {
		return "", &wire.Error{Code: 1064, State: "42000", Message: "You have an error in your SQL syntax near '" + expression + "'"}
	}
	s.valueRead = row[0]
	switch {
	case s.rowNull:
		return "NULL", nil
	case s.rowNumber:
		return row[0], nil
	}
	return literal(row[0]), nil
}

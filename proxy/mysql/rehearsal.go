package mysql

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/nexus-replication/nexus/proxy/mysql/statement"
	"github.com/nexus-replication/nexus/proxy/mysql/wire"
)

// A schema change is executed by the node's own account on each server, so whether the client may ask for it has to be known
// before. The server says so itself: the client's session says the statement while it holds a lock of another table, so that
// it is refused in any case, but for that reason only after the privileges were looked at. Nothing is executed, and nothing can
// be, whatever dies meanwhile: the lock is the session's own.

const (
	rehearsalLock = "LOCK TABLES nexus.rehearsal READ"

	codeNotLocked     = 1100 // the table was not locked with LOCK TABLES
	codeActiveLocks   = 1192 // not while there are locked tables
	codeNotAllowed    = 1227
	codeRoutineDenied = 1370
	codeNoAdmin       = 1698
)

// rehearse returns the error with which the server would refuse c, a schema change that will be executed as text, to the client.
func (s *session) rehearse(c call, text string) error {
	if err := s.mayDefine(c.what.Definer); err != nil { // of a view or trigger the server looks at this too late
		return err
	}
	switch {
	case c.what.Verb == "CREATE VIEW", c.what.Verb == "ALTER VIEW":
		// No session with locked tables gets to it.
		return s.parse(append([]byte{wire.ComStmtPrepare}, text...), true)
	case strings.HasSuffix(c.what.Verb, " SERVER"):
		return s.rehearseServer()
	case len(c.what.Roles) > 0:
		if err := s.mayGive(c.what.Roles); err != nil {
			return err
		}
	case c.what.Verb == "DROP FUNCTION": // looks for one of a plugin first, and at privileges later
		var server *wire.Error
		err := s.rehearseLocked(&statement.Statement{}, "ALTER FUNCTION "+c.what.Name+" COMMENT ''")
		if err != nil && (!errors.As(err, &server) || server.Code == codeRoutineDenied) {
			return err
		}
	}
	return s.rehearseLocked(&c.what, text)
}

// codeNoServer is for who drops a server that CREATE SERVER has not made.
const codeNoServer = 1477

// rehearseServer asks for the privilege of CREATE SERVER and its like by one that is not there: of one that is there, DROP SERVER
// takes what the server has in memory away, before it gets to the lock.
func (s *session) rehearseServer() error {
	err := s.rehearseLocked(&statement.Statement{}, "DROP SERVER nexus_"+newTag())
	var server *wire.Error
	if errors.As(err, &server) && server.Code == codeNoServer {
		return nil
	}
	return err
}

// rehearseLocked says text under a lock.
func (s *session) rehearseLocked(what *statement.Statement, text string) error {
	before, behind := []string{rehearsalLock, openSession}, []string{"UNLOCK TABLES"}
	if what.Engine != "" { // its table does not get it
		row, err := s.row("SELECT @@sql_mode, @@innodb_strict_mode")
		if err != nil {
			return err
		}
		before = append(before, "SET SESSION innodb_strict_mode=0, sql_mode="+literal(without(row[0], "NO_ENGINE_SUBSTITUTION")))
		behind = append(behind, "SET SESSION innodb_strict_mode="+row[1]+", sql_mode="+literal(row[0]))
	}
	executed := false
	err := s.ask(before...)
	if err == nil {
		executed, err = s.try(text)
	}
	var server *wire.Error
	if err != nil && !errors.As(err, &server) {
		return err // of the connection
	}
	if err := s.shut(behind...); err != nil {
		return err
	}
	if server != nil && (server.Code != codeNotLocked || s.locked == writeLock && what.ChangesAccounts()) && server.Code != codeActiveLocks {
		return server
	}
	if executed && len(what.Tables) > 0 { // which the client may need no privilege for
		return refused("%s is refused: the session has a temporary table of that name; drop that, or connect again", what.Verb)
	}
	return nil
}

// try says text and returns the error that the server answers, without its rows. executed says that it answered with OK.
func (s *session) try(text string) (executed bool, err error) {
	if err := s.backend.Query(text); err != nil {
		return false, err
	}
	if err := s.backend.Flush(); err != nil {
		return false, err
	}
	p, err := s.backend.ReadPacket()
	if err != nil {
		return false, err
	}
	if len(p) > 0 && p[0] == wire.HeaderOK {
		s.note(p)
		return true, nil
	}
	_, err = s.readRowBehind(p)
	return false, err
}

// mayGive refuses GRANT and REVOKE of roles to who has none of them to give, which the server looks at last.
func (s *session) mayGive(roles []string) error {
	names := make([]string, 0, len(roles))
	distinct := make(map[string]bool)
	for _, role := range roles {
		if !distinct[role] {
			distinct[role] = true
			names = append(names, s.literal(role))
		}
	}
	row, err := s.row("SELECT (SELECT COUNT(DISTINCT role_name) FROM information_schema.applicable_roles WHERE is_grantable='YES' AND role_name IN (" + strings.Join(names, ",") + "))," +
		" (SELECT COUNT(*) FROM information_schema.user_privileges WHERE privilege_type='SUPER' AND " + ownGrantee + "), CURRENT_USER()")
	if err != nil {
		return err
	}
	if row[0] == fmt.Sprint(len(names)) || row[1] != "0" {
		return nil
	}
	name, host := splitAccount(row[2])
	return &wire.Error{Code: codeNoAdmin, State: "28000", Message: fmt.Sprintf("Access denied for user '%s'@'%s'", name, host)}
}

// mayDefine refuses what has another account's privileges to who may not say so.
func (s *session) mayDefine(d *statement.Definer) error {
	if d == nil || d.Current {
		return nil
	}
	row, err := s.row("SELECT CURRENT_USER(), (SELECT COUNT(*) FROM information_schema.user_privileges WHERE privilege_type IN ('SUPER','SET USER') AND " + ownGrantee + ")")
	if err != nil {
		return err
	}
	if name, host := splitAccount(row[0]); row[1] != "0" || d.Name == name && (d.Host == host || d.Host == "" && host == "%") {
		return nil
	}
	return &wire.Error{Code: codeNotAllowed, State: "42000", Message: "Access denied; you need (at least one of) the SUPER, SET USER privilege(s) for this operation"}
}

// ownRoles lets the account of a node give roles, which no other one does for it: each server has one of its own, that no snapshot
// has brought anything for.
func ownRoles(roles []string) []string {
	if len(roles) == 0 {
		return nil
	}
	var texts []string
	for _, role := range roles {
		texts = append(texts, "REPLACE INTO mysql.roles_mapping (Host, User, Role, Admin_option) SELECT SUBSTRING_INDEX(CURRENT_USER(),'@',-1), SUBSTRING_INDEX(CURRENT_USER(),'@',1), User, 'Y'"+
			" FROM mysql.global_priv WHERE Host='' AND User="+literal(role))
	}
	return append(texts, "FLUSH PRIVILEGES")
}

// withRole makes the role that the client has set the one that is meant by CURRENT_ROLE: the account that executes the statement has another one, or none.
func (s *session) withRole(c call) (call, error) {
	if !c.what.ChangesAccounts() || c.what.Verb == "CREATE USER" || !statement.MentionsWord(c.text, s.dialect, "CURRENT_ROLE") {
		return c, nil
	}
	row, err := s.row("SELECT IFNULL(HEX(CURRENT_ROLE()),''), @@character_set_client")
	if err != nil {
		return c, err
	}
	role, err := hex.DecodeString(row[0])
	switch {
	case err != nil:
		return c, fmt.Errorf("the role of the session: %w", err)
	case len(role) == 0:
		return c, &wire.Error{Code: 1959, State: "OP000", Message: "Invalid role specification `NONE`"}
	case !isASCII(string(role)) && !strings.HasPrefix(row[1], "utf8"):
		return c, refused("CURRENT_ROLE is refused in this character set: name the role, or say SET NAMES utf8mb4")
	}
	c.text = c.what.AsRole(c.text, s.dialect, quoteName(string(role)))
	if statement.MentionsWord(c.text, s.dialect, "CURRENT_ROLE") {
		return c, refused("CURRENT_ROLE is refused here: name the role")
	}
	c.what = statement.Classify(c.text, s.dialect)
	return c, nil
}

// asClient makes the client, not the node's account, who has a new role to give, and who is meant by CURRENT_USER, by a password
// and by a default role of nobody else.
func (s *session) asClient(c call, text, user string) string {
	name, host := splitAccount(user)
	account := quoteName(name) + "@" + quoteName(host)
	if c.what.Verb == "CREATE ROLE" && c.what.Behind > 0 && !s.server.backend.IsOwnAccount(name) {
		text = text[:c.what.Behind] + " WITH ADMIN " + account + text[c.what.Behind:]
	}
	return c.what.AsAccount(text, s.dialect, account)
}

package mysql

import (
	"regexp"
	"slices"
	"strings"

	"github.com/nexus-replication/nexus/proxy/mysql/statement"
	"github.com/nexus-replication/nexus/proxy/mysql/wire"
)

// Tables of the database mysql have no transactions: rows that a client wrote there would be in those of one server alone.

// initDatabase answers COM_INIT_DB.
func (s *session) initDatabase(payload []byte) error {
	name := string(payload[1:])
	if err := s.send(payload); err != nil {
		return s.lost(err)
	}
	p, err := s.backend.ReadPacket()
	if err != nil {
		return s.lost(err)
	}
	if len(p) > 0 && p[0] == wire.HeaderOK {
		s.system = isSystem(name)
		s.forgetNames()
	}
	return s.client.WritePacket(p)
}

// use executes USE.
func (s *session) use(c call) (bool, error) {
	failed, err := s.direct(c)
	if !failed && err == nil {
		s.system = isSystem(c.what.Name)
		s.forgetNames()
	}
	return failed, err
}

func isSystem(database string) bool { return strings.EqualFold(database, "mysql") }

var (
	systemTable     = regexp.MustCompile("(?is)\\b(?:TABLES?|TO|ON)\\s+(?:IF\\s+(?:NOT\\s+)?EXISTS\\s+)?`?mysql`?\\s*\\.")
	systemProgram   = regexp.MustCompile("(?is)\\b(?:PROCEDURE|FUNCTION|TRIGGER|VIEW|SEQUENCE|EVENT|PACKAGE|BODY)\\s+(?:IF\\s+(?:NOT\\s+)?EXISTS\\s+)?`?mysql`?\\s*\\.")
	systemQualifier = regexp.MustCompile("(?i)(?:^| )`?mysql`? \\. ")
	anyProgram      = regexp.MustCompile("(?is)\\b(?:PROCEDURE|FUNCTION|TRIGGER|VIEW|SEQUENCE|EVENT|PACKAGE|BODY)\\s+(?:IF\\s+(?:NOT\\s+)?EXISTS\\s+)?(?:`(?:[^`]|``)+`|[\\w$]+)\\s*\\.")
	replaceDatabase = regexp.MustCompile("(?i)\\bCREATE OR REPLACE (?:DATABASE|SCHEMA) (?:IF NOT EXISTS )?`?(mysql|nexus)(?:`| |$)")
	nameSystem      = regexp.MustCompile("(?i)\\bCREATE (?:DATABASE|SCHEMA) (?:IF NOT EXISTS )?`?(mysql)(?:`| |$)")
	dropSystem      = regexp.MustCompile("(?is)\\b(?:DATABASE|SCHEMA)\\s+(?:IF\\s+EXISTS\\s+)?`?mysql`?\\s*;?\\s*$")
)

// changesSystem refuses what makes, changes or removes tables of the database mysql, as a dump of all databases does. It looks at
// the statement as statement.Plain returns it.
func changesSystem(verb, plain, current string) *wire.Error {
	if strings.HasSuffix(verb, " VIEW") && verb != "DROP VIEW" && !systemProgram.MatchString(plain) && writableSystemView(plain, current) {
		return refused("%s of tables of the database mysql is refused, since who writes through it would write them, and they are each server's own: "+
			"say ALGORITHM=TEMPTABLE, with which it can only be read", verb)
	}
	switch verb {
	case "CREATE TABLE", "DROP TABLE", "DROP TABLES", "ALTER TABLE", "RENAME", "TRUNCATE", "CREATE INDEX", "DROP INDEX":
		listed := (strings.HasPrefix(verb, "DROP TABLE") || verb == "RENAME") && systemQualifier.MatchString(plain)
		if !listed && !systemTable.MatchString(plain) && (!isSystem(current) || ownQualifier.MatchString(plain)) {
			return nil
		}
	case "CREATE PROCEDURE", "CREATE FUNCTION", "CREATE TRIGGER", "CREATE VIEW", "CREATE SEQUENCE", "CREATE EVENT", "CREATE PACKAGE":
		// They would not be in snapshots; and what a program there does not name with its database is of mysql.
		if !systemProgram.MatchString(plain) && (!isSystem(current) || anyProgram.MatchString(plain)) {
			return nil
		}
	case "DROP DATABASE", "DROP SCHEMA":
		if !dropSystem.MatchString(plain) {
			return nil
		}
	case "CREATE DATABASE", "CREATE SCHEMA":
		if found := nameSystem.FindStringSubmatch(plain); found == nil || found[1] == "mysql" { // which is there; with other letters it could not be dropped
			return nil
		}
	default:
		return nil
	}
	return refused("%s is refused for the database mysql, whose tables are each server's own: leave it out of a dump (--ignore-database=mysql)", verb)
}

// onlyRead begins a view that cannot be written through.
var onlyRead = regexp.MustCompile("(?i)^(?:CREATE|ALTER) (?:OR REPLACE )?ALGORITHM = TEMPTABLE ")

// writableSystemView reports whether a view may be one of tables of the database mysql through which they could be written.
func writableSystemView(plain, current string) bool {
	return (isSystem(current) || systemQualifier.MatchString(plain)) && !onlyRead.MatchString(plain)
}

// ownQualifier matches a table that is named with its database.
var ownQualifier = regexp.MustCompile("(?is)\\b(?:TABLES?|ON)\\s+(?:IF\\s+(?:NOT\\s+)?EXISTS\\s+)?(?:`(?:[^`]|``)+`|\\w+)\\s*\\.")

// systemWrites begin statements that may write a table.
var systemWrites = []string{"INSERT", "REPLACE", "UPDATE", "DELETE", "LOAD", "TRUNCATE", "ANALYZE", "EXPLAIN"}

// writesSystem refuses what may write a table of the database mysql that is not named with it.
func (s *session) writesSystem(what *statement.Statement) *wire.Error {
	if !s.system {
		return nil
	}
	block := what.Kind == statement.Write && what.Calls && what.Verb != "CALL" // whatever label it begins with
	switch verb := what.Verb; {
	case block, slices.Contains(systemWrites, verb):
		if what.Kind == statement.Begin || what.Kind == statement.Read || what.Kind == statement.LockingRead {
			return nil
		}
		return refused("%s is refused in the database mysql, whose tables are each server's own: use another database, and CREATE USER, GRANT, SET PASSWORD "+
			"and the like", what.Verb)
	}
	return nil
}

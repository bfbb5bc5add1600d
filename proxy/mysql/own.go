package mysql

import (
	"regexp"
	"strings"
	"unicode"

	appliers "github.com/nexus-replication/nexus/appliers/mysql"
	"github.com/nexus-replication/nexus/proxy/mysql/statement"
	"github.com/nexus-replication/nexus/proxy/mysql/wire"
)

// ownTables are those that Nexus keeps for itself. The runs of events, which may be read in programs, are not among them.
const ownTables = appliers.Bookkeeping

// What follows looks at statements as statement.Plain returns them.
var (
	// They are named with their schema; in a list of tables; and behind a word that a table follows.
	ownQualified = regexp.MustCompile("(?i)\\bnexus`? \\. `?(?:" + ownTables + ")\\b")
	ownListed    = regexp.MustCompile("(?i)\\b(?:" + ownTables + ")\\b")
	ownTable     = regexp.MustCompile("(?i)\\b(?:TABLE|ON|REFERENCES|FROM|JOIN|INTO|UPDATE) (?:IF (?:NOT )?EXISTS )?`?(?:" + ownTables + ")\\b")
	dropOwn      = regexp.MustCompile("(?i)\\b(?:DATABASE|SCHEMA) (?:IF EXISTS )?`?nexus`?(?: ;)*$")
	// eventRuns are not of Nexus alone to read.
	eventRuns     = regexp.MustCompile("(?i)\\bnexus`? \\. `?event_run\\b")
	eventRunsHere = regexp.MustCompile(`(?i)\bevent_run\b`)
	// ownProcedure is a procedure that a node has made for itself on its own server. A letter that is not of ASCII may be one of these to the server.
	ownProcedure  = regexp.MustCompile("(?:" + mayBe(appliers.EventProcedure) + "|" + mayBe(appliers.StandInProcedure) + `)[0-9A-Fa-f\x{80}-\x{10FFFF}]{16}`)
	triggerOnRuns = regexp.MustCompile("(?i)\\bON (`?nexus`? \\. )?`?event_run\\b")
)

// refuseSchema refuses what would harm Nexus's own tables, and those of the database mysql, however their names are written.
func (s *session) refuseSchema(c call, current string, d statement.Dialect) *wire.Error {
	if s.local && c.text == eventTable {
		return nil
	}
	return refuseSchema(c.what.Verb, statement.Plain(c.text, d), current)
}

func refuseSchema(verb, plain, current string) *wire.Error {
	if dropOwn.MatchString(plain) && strings.HasPrefix(verb, "DROP") {
		return refused("DROP DATABASE nexus is refused: Nexus keeps the position in the log there; drop the tables of yours")
	}
	if e := changesSystem(verb, plain, current); e != nil {
		return e
	}
	here := strings.EqualFold(current, "nexus")
	if ownProcedure.MatchString(plain) {
		return refused("%s is refused: procedures whose names begin with %s or %s are of a node's own server alone", verb, appliers.EventProcedure, appliers.StandInProcedure)
	}
	own := ownQualified.MatchString(plain)
	switch first, _, _ := strings.Cut(verb, " "); {
	case !here:
	case first == "DROP", first == "TRUNCATE", first == "RENAME":
		own = own || ownListed.MatchString(plain)
	default:
		own = own || ownTable.MatchString(plain)
	}
	if own || changesRuns(verb, plain, here) {
		return refused("%s is refused: nexus.position, applied, schema_change, address, global_variable, program_answer and event_run are Nexus's own", verb)
	}
	return nil
}

// mayBe is an expression for what the server may take for an identifier.
func mayBe(identifier string) string {
	var b strings.Builder
	for _, letter := range identifier {
		b.WriteString("[" + string(unicode.ToUpper(letter)) + string(letter) + `\x{80}-\x{10FFFF}]`)
	}
	return b.String()
}

// changesRuns reports whether a statement is about the table of the runs of events, rather than reading it.
func changesRuns(verb, plain string, here bool) bool {
	switch verb {
	case "CREATE TRIGGER":
		return triggerOnRuns.MatchString(plain) && (here || eventRuns.MatchString(plain))
	case "CREATE TABLE", "DROP TABLE", "DROP TABLES", "ALTER TABLE", "RENAME", "TRUNCATE", "CREATE INDEX", "DROP INDEX":
		return eventRuns.MatchString(plain) || here && eventRunsHere.MatchString(plain)
	}
	return false
}

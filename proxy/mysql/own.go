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
	// ownProcedure is a procedure that a node has made for itself on its own server.
	ownProcedure  = regexp.MustCompile("(?:" + mayBe(appliers.EventProcedure) + "|" + mayBe(appliers.StandInProcedure) + ")(?:[0-9A-Fa-f]|" + otherLetter + "){16}")
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
	if found := replaceDatabase.FindStringSubmatch(plain); found != nil {
		return refused("%s is refused for the database %s, which every server has for itself", verb, found[1])
	}
	if e := changesSystem(verb, plain, current); e != nil {
		return e
	}
	here := strings.EqualFold(current, "nexus")
	if ownProcedure.MatchString(plain) {
		return refusedOwn(verb)
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
		return refused("%s is refused: nexus.position, applied, schema_change, address, global_variable, program_answer, rehearsal and event_run are Nexus's own", verb)
	}
	return nil
}

// otherLetter is one that is not of ASCII, and may be one of these to the server, in any character set: up to four characters are read of it here.
const otherLetter = `[\x{80}-\x{10FFFF}]{1,4}`

// mayBe is an expression for what the server may take for an identifier.
func mayBe(identifier string) string {
	var b strings.Builder
	for _, letter := range identifier {
		if !unicode.IsLetter(letter) {
			b.WriteRune(letter)
			continue
		}
		b.WriteString("(?:[" + string(unicode.ToUpper(letter)) + string(letter) + "]|" + otherLetter + ")")
	}
	return b.String()
}

// refuseOwnCall refuses what may call a procedure that a node has made for itself. Whoever called it in a transaction would do nothing, but keep it
// from being dropped.
func (s *session) refuseOwnCall(verb, text string, d statement.Dialect) *wire.Error {
	if s.local || isASCII(text) && !strings.Contains(strings.ToLower(text), "nexus_") || !ownProcedure.MatchString(statement.Plain(text, d)) {
		return nil
	}
	return refusedOwn(verb)
}

// hidesOwnProcedure returns what leaves those out of SHOW PROCEDURE STATUS: who makes a dump asks for the text of each, and may come too late.
func hidesOwnProcedure(binary bool) func(row []byte) []byte {
	head := 0
	if binary {
		head = 3 // a zero and a bit for each of up to 14 columns
	}
	return func(row []byte) []byte {
		if len(row) < head {
			return row
		}
		_, _, rest, ok := wire.Text(row[head:]) // of its database
		if !ok {
			return row
		}
		if name, _, _, ok := wire.Text(rest); ok && appliers.IsOwnProcedure(string(name)) {
			return nil
		}
		return row
	}
}

func refusedOwn(verb string) *wire.Error {
	return refused("%s is refused: procedures whose names begin with %s or %s are of a node's own server alone", verb, appliers.EventProcedure, appliers.StandInProcedure)
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

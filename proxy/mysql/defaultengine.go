package mysql

import (
	"regexp"
	"strings"

	appliers "github.com/nexus-replication/nexus/appliers/mysql"
	"github.com/nexus-replication/nexus/proxy/mysql/statement"
)

// likeAnother finds CREATE TABLE ... LIKE, also with the rest in parentheses, in a statement as statement.Plain returns it.
var likeAnother = regexp.MustCompile(`(?i)^[^(]*(?:\( )?\bLIKE\b`)

// noteDefaultEngine notes that a table which CREATE TABLE has made, without an engine, is not of the default engine of the session.
// The session that has made it does not have that engine.
func (s *session) noteDefaultEngine(c call) error {
	if c.what.Verb != "CREATE TABLE" || c.what.Engine != "" || c.what.Name == "" {
		return nil
	}
	if statement.MentionsWord(c.text, s.dialect, "ENGINE") || likeAnother.MatchString(statement.Plain(c.text, s.dialect)) {
		return nil
	}
	for _, w := range s.facts.warnings {
		if w.Code == codeTableExists {
			return nil
		}
	}
	row, err := s.row("SELECT @@default_storage_engine, @@sql_notes")
	if err != nil || strings.EqualFold(row[0], "InnoDB") || row[1] == "0" {
		return err
	}
	s.facts.warnings = append(s.facts.warnings, appliers.Warning{Level: "Note", Code: codeOtherEngine, Message: "Using storage engine InnoDB for table '" + c.what.Name + "'"})
	return nil
}

// codeTableExists is for who creates a table that is there.
const codeTableExists = 1050

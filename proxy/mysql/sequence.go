package mysql

import "github.com/nexus-replication/nexus/proxy/mysql/statement"

// A sequence has one row, which INSERT replaces: beside the transaction, for good, and of the log's business is only how far it has advanced.

// forgetNames forgets what names without a database mean, behind the change of the default one.
func (s *session) forgetNames() {
	clear(s.plain)
	clear(s.tables)
}

// maxTables are remembered as no sequences.
const maxTables = 1000

// refuseSequence refuses INSERT and REPLACE of a sequence.
func (s *session) refuseSequence(c *call) error {
	if c.what.Verb != "INSERT" && c.what.Verb != "REPLACE" || !s.server.backend.HasSequences() {
		return nil
	}
	table, changes := statement.InsertsInto(c.text, s.dialect, c.what.Inner), s.server.backend.SchemaChanges()
	if at, known := s.tables[table]; known && at == changes || table == "" {
		return nil
	}
	database, name := "DATABASE()", wholeName(table, "")
	if name[0] != "" {
		database = s.literal(name[0])
	}
	row, err := s.row("SELECT COUNT(*) FROM information_schema.tables WHERE table_type='SEQUENCE' AND table_schema=" + database + " AND table_name=" + s.literal(name[1]))
	if err != nil {
		return err
	}
	if row[0] != "0" {
		return refused("%s is refused: %s is a sequence; use ALTER SEQUENCE or SETVAL()", c.what.Verb, table)
	}
	if len(s.tables) >= maxTables {
		clear(s.tables)
	}
	s.tables[table] = changes
	return nil
}

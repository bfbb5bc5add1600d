package mysql

// A sequence has one row, which INSERT replaces: beside the transaction, for good, and of the log's business is only how far it has advanced.

// forgetNames forgets what names without a database mean, behind the change of the default one.
func (s *session) forgetNames() {
	clear(s.plain)
	clear(s.tables)
}

// maxTables are remembered as no sequences.
const maxTables = 1000

// refuseSequence refuses INSERT, REPLACE and LOAD of a sequence.
func (s *session) refuseSequence(c *call) error {
	table := c.what.Into
	if table[1] == "" || !s.server.backend.HasSequences() {
		return nil
	}
	changes := s.server.backend.SchemaChanges()
	if at, known := s.tables[table]; known && at == changes {
		return nil
	}
	found, err := s.isSequence(table)
	if err != nil {
		return err
	}
	if found {
		return refused("%s is refused: %s is a sequence; use ALTER SEQUENCE or SETVAL()", c.what.Verb, table[1])
	}
	if len(s.tables) >= maxTables {
		clear(s.tables)
	}
	s.tables[table] = changes
	return nil
}

// isSequence reports whether a table is a sequence. The client's session, for which ROW_COUNT() and the like would be others then, is asked only where
// some database has a sequence of that name.
func (s *session) isSequence(table [2]string) (bool, error) {
	const question = "SELECT COUNT(*) FROM information_schema.tables WHERE table_type='SEQUENCE' AND table_name="
	if isASCII(table[1]) { // which it is in every character set
		ctx, cancel := s.context(s.server.cfg.Timeout)
		defer cancel()
		row, err := s.server.backend.Row(ctx, question+literal(table[1]))
		if err != nil {
			return false, unavailable(err)
		}
		if len(row) == 1 && row[0] == "0" {
			return false, nil
		}
	}
	database := "DATABASE()"
	if table[0] != "" {
		database = s.literal(table[0])
	}
	row, err := s.row(question + s.literal(table[1]) + " AND table_schema=" + database)
	if err != nil {
		return false, err
	}
	return row[0] != "0", nil
}

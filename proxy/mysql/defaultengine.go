package mysql

import "strings"

// defaultEngine makes the server take the default engine of the session for what CREATE TABLE names none for: it replaces it by
// InnoDB, as it does with one that is named, and notes so.
func (s *session) defaultEngine(c call) (prelude []string, err error) {
	if c.what.Verb != "CREATE TABLE" || c.what.Engine != "" {
		return nil, nil
	}
	row, err := s.row("SELECT @@default_storage_engine, @@sql_mode")
	if err != nil {
		return nil, err
	}
	switch strings.ToUpper(row[0]) {
	case "MYISAM", "ARIA", "MEMORY", "CSV": // which every server has
		return []string{"SET SESSION default_storage_engine=" + row[0] + ", sql_mode=" + literal(without(row[1], "NO_ENGINE_SUBSTITUTION"))}, nil
	}
	return nil, nil
}

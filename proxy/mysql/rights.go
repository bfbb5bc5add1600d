package mysql

import (
	"encoding/hex"
	"fmt"
	"strings"
)

// rights are those of the session's account that are known without asking for each statement: where they are not enough, it has
// to be rehearsed. What roles add is not seen.
type rights struct {
	all     bool            // whatever there is
	schemas map[string]bool // databases of which it may do anything with tables
}

const (
	// tableRights are those of a database that schema changes of its tables want.
	tableRights  = "'SELECT','INSERT','UPDATE','DELETE','CREATE','DROP','REFERENCES','INDEX','ALTER'"
	nTableRights = 9
	// allRights are the global ones that all others want.
	allRights = tableRights + ",'RELOAD','SUPER','CREATE TEMPORARY TABLES','LOCK TABLES','EXECUTE','CREATE VIEW','SHOW VIEW','CREATE ROUTINE','ALTER ROUTINE','CREATE USER','EVENT','TRIGGER'"
	nRights   = nTableRights + 12
)

// readRights asks for the rights of the session's account.
func (s *session) readRights() (r rights, err error) {
	row, err := s.row("SELECT (SELECT COUNT(*) FROM information_schema.user_privileges WHERE is_grantable='YES' AND privilege_type IN (" + allRights + ") AND " + ownGrantee + ")," +
		" (SELECT IFNULL(GROUP_CONCAT(HEX(CONVERT(table_schema USING utf8mb4))),'') FROM (SELECT table_schema FROM information_schema.schema_privileges WHERE privilege_type IN (" + tableRights +
		") AND " + ownGrantee + fmt.Sprintf(" GROUP BY table_schema HAVING COUNT(*)=%d) s)", nTableRights))
	if err != nil {
		return r, err
	}
	r = rights{all: row[0] == fmt.Sprint(nRights), schemas: make(map[string]bool)}
	for digits := range strings.SplitSeq(row[1], ",") {
		if name, err := hex.DecodeString(digits); err == nil { // a list that was cut off is shorter
			r.schemas[strings.NewReplacer(`\_`, "_", `\%`, "%").Replace(string(name))] = true
		}
	}
	return r, nil
}

// allow refuses a schema change for which the rights are not enough.
func (r *rights) allow(verb, text, database string) error {
	if r.all {
		return nil
	}
	switch verb {
	case "CREATE TABLE", "ALTER TABLE", "DROP TABLE", "DROP TABLES", "TRUNCATE", "RENAME", "CREATE INDEX", "DROP INDEX":
		enough := true
		for schema := range schemasOf(text, database) {
			enough = enough && r.schemas[schema]
		}
		if enough {
			return nil
		}
	}
	return refused("%s is refused in a text that a procedure executes, to an account that has not all privileges, or all on the tables of the databases that it names, itself", verb)
}

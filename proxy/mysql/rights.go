package mysql

import (
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/nexus-replication/nexus/proxy/mysql/wire"
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

// rightsOf asks for the rights of an account, which is the client's if it is not a foreign one.
func (s *session) rightsOf(account string, foreign bool) (r rights, err error) {
	if !foreign {
		row, err := s.row(rightsQuery(ownGrantee))
		if err != nil {
			return r, err
		}
		r = readRights(row)
		r.all = r.all || s.local
		return r, nil
	}
	if !strings.Contains(account, "@") { // a role, which has none here
		return r, nil
	}
	user, host := splitAccount(account)
	ctx, cancel := s.context(s.server.cfg.Timeout)
	defer cancel()
	row, err := s.server.backend.Row(ctx, rightsQuery("grantee="+literal("'"+user+"'@'"+host+"'")))
	if err != nil {
		return r, unavailable(err)
	}
	return readRights(row), nil
}

func rightsQuery(ofGrantee string) string {
	return "SELECT (SELECT COUNT(*) FROM information_schema.user_privileges WHERE is_grantable='YES' AND privilege_type IN (" + allRights + ") AND " + ofGrantee + ")," +
		" (SELECT IFNULL(GROUP_CONCAT(HEX(CONVERT(table_schema USING utf8mb4))),'') FROM (SELECT table_schema FROM information_schema.schema_privileges WHERE privilege_type IN (" + tableRights +
		") AND " + ofGrantee + fmt.Sprintf(" GROUP BY table_schema HAVING COUNT(*)=%d) s)", nTableRights)
}

func readRights(row []string) rights {
	if len(row) != 2 {
		return rights{}
	}
	r := rights{all: row[0] == fmt.Sprint(nRights), schemas: make(map[string]bool)}
	for digits := range strings.SplitSeq(row[1], ",") {
		if name, err := hex.DecodeString(digits); err == nil { // a list that was cut off is shorter
			r.schemas[strings.NewReplacer(`\_`, "_", `\%`, "%").Replace(string(name))] = true
		}
	}
	return r
}

// allow refuses a schema change for which the rights are not enough.
func (r *rights) allow(verb, text, database string) *wire.Error {
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
	return refused("%s is refused in this procedure, or in a text that it executes, to an account that has not all privileges, or all on the tables of the databases that it names, itself", verb)
}

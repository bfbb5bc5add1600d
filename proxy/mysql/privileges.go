package mysql

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/nexus-replication/nexus/proxy/mysql/wire"
)

// A schema change is executed by the node's own account on each server, so whether the client may ask for it is checked
// before, by what the server tells the client about its own privileges. What the roles of an account add is not seen.

var qualifier = regexp.MustCompile("(?:`((?:[^`]|``)+)`|\\b([A-Za-z_][A-Za-z0-9_$]*))\\s*\\.\\s*(?:`|[A-Za-z_*])")

var databaseName = regexp.MustCompile("(?is)\\b(?:DATABASE|SCHEMA)\\s+(?:IF\\s+(?:NOT\\s+)?EXISTS\\s+)?(?:`((?:[^`]|``)+)`|([A-Za-z0-9_$]+))")

// privilegeFor returns the privilege that a statement beginning with verb needs; global says that it is needed everywhere.
func privilegeFor(verb string) (privilege string, global bool) {
	first, object, _ := strings.Cut(verb, " ")
	for _, word := range []string{"USER", "ROLE", "PASSWORD"} {
		if strings.Contains(object, word) {
			return "CREATE USER", true
		}
	}
	switch first {
	case "LOCK":
		return "LOCK TABLES", false
	case "FLUSH":
		return "RELOAD", true
	case "GRANT", "REVOKE", "SET":
		return "CREATE USER", true
	case "TRUNCATE":
		return "DROP", false
	case "RENAME", "OPTIMIZE", "REPAIR", "CHECK", "ANALYZE":
		return "ALTER", false
	}
	switch {
	case strings.Contains(object, "INDEX"):
		return "INDEX", false
	case strings.Contains(object, "TRIGGER"):
		return "TRIGGER", false
	case strings.Contains(object, "EVENT"):
		return "EVENT", false
	case strings.Contains(object, "PROCEDURE"), strings.Contains(object, "FUNCTION"):
		if first == "CREATE" {
			return "CREATE ROUTINE", false
		}
		return "ALTER ROUTINE", false
	case strings.Contains(object, "VIEW") && first != "DROP":
		return "CREATE VIEW", false
	}
	return first, false // CREATE, ALTER, DROP
}

// mayChange refuses a schema change for which the client has no privilege.
func (s *session) mayChange(c call) error {
	privilege, global := privilegeFor(c.what.Verb)
	row, err := s.row("SELECT (SELECT COUNT(*) FROM information_schema.user_privileges WHERE privilege_type=" + literal(privilege) +
		" AND grantee=CONCAT('''',SUBSTRING_INDEX(CURRENT_USER(),'@',1),'''@''',SUBSTRING_INDEX(CURRENT_USER(),'@',-1),'''')), IFNULL(DATABASE(),''), CURRENT_USER()")
	if err != nil {
		return err
	}
	if len(row) == 3 && row[0] != "0" {
		return nil
	}
	denied := &wire.Error{Code: codeDenied, State: "42000", Message: fmt.Sprintf("%s command denied to user %s", privilege, row[2])}
	if global {
		return denied
	}
	schemas := schemasOf(c, row[1])
	if len(schemas) == 0 {
		return denied
	}
	for schema := range schemas {
		row, err := s.row("SELECT COUNT(*) FROM information_schema.schema_privileges WHERE privilege_type=" + literal(privilege) +
			" AND " + literal(schema) + " LIKE table_schema")
		if err != nil {
			return err
		}
		if row[0] == "0" {
			return denied
		}
	}
	return nil
}

// schemasOf returns the databases that a statement is about, at least: those it names, and the default one unless it is
// about databases only.
func schemasOf(c call, current string) map[string]bool {
	schemas := make(map[string]bool)
	if found := databaseName.FindStringSubmatch(c.text); found != nil && (strings.HasSuffix(c.what.Verb, "DATABASE") || strings.HasSuffix(c.what.Verb, "SCHEMA")) {
		schemas[strings.ReplaceAll(found[1], "``", "`")+found[2]] = true
		return schemas
	}
	if strings.Contains(c.what.Verb, "VIEW") || strings.Contains(c.what.Verb, "PROCEDURE") || strings.Contains(c.what.Verb, "FUNCTION") || strings.Contains(c.what.Verb, "TRIGGER") || strings.Contains(c.what.Verb, "EVENT") {
		if d := c.what.Definer; d != nil {
			if d.Database != "" {
				current = d.Database
			}
			return map[string]bool{current: true}
		}
		// What the body reads and writes is checked by the server, as the definer's, when it is used.
		if found := qualifier.FindStringSubmatch(c.text); found != nil {
			schemas[strings.ReplaceAll(found[1], "``", "`")+found[2]] = true
		}
	} else {
		for _, found := range qualifier.FindAllStringSubmatch(c.text, -1) {
			schemas[strings.ReplaceAll(found[1], "``", "`")+found[2]] = true
		}
	}
	if current != "" {
		schemas[current] = true
	}
	return schemas
}

package mysql

import (
	"regexp"
	"strings"

	"github.com/nexus-replication/nexus/proxy/mysql/wire"
)

// ownGrantee selects, in tables of privileges, what the account of the session has itself.
const ownGrantee = "grantee=CONCAT('''',SUBSTRING_INDEX(CURRENT_USER(),'@',1),'''@''',SUBSTRING_INDEX(CURRENT_USER(),'@',-1),'''')"

var qualifier = regexp.MustCompile("(?:`((?:[^`]|``)+)`|\\b([A-Za-z_][A-Za-z0-9_$]*))\\s*\\.\\s*(?:`|[A-Za-z_*])")

// mayLock refuses LOCK TABLES and FLUSH TABLES WITH READ LOCK, which the server does not execute, to who has no privilege for
// them. What the roles of an account add is not seen.
func (s *session) mayLock(c call) error {
	privilege := "LOCK TABLES"
	if c.what.Everything {
		privilege = "RELOAD"
	}
	row, err := s.row("SELECT (SELECT COUNT(*) FROM information_schema.user_privileges WHERE privilege_type=" + literal(privilege) + " AND " + ownGrantee +
		"), IFNULL(DATABASE(),''), CURRENT_USER()")
	if err != nil || row[0] != "0" {
		return err
	}
	denied := &wire.Error{Code: codeDenied, State: "42000", Message: privilege + " command denied to user " + row[2]}
	schemas := schemasOf(c.text, row[1])
	if c.what.Everything || len(schemas) == 0 {
		return denied
	}
	for schema := range schemas {
		allowed, err := s.row("SELECT COUNT(*) FROM information_schema.schema_privileges WHERE privilege_type='LOCK TABLES' AND " + ownGrantee +
			" AND " + s.literal(schema) + " LIKE table_schema")
		if err != nil {
			return err
		}
		if allowed[0] == "0" {
			return denied
		}
	}
	return nil
}

// schemasOf returns the databases that a text is about, at least: those it names, and the default one.
func schemasOf(text, current string) map[string]bool {
	schemas := make(map[string]bool)
	for _, found := range qualifier.FindAllStringSubmatch(text, -1) {
		schemas[strings.ReplaceAll(found[1], "``", "`")+found[2]] = true
	}
	if current != "" {
		schemas[current] = true
	}
	return schemas
}

package mysql

import (
	"bytes"

	appliers "github.com/nexus-replication/nexus/appliers/mysql"
)

func showsDatabases(word string) bool { return word == "DATABASES" || word == "SCHEMAS" }

// hasOwnDatabase asks whether the account may do anything in the database nexus, or has a role that may, beyond what every account is let do
// there for Nexus itself.
const hasOwnDatabase = "SELECT CURRENT_ROLE() IS NOT NULL" +
	" OR EXISTS (SELECT 1 FROM information_schema.user_privileges WHERE privilege_type<>'USAGE' AND " + ownGrantee + ")" +
	" OR EXISTS (SELECT 1 FROM information_schema.schema_privileges WHERE 'nexus' LIKE table_schema AND " + ownGrantee + ")" +
	" OR EXISTS (SELECT 1 FROM information_schema.table_privileges WHERE table_schema='nexus' AND " + ownGrantee + ")" +
	" OR EXISTS (SELECT 1 FROM information_schema.column_privileges WHERE table_schema='nexus' AND " + ownGrantee + ")"

// keptInOwnDatabase asks whether somebody keeps anything of his own there.
const keptInOwnDatabase = "SELECT EXISTS (SELECT 1 FROM information_schema.tables WHERE table_schema='nexus' AND table_name NOT REGEXP '^(" + ownTables + "|event_run)$')" +
	" OR EXISTS (SELECT 1 FROM information_schema.routines WHERE routine_schema='nexus' AND routine_name NOT REGEXP '^(" + appliers.EventProcedure + "|" + appliers.StandInProcedure + ")')" +
	" OR EXISTS (SELECT 1 FROM information_schema.events WHERE event_schema='nexus')"

// ownDatabase is the name of the database nexus as SHOW DATABASES tells it, without the zeros that are between its letters where results are in a
// character set of more than a byte for each.
var ownDatabase = []byte("nexus")

// hidesOwnDatabase returns what leaves the database nexus out of SHOW DATABASES; nil for who has something to do there. While there is nothing but Nexus's own, that
// is nobody: a dump of all databases, say, is to be restored elsewhere.
func (s *session) hidesOwnDatabase() (func(row []byte) []byte, error) {
	ctx, cancel := s.context(s.server.cfg.Timeout)
	defer cancel()
	kept, err := s.server.backend.Row(ctx, keptInOwnDatabase)
	if err != nil {
		return nil, unavailable(err)
	}
	if len(kept) != 1 || kept[0] != "0" {
		row, err := s.row(hasOwnDatabase)
		if err != nil || row[0] != "0" {
			return nil, err
		}
	}
	return func(row []byte) []byte {
		if len(row) > 0 && bytes.Equal(bytes.ReplaceAll(row[1:], []byte{0}, nil), ownDatabase) {
			return nil
		}
		return row
	}, nil
}

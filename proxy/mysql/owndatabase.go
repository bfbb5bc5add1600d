package mysql

import "bytes"

func showsDatabases(word string) bool { return word == "DATABASES" || word == "SCHEMAS" }

// hasOwnDatabase asks whether the account may do anything in the database nexus, or has a role that may, beyond what every account is let do
// there for Nexus itself.
const hasOwnDatabase = "SELECT CURRENT_ROLE() IS NOT NULL" +
	" OR EXISTS (SELECT 1 FROM information_schema.user_privileges WHERE privilege_type<>'USAGE' AND " + ownGrantee + ")" +
	" OR EXISTS (SELECT 1 FROM information_schema.schema_privileges WHERE 'nexus' LIKE table_schema AND " + ownGrantee + ")" +
	" OR EXISTS (SELECT 1 FROM information_schema.table_privileges WHERE table_schema='nexus' AND " + ownGrantee + ")" +
	" OR EXISTS (SELECT 1 FROM information_schema.column_privileges WHERE table_schema='nexus' AND " + ownGrantee + ")"

// ownDatabaseRow is the row of the database nexus in SHOW DATABASES.
var ownDatabaseRow = []byte("\x05nexus")

// hidesOwnDatabase returns what leaves the database nexus out of SHOW DATABASES; nil for who has something to do there.
func (s *session) hidesOwnDatabase() (func(row []byte) []byte, error) {
	row, err := s.row(hasOwnDatabase)
	if err != nil || row[0] != "0" {
		return nil, err
	}
	return func(row []byte) []byte {
		if bytes.Equal(row, ownDatabaseRow) {
			return nil
		}
		return row
	}, nil
}

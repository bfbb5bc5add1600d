package mysqltest

import (
	"context"
	"database/sql"
	"errors"
	"regexp"
	"strings"

	"github.com/go-sql-driver/mysql"
)

// globals returns the global variables that can be set.
func globals(ctx context.Context, db *sql.DB) (map[string]string, error) {
	rows, err := db.QueryContext(ctx, "SELECT LOWER(variable_name), global_value FROM information_schema.system_variables WHERE read_only='NO' AND variable_scope<>'SESSION ONLY'"+
		" AND global_value IS NOT NULL AND variable_name NOT LIKE 'GTID%' AND variable_name NOT LIKE 'INNODB_MONITOR%'")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	values := make(map[string]string)
	for rows.Next() {
		var name, value string
		if err := rows.Scan(&name, &value); err != nil {
			return nil, err
		}
		values[name] = value
	}
	return values, rows.Err()
}

var number = regexp.MustCompile(`^-?[0-9]+(?:\.[0-9]+)?$`)

// codeNotSupported is that of what a node refuses.
const codeNotSupported = 1235

// setBack sets the global variables that differ from what they were. Those that cannot be set through a node cannot have been
// changed by a test either: they are of a server that leads now and did not before.
func setBack(ctx context.Context, db *sql.DB, were map[string]string) error {
	are, err := globals(ctx, db)
	if err != nil {
		return err
	}
	for name, value := range were {
		if are[name] == value {
			continue
		}
		if !number.MatchString(value) {
			value = "'" + strings.ReplaceAll(value, "'", "''") + "'"
		}
		_, err := db.ExecContext(ctx, "SET GLOBAL "+name+"="+value)
		var refused *mysql.MySQLError
		if err != nil && (!errors.As(err, &refused) || refused.Number != codeNotSupported) {
			return err
		}
	}
	return nil
}

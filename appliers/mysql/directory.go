package mysql

import (
	"context"
	"fmt"
	"regexp"
	"strings"
)

// plainDirectories are directories of a table that the server shows as they were said.
var plainDirectories = regexp.MustCompile(`^(?: (?:DATA|INDEX) DIRECTORY='[^'\\]*')+$`)

// quoteDirectories leaves the directory of a table out of its definition where that cannot be told from what stands behind it: the server does not double the quotes in it.
// The restored table is in the server's own directory then.
func (d *dump) quoteDirectories(ctx context.Context, t *table, definition string) (string, error) {
	if !strings.Contains(definition, " DIRECTORY='") {
		return definition, nil
	}
	row, err := d.k.row(ctx, "SET STATEMENT sql_mode='IGNORE_BAD_TABLE_OPTIONS,NO_DIR_IN_CREATE' FOR SHOW CREATE TABLE "+t.quoted())
	if err != nil {
		return "", err
	}
	if len(row) < 2 {
		return "", fmt.Errorf("%s: the server does not tell the definition", t.quoted())
	}
	if differInDirectories(definition, row[1]) {
		return definition, nil
	}
	d.b.log.Warn("the directory of a table has quotes in its name and is not in the snapshot", "table", t.quoted())
	return row[1], nil
}

// differInDirectories reports whether two definitions are the same, but that the first one may name directories.
func differInDirectories(with, without string) bool {
	if with == without {
		return true
	}
	longer := len(with) - len(without)
	for at := 0; longer > 0 && at <= len(without); at++ {
		if plainDirectories.MatchString(with[at:at+longer]) && with[at+longer:] == without[at:] {
			return true
		}
		if at == len(without) || with[at] != without[at] {
			return false
		}
	}
	return false
}

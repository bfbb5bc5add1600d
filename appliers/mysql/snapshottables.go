package mysql

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

func (d *dump) beginTables(ctx context.Context) error {
	rows, err := d.k.rows(ctx, "SELECT table_schema, table_name, table_type FROM information_schema.tables WHERE table_schema NOT IN ("+
		systemSchemas+") AND table_type<>'VIEW' AND "+notTried+" ORDER BY table_type='SEQUENCE' DESC, data_length, 1, 2") // a column may take its values from a sequence; small tables come and go
	if err != nil {
		return err
	}
	for _, row := range rows {
		t := table{Database: row[0], Name: row[1]}
		if d.isView(t.Database, t.Name) { // the server does not know a view that it cannot read for one
			continue
		}
		if row[2] == "SEQUENCE" {
			if err := d.beginSequence(ctx, t.Database, t.Name); err != nil {
				return err
			}
			continue
		}
		t.Versioned = row[2] == "SYSTEM VERSIONED"
		if row[2] != "BASE TABLE" && !t.Versioned {
			return fmt.Errorf("%s is a %s: snapshots of these are not there yet", t.quoted(), row[2])
		}
		own := IsBookkeeping(t.Database, t.Name)
		if own && t.Name != "address" && t.Name != "global_variable" {
			continue
		}
		if !own {
			if err := d.defineTable(ctx, &t); err != nil {
				return err
			}
		}
		if err := d.columns(ctx, &t); err != nil {
			return err
		}
		d.tables = append(d.tables, t)
	}
	return nil
}

// keepingOptions has options that the server does not know among the others of a definition. Else they stand in a comment, which one may end: what stands behind it would
// be executed by who restores that.
const keepingOptions = "sql_mode='IGNORE_BAD_TABLE_OPTIONS," + signedSubtraction + "'"

// signedSubtraction lets unsigned numbers be subtracted from smaller ones, as generated columns and partitions may that were defined in this mode. Where none does, it makes no
// difference.
const signedSubtraction = "NO_UNSIGNED_SUBTRACTION"

func (d *dump) defineTable(ctx context.Context, t *table) error {
	ask := "SET STATEMENT " + keepingOptions + " FOR SHOW CREATE TABLE " + t.quoted()
	if err := d.define(ctx, "table", t.Database+"."+t.Name, ask, 1, []string{"USE " + name(t.Database), "SET SESSION " + keepingOptions}); err != nil {
		return err
	}
	made := &d.objects[len(d.objects)-1]
	definition, err := d.quoteDirectories(ctx, t, made.Statement)
	if err != nil {
		return err
	}
	if definition, err = d.quoteForeignKeys(ctx, t, definition); err != nil {
		return err
	}
	made.Statement = definition
	if !utf8.ValidString(definition) { // the default of a column of bytes
		made.Bytes = []byte(definition)
	}
	return nil
}

// sequenceValue is the kind of the object that sets a sequence to where it was.
const sequenceValue = "sequence value"

func (d *dump) beginSequence(ctx context.Context, database, sequence string) error {
	what := name(database) + "." + name(sequence)
	if err := d.define(ctx, "sequence", database+"."+sequence, "SHOW CREATE SEQUENCE "+what, 1, []string{"USE " + name(database)}); err != nil {
		return err
	}
	row, err := d.k.row(ctx, "SELECT next_not_cached_value, cycle_count FROM "+what)
	if err != nil {
		return err
	}
	d.objects = append(d.objects, object{Kind: sequenceValue, Name: database + "." + sequence, Statement: "DO SETVAL(" + what + "," + row[0] + ",0," + row[1] + ")"})
	return nil
}

// columns finds out which columns have to be written, and how.
func (d *dump) columns(ctx context.Context, t *table) error {
	rows, err := d.k.rows(ctx, "SELECT column_name, data_type, column_key, IFNULL(generation_expression, '') FROM information_schema.columns WHERE table_schema="+quote(t.Database)+
		" AND table_name="+quote(t.Name)+" AND (is_generated='NEVER' OR generation_expression IN ('ROW START','ROW END')) AND NOT (table_schema='mysql' AND column_name IN ('originator','last_executed')) ORDER BY ordinal_position")
	if err != nil {
		return err
	}
	if t.Versioned && !slices.ContainsFunc(rows, func(row []string) bool { return row[3] != "" }) {
		// They are not told of where the definition does not say them. The second is a part of the key.
		keyed := ""
		if slices.ContainsFunc(rows, func(row []string) bool { return row[2] == "PRI" }) {
			keyed = "PRI"
		}
		rows = append(rows, []string{"row_start", "timestamp", "", "ROW START"}, []string{"row_end", "timestamp", keyed, "ROW END"})
	}
	for i, row := range rows {
		t.Columns = append(t.Columns, row[0])
		expression := name(row[0])
		if row[1] == "float" {
			expression = "CAST(" + expression + " AS DOUBLE)" // with all its digits
		}
		if isBinary(row[1]) {
			t.Binary = append(t.Binary, i)
		}
		t.selects = append(t.selects, expression)
		if row[2] == "PRI" {
			t.Key = append(t.Key, i)
		}
	}
	t.Period = periodOf(rows)
	if len(t.Columns) > 0 {
		return nil
	}
	// Only the number of the rows of a table of generated columns has to be told. Who restores gives one of them a value, which the server passes over.
	row, err := d.k.row(ctx, "SELECT column_name FROM information_schema.columns WHERE table_schema="+quote(t.Database)+" AND table_name="+quote(t.Name)+" ORDER BY ordinal_position LIMIT 1")
	if err != nil {
		return err
	}
	t.Columns, t.selects = row, []string{"NULL"}
	return nil
}

// isBinary reports whether values of a type are bytes, which no character set applies to.
func isBinary(dataType string) bool {
	switch dataType {
	case "bit", "geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon", "geometrycollection":
		return true
	}
	return strings.HasSuffix(dataType, "blob") || strings.HasSuffix(dataType, "binary")
}

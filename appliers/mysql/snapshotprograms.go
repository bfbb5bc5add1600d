package mysql

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// beginPrograms reads views and stored programs.
func (d *dump) beginPrograms(ctx context.Context) error {
	if err := d.beginRoutines(ctx); err != nil {
		return err
	}
	if err := d.beginViews(ctx); err != nil {
		return err
	}
	return d.beginTriggers(ctx)
}

// clientsProcedures are the rows of procTable that are replicated.
const clientsProcedures = "db NOT IN (" + systemSchemas + ") AND NOT (type='PROCEDURE' AND name REGEXP " + ownProcedureName + ")"

// beginRoutines reads functions, procedures and packages. Their statements are there to be compared: the server tells them, and their names, in the character set that the
// body is in, as if all of it were, and does not tell which one the database had then. So they are restored by their rows.
func (d *dump) beginRoutines(ctx context.Context) error {
	rows, err := d.k.rows(ctx, "SELECT routine_schema, routine_name, routine_type, sql_mode, character_set_client, collation_connection FROM information_schema.routines"+
		" WHERE routine_schema NOT IN ("+systemSchemas+") AND routine_type IN ('FUNCTION','PROCEDURE','PACKAGE','PACKAGE BODY') AND NOT ("+ownProcedures+") ORDER BY routine_type, 1, 2") // a package before its body
	if err != nil {
		return err
	}
	for _, row := range rows {
		what := name(row[0]) + "." + name(row[1])
		if err := d.define(ctx, strings.ToLower(row[2]), what, "SHOW CREATE "+row[2]+" "+what, 2, programSession(row[0], row[3], row[4], row[5])); err != nil {
			return err
		}
		d.objects[len(d.objects)-1].Copied = true
	}
	return nil
}

// view is one of which a snapshot has the definition.
type view struct{ database, name, charset, collation string }

// listViews reads which views there are, without a look into them.
func (d *dump) listViews(ctx context.Context) error {
	rows, err := d.k.rows(ctx, "SELECT table_schema, table_name, character_set_client, collation_connection FROM information_schema.views WHERE table_schema NOT IN ("+systemSchemas+") AND "+notTried+" ORDER BY 1, 2")
	if err != nil {
		return err
	}
	for _, row := range rows {
		d.views = append(d.views, view{row[0], row[1], row[2], row[3]})
	}
	return nil
}

func (d *dump) isView(database, name string) bool {
	return slices.ContainsFunc(d.views, func(v view) bool { return v.database == database && v.name == name })
}

func (d *dump) beginViews(ctx context.Context) error {
	left := 0
	for _, v := range d.views {
		what := name(v.database) + "." + name(v.name)
		err := d.defineIn(ctx, v.charset, "view", what, "SHOW CREATE VIEW "+what, 1, programSession(v.database, "", v.charset, v.collation))
		var broken *UnreadableError
		if errors.As(unreadable(err), &broken) {
			d.b.log.Error("a view is not in the snapshot: the server cannot read its definition, nor execute it; drop it", "view", what, "err", err)
			left++
			continue
		}
		if err == nil {
			err = d.keepPlaces(ctx, v)
		}
		if err != nil {
			return err
		}
	}
	d.b.stats.unreadable.Store(int64(left))
	return nil
}

// noPlace is what the server shows for ORDER BY 1 and GROUP BY 1 in a view of something that is gone.
const noPlace = " by ''"

// keepPlaces takes the text of the view that was read last from where the server does not show noPlace in it.
func (d *dump) keepPlaces(ctx context.Context, v view) error {
	o := &d.objects[len(d.objects)-1]
	named := " VIEW " + name(v.database) + "." + name(v.name) + " AS "
	head, body, ok := strings.Cut(o.Statement, named)
	if !ok || len(o.Bytes) > 0 || !strings.Contains(body, noPlace) {
		return nil
	}
	row, err := d.k.row(ctx, "SELECT view_definition, IF(check_option='NONE', '', CONCAT(' WITH ', check_option, ' CHECK OPTION')) FROM information_schema.views"+
		" WHERE table_schema="+quote(v.database)+" AND table_name="+quote(v.name))
	if err != nil || len(row) < 2 || row[0] == "" {
		return err
	}
	o.Statement = head + named + row[0] + row[1]
	return nil
}

func (d *dump) beginTriggers(ctx context.Context) error {
	rows, err := d.k.rows(ctx, "SELECT trigger_schema, trigger_name, sql_mode, character_set_client, collation_connection, IF(database_collation=default_collation_name, '', database_collation), default_collation_name"+
		" FROM information_schema.triggers JOIN information_schema.schemata ON schema_name=trigger_schema"+
		" WHERE trigger_schema NOT IN ("+systemSchemas+") ORDER BY trigger_schema, event_object_table, action_timing, event_manipulation, action_order")
	if err != nil {
		return err
	}
	for _, row := range rows {
		database := name(row[0])
		what := database + "." + name(row[1])
		before := programSession(row[0], row[2], row[3], row[4])
		if row[5] != "" { // what the database had when the trigger was made is that of its variables
			before = append([]string{"ALTER DATABASE " + database + " COLLATE " + row[5]}, before...)
		}
		if err := d.defineIn(ctx, row[3], "trigger", what, "SHOW CREATE TRIGGER "+what, 2, before); err != nil {
			return err
		}
		last := len(d.objects) - 1
		d.late, d.objects = append(d.late, d.objects[last]), d.objects[:last]
		if row[5] != "" {
			d.late = append(d.late, object{Kind: "collation", Name: row[0], Statement: "ALTER DATABASE " + database + " COLLATE " + row[6]})
		}
	}
	return nil
}

// defineIn is define for what was made in a character set, in which it is made again.
func (d *dump) defineIn(ctx context.Context, charset, kind, what, ask string, column int, before []string) error {
	if err := d.define(ctx, kind, what, ask, column, before); err != nil {
		return err
	}
	o := &d.objects[len(d.objects)-1]
	if isASCII(o.Statement) || strings.HasPrefix(charset, "utf8") && utf8.ValidString(o.Statement) {
		return nil
	}
	if err := d.k.run(ctx, "SET SESSION character_set_results="+charset); err != nil {
		return err
	}
	row, err := d.k.row(ctx, ask)
	if err != nil {
		return err
	}
	if len(row) <= column {
		return fmt.Errorf("%s: the server does not tell the definition", ask)
	}
	o.Bytes = []byte(row[column])
	return d.k.run(ctx, "SET SESSION character_set_results=utf8mb4")
}

func isASCII(text string) bool {
	return strings.IndexFunc(text, func(r rune) bool { return r >= utf8.RuneSelf }) < 0
}

func programSession(database, mode, charset, collation string) []string {
	return []string{"USE " + name(database),
		"SET SESSION character_set_client=" + charset + ", collation_connection=" + collation + ", sql_mode=" + quote(mode)}
}

package mysql

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// foreignKey is one as information_schema tells of it.
type foreignKey struct {
	name                 string
	columns              []string
	database, table      string // which it refers to
	referenced           []string
	onDelete, onUpdate   string
	ofAnother, needsCare bool
}

// foreignKeys returns those of a table, in the order in which its definition has them.
func (d *dump) foreignKeys(ctx context.Context, t *table) ([]foreignKey, error) {
	rows, err := d.k.rows(ctx, "SELECT c.constraint_name, c.column_name, c.referenced_table_schema, c.referenced_table_name, c.referenced_column_name, r.delete_rule, r.update_rule"+
		" FROM information_schema.key_column_usage c JOIN information_schema.referential_constraints r ON r.constraint_schema=c.constraint_schema AND r.table_name=c.table_name AND BINARY r.constraint_name=c.constraint_name"+
		" WHERE c.table_schema="+quote(t.Database)+" AND c.table_name="+quote(t.Name)+" AND r.constraint_schema="+quote(t.Database)+" AND r.table_name="+quote(t.Name)+
		" AND c.referenced_table_name IS NOT NULL ORDER BY BINARY c.constraint_name, c.ordinal_position")
	if err != nil {
		return nil, err
	}
	var keys []foreignKey
	for _, row := range rows {
		if len(keys) == 0 || keys[len(keys)-1].name != row[0] {
			keys = append(keys, foreignKey{name: row[0], database: row[2], table: row[3], onDelete: row[5], onUpdate: row[6], ofAnother: row[2] != t.Database})
		}
		k := &keys[len(keys)-1]
		k.columns, k.referenced = append(k.columns, row[1]), append(k.referenced, row[4])
		k.needsCare = k.needsCare || strings.Contains(row[0]+row[1]+row[4], "`")
	}
	return keys, nil
}

// text is how the definition of the table says it, where quoted writes its own name and those of the columns.
func (k *foreignKey) text(quoted func(string) string) string {
	names := func(columns []string) string {
		var all []string
		for _, column := range columns {
			all = append(all, quoted(column))
		}
		return "(" + strings.Join(all, ", ") + ")"
	}
	text := ",\n  CONSTRAINT " + quoted(k.name) + " FOREIGN KEY " + names(k.columns) + " REFERENCES "
	if k.ofAnother {
		text += name(k.database) + "."
	}
	text += name(k.table) + " " + names(k.referenced)
	if k.onDelete != "RESTRICT" {
		text += " ON DELETE " + k.onDelete
	}
	if k.onUpdate != "RESTRICT" {
		text += " ON UPDATE " + k.onUpdate
	}
	return text
}

// quoteForeignKeys puts a definition right. The server does not double the backticks in the names of foreign keys and of their columns: what stands behind one would be
// executed by who restores that.
func (d *dump) quoteForeignKeys(ctx context.Context, t *table, definition string) (string, error) {
	if !strings.Contains(definition, " FOREIGN KEY (") {
		return definition, nil
	}
	keys, err := d.foreignKeys(ctx, t)
	if err != nil {
		return "", err
	}
	if !slices.ContainsFunc(keys, func(k foreignKey) bool { return k.needsCare }) {
		return definition, nil
	}
	right, ok := requote(definition, keys)
	if !ok {
		return "", fmt.Errorf("%s: its definition says other foreign keys than information_schema", t.quoted())
	}
	return right, nil
}

// requote writes the foreign keys of a definition anew. All that stands before them is quoted as it has to be, so that they begin where their text is found first outside of
// quotes; how far it goes says information_schema, not the text.
func requote(definition string, keys []foreignKey) (string, bool) {
	var shown, right string
	for i := range keys {
		shown += keys[i].text(func(s string) string { return "`" + s + "`" })
		right += keys[i].text(name)
	}
	for i, depth := 0, 0; i < len(definition); {
		if depth == 1 {
			if rest, ok := strings.CutPrefix(definition[i:], shown); ok && endsElement(rest) {
				return definition[:i] + right + rest, true
			}
			if rest, ok := strings.CutPrefix(definition[i:], right); ok && endsElement(rest) {
				return definition, true
			}
		}
		switch definition[i] {
		case '(':
			depth++
		case ')':
			depth--
		case '`', '\'', '"':
			if i = quotedEnd(definition, i); i < 0 {
				return "", false
			}
			continue
		}
		i++
	}
	return "", false
}

func endsElement(rest string) bool {
	return strings.HasPrefix(rest, ",\n") || strings.HasPrefix(rest, "\n)")
}

// quotedEnd returns where the quotes end that begin at text[at], or -1.
func quotedEnd(text string, at int) int {
	for i := at + 1; i < len(text); i++ {
		switch {
		case text[i] == '\\' && text[at] != '`':
			i++
		case text[i] == text[at]:
			if i+1 == len(text) || text[i+1] != text[at] {
				return i + 1
			}
			i++
		}
	}
	return -1
}

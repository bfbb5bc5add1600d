package mysql

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	appliers "github.com/nexus-replication/nexus/appliers/mysql"
	"github.com/nexus-replication/nexus/proxy/mysql/statement"
	"github.com/nexus-replication/nexus/raft/failpoint"
)

// A table without a primary key has its rows in the order in which each server has got them: the leader as clients have written them, the others
// as they were committed. Where a schema change numbers the rows that are there, or keeps one of several, each server would do that in another way.
// Where a column gets its values by chance, each server would get others. So such a change is made to an empty table instead, which gets the rows as
// rows, and then the name.

const codeNoSuchTable = 1146

// mayNumber finds the statements that have to be looked at.
var mayNumber = regexp.MustCompile(`(?i)\balter\b`)

// unorderedError is for a schema change that would number rows which are in no order, or give them other values on every server: by chance.
type unorderedError struct {
	table  [2]string
	chance string
}

func (e *unorderedError) Error() string { return "its rows would be other ones on every server" }

func (e *unorderedError) Unwrap() error {
	if e.chance != "" {
		return refused("ALTER TABLE is refused: rows that are there already would get another %s on every server; add the column without it, then UPDATE", e.chance)
	}
	return refused("ALTER TABLE is refused: the table has rows and no primary key, so they are in another order on every server, which would number them, or choose among them, in another way; " +
		"fill another table by CREATE TABLE ... SELECT, and rename that")
}

const (
	// ofTable are the conditions for a table, whose names come in the place of these words.
	ofTable = "table_schema=DATABASE_ AND table_name=TABLE_"
	// isOrdered asks whether the rows of a table are in the order of a key.
	isOrdered = "SELECT EXISTS (SELECT 1 FROM information_schema.statistics WHERE " + ofTable + " AND non_unique=0 AND index_type='BTREE'" +
		" GROUP BY index_name HAVING MAX(nullable)='' AND COUNT(sub_part)=0)"
	// isReplaceable asks whether nothing hangs on a table but its rows.
	isReplaceable = "SELECT (SELECT table_type FROM information_schema.tables WHERE " + ofTable + ")='BASE TABLE'" +
		" AND NOT EXISTS (SELECT 1 FROM information_schema.triggers WHERE event_object_schema=DATABASE_ AND event_object_table=TABLE_)" +
		" AND NOT EXISTS (SELECT 1 FROM information_schema.referential_constraints WHERE constraint_schema=DATABASE_ AND TABLE_ IN (table_name, referenced_table_name)" +
		" OR unique_constraint_schema=DATABASE_ AND referenced_table_name=TABLE_)"
	// storedColumns asks for those that hold what was written into them; how many of them are in the table that is to hold the rows is asked with others.
	storedColumns = "SELECT GROUP_CONCAT(CONCAT('`',REPLACE(column_name,'`','``'),'`') ORDER BY ordinal_position), COUNT(*)," +
		" SUM(column_name IN (SELECT column_name FROM information_schema.columns WHERE table_schema=DATABASE_ AND table_name=OTHER_ AND is_generated='NEVER'))" +
		" FROM information_schema.columns WHERE " + ofTable + " AND is_generated='NEVER'"
)

// altered and replaced begin what tables are called for the time of a change. The rest is by chance: a client may have tables.
const (
	altered  = "nexus_altered_"
	replaced = "nexus_replaced_"
)

func about(table [2]string, question string) string { return aboutTwo(table, "", question) }

// aboutTwo is about for a question that is about another table of the same database too.
func aboutTwo(table [2]string, other, question string) string {
	return strings.NewReplacer("DATABASE_", literal(table[0]), "TABLE_", literal(table[1]), "OTHER_", literal(other)).Replace(question)
}

// refuseNumbering returns an unorderedError for such a change; text is executed behind prelude. No row is written meanwhile.
func (s *session) refuseNumbering(ctx context.Context, prelude []string, text string) error {
	if !mayNumber.MatchString(text) {
		return nil
	}
	current, dialect := "", s.dialect
	for _, said := range prelude {
		if name, found := strings.CutPrefix(said, "USE "); found {
			current = lastName(name)
		}
		if mode, found := strings.CutPrefix(said, "SET SESSION sql_mode="); found { // that of a program is another one than the client's
			dialect = withMode(dialect, strings.Trim(mode, "'"))
		}
	}
	what := statement.Classify(text, dialect)
	if !what.Numbers && what.Chance == "" || len(what.Tables) == 0 {
		return nil
	}
	table := wholeName(what.Tables[0], current)
	if table[0] == "" {
		return nil // as the server will say itself
	}
	if what.Chance == "" {
		row, err := s.server.backend.Row(ctx, about(table, isOrdered))
		if err != nil {
			return unavailable(err)
		}
		if len(row) == 1 && row[0] == "1" {
			return nil
		}
	}
	row, err := s.server.backend.Row(ctx, "SELECT 1 FROM "+quoteName(table[0])+"."+quoteName(table[1])+" LIMIT 1")
	var server *appliers.ServerError
	switch {
	case errors.As(err, &server) && server.Code == codeNoSuchTable && isASCII(table[0]+table[1]):
		return nil // as the server will say itself
	case err != nil:
		return unavailable(err)
	case row == nil:
		return nil // there is nothing in it
	}
	return &unorderedError{table, what.Chance}
}

// renumber executes an ALTER TABLE that was refused so. It is called behind the barrier.
func (s *session) renumber(ctx context.Context, c call, prelude []string, text string, unordered *unorderedError) error {
	table := unordered.table
	row, err := s.server.backend.Row(ctx, about(table, isReplaceable))
	if err != nil {
		return unavailable(err)
	}
	if len(row) != 1 || row[0] != "1" || statement.MentionsWord(text, s.dialect, "RENAME") {
		return unordered
	}
	database, tag := quoteName(table[0])+".", newTag()
	name, other, old := database+quoteName(table[1]), database+quoteName(altered+tag), database+quoteName(replaced+tag)
	if err := s.proposeSchema(ctx, nil, "CREATE TABLE "+other+" LIKE "+name); err != nil {
		return err
	}
	err = s.proposeSchema(ctx, prelude, statement.AlteringTable(text, s.dialect, c.what.Inner, other))
	warnings := s.facts.warnings
	var rows uint64
	if err == nil {
		rows, err = s.fillAltered(ctx, c, unordered, altered+tag)
	}
	var final *finalError
	if errors.Is(err, errHangUp) || errors.As(err, &final) {
		return err
	}
	if err != nil {
		dropped := s.proposeSchema(ctx, nil, "DROP TABLE IF EXISTS "+other)
		s.facts.warnings = warnings
		return errors.Join(calledAs(err, altered+tag, table[1]), dropped)
	}
	failpoint.Hit("mysql.altered")
	for _, change := range []string{"RENAME TABLE " + name + " TO " + old + ", " + other + " TO " + name, "DROP TABLE " + old} {
		if err := s.proposeSchema(ctx, nil, change); err != nil {
			return err
		}
	}
	s.facts.warnings, s.affected = warnings, rows
	s.info = fmt.Sprintf("Records: %d  Duplicates: 0  Warnings: %d", rows, len(warnings))
	return nil
}

// fillAltered copies the rows, which the log gets as such.
func (s *session) fillAltered(ctx context.Context, c call, unordered *unorderedError, other string) (rows uint64, err error) {
	table := unordered.table
	row, err := s.server.backend.Row(ctx, aboutTwo(table, other, storedColumns))
	if err != nil {
		return 0, unavailable(err)
	}
	if len(row) != 3 || row[1] != row[2] {
		return 0, unordered
	}
	verb := "INSERT "
	if c.what.Ignores {
		verb = "INSERT IGNORE "
	}
	s.excluding = true
	defer func() {
		s.abandon() // what a lost connection has left open was begun behind the barrier
		s.excluding = s.locked.excludes()
	}()
	database := quoteName(table[0]) + "."
	var copied changed
	err = s.inTransaction(c.text[:c.what.Inner]+verb+"INTO "+database+quoteName(other)+" ("+row[0]+") SELECT "+row[0]+" FROM "+database+quoteName(table[1]), &copied)
	return copied.rows, err
}

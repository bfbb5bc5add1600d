package mysql

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
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

// mayNumber finds the statements that have to be looked at. What is before a word may be the version of a comment that is executed.
var mayNumber = regexp.MustCompile(`(?i)alter`)

// clientCharset finds the character set of a text in its prelude.
var clientCharset = regexp.MustCompile(`\bcharacter_set_client=(\w+)`)

// unlike are the words of changes that an empty table does not take as one with rows does, or that are about more than its rows.
var unlike = []string{"RENAME", "CHANGE", "DROP", "PARTITION", "TRUNCATE", "REFERENCES", "SYSTEM"}

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
		" GROUP BY index_name HAVING MAX(nullable)='' AND COUNT(sub_part)=0)," +
		" EXISTS (SELECT 1 FROM information_schema.tables WHERE " + ofTable + " AND table_type='SYSTEM VERSIONED')" // which has rows that nobody is shown
	// isReplaceable asks whether nothing hangs on a table but its rows, and for the next number that it gives.
	isReplaceable = "SELECT (SELECT table_type FROM information_schema.tables WHERE " + ofTable + ")='BASE TABLE'" +
		" AND NOT EXISTS (SELECT 1 FROM information_schema.triggers WHERE event_object_schema=DATABASE_ AND event_object_table=TABLE_)" +
		" AND NOT EXISTS (SELECT 1 FROM information_schema.referential_constraints WHERE constraint_schema=DATABASE_ AND TABLE_ IN (table_name, referenced_table_name)" +
		" OR unique_constraint_schema=DATABASE_ AND referenced_table_name=TABLE_)," +
		" (" + nextNumber + ")"
	// nextNumber asks for the next number that a table gives, if it gives some.
	nextNumber = "SELECT auto_increment FROM information_schema.tables WHERE " + ofTable
	// storedColumns asks for those that hold what is written into them in the table that is to hold the rows, how many hold what was written in the one
	// that holds them, and do not in the other, and whether that one has numbers already.
	storedColumns = "SET STATEMENT group_concat_max_len=1048576 FOR SELECT" +
		" GROUP_CONCAT(IF(" + isStored + ", CONCAT('`',REPLACE(column_name,'`','``'),'`'), NULL) ORDER BY ordinal_position)," +
		" SUM(is_generated='NEVER' AND NOT " + isStored + "), SUM(extra LIKE '%auto_increment%')" +
		" FROM information_schema.columns WHERE " + ofTable
	isStored = "column_name IN (SELECT column_name FROM information_schema.columns WHERE table_schema=DATABASE_ AND table_name=OTHER_ AND is_generated='NEVER')"
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

// understanding is how a text behind prelude is read: in which dialect, database and character set.
func (s *Server) understanding(prelude []string) (dialect statement.Dialect, current, charset string) {
	dialect, charset = s.dialect(), "utf8mb4"
	for _, said := range prelude {
		if name, found := strings.CutPrefix(said, "USE "); found {
			_, current = statement.Named(name, dialect)
		}
		if mode, found := strings.CutPrefix(said, "SET SESSION sql_mode="); found { // that of a program is another one than the client's
			dialect = withMode(dialect, strings.Trim(mode, "'"))
		}
		if found := clientCharset.FindStringSubmatch(said); found != nil {
			charset = found[1]
		}
	}
	return dialect, current, charset
}

// refuseNumbering returns an unorderedError for such a change; text is executed behind prelude. No row is written meanwhile.
func (s *session) refuseNumbering(ctx context.Context, prelude []string, text string) error {
	if !mayNumber.MatchString(text) {
		return nil
	}
	dialect, current, charset := s.server.understanding(prelude)
	what := statement.Classify(text, dialect)
	if !what.Numbers && what.Chance == "" || len(what.Tables) == 0 {
		return nil
	}
	var table [2]string
	table[0], table[1] = statement.Named(what.Tables[0], dialect)
	switch {
	case !isASCII(table[0]+table[1]) && !strings.HasPrefix(charset, "utf8"):
		return refused("%s is refused: Nexus reads the name of the table in utf8mb4 only; say SET NAMES utf8mb4", what.Verb)
	case table[0] == "":
		table[0] = current
	}
	if table[0] == "" {
		return nil // as the server will say itself
	}
	row, err := s.server.backend.Row(ctx, about(table, isOrdered))
	if err != nil {
		return unavailable(err)
	}
	if len(row) == 2 && row[0] == "1" && what.Chance == "" {
		return nil
	}
	if len(row) != 2 || row[1] != "0" {
		return &unorderedError{table, what.Chance}
	}
	row, err = s.server.backend.Row(ctx, "SELECT 1 FROM "+quotedIn(table[0], table[1])+" LIMIT 1")
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
	mentions := func(word string) bool { return statement.MentionsWord(text, s.dialect, word) }
	if len(row) != 2 || row[0] != "1" || slices.ContainsFunc(unlike, mentions) {
		return unordered
	}
	database, tag := quoteName(table[0])+".", s.hiddenTag()
	name, other, old := database+quoteName(table[1]), database+quoteName(altered+tag), database+quoteName(replaced+tag)
	if err := s.makeHidden(ctx, nil, other, " LIKE "+name); err != nil {
		return err
	}
	if row[1] != "" {
		err = s.proposeSchema(ctx, nil, "ALTER TABLE "+other+" AUTO_INCREMENT="+row[1])
	}
	if err == nil {
		err = s.proposeSchema(ctx, prelude, statement.AlteringTable(text, s.dialect, c.what.Inner, other))
	}
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
		dropped := s.dropMade(ctx, nil, other)
		s.facts.warnings = warnings
		return errors.Join(calledAs(err, altered+tag, table[1]), dropped)
	}
	failpoint.Hit("mysql.altered")
	if err := s.proposeSchema(ctx, nil, "RENAME TABLE "+name+" TO "+old+", "+other+" TO "+name, "DROP TABLE "+old); err != nil {
		return err
	}
	s.forget(other)
	s.facts.warnings, s.affected = warnings, rows
	s.info = fmt.Sprintf("Records: %d  Duplicates: 0  Warnings: %d", rows, len(warnings))
	return nil
}

// fillAltered copies the rows, which the log gets as such. The next number goes ahead meanwhile, and is set behind them.
func (s *session) fillAltered(ctx context.Context, c call, unordered *unorderedError, other string) (rows uint64, err error) {
	if unordered.chance != "" { // of a table that was opened on another connection, the server takes a default such as (@a) for that one's
		return s.copyAltered(ctx, c, unordered, other)
	}
	made := [2]string{unordered.table[0], other}
	next, err := s.server.backend.Row(ctx, about(made, nextNumber))
	if err != nil {
		return 0, unavailable(err)
	}
	rows, err = s.copyAltered(ctx, c, unordered, other)
	if err != nil || len(next) != 1 || next[0] == "" {
		return rows, err
	}
	return rows, s.proposeSchema(ctx, nil, "ALTER TABLE "+quotedIn(made[0], made[1])+" AUTO_INCREMENT="+next[0])
}

func (s *session) copyAltered(ctx context.Context, c call, unordered *unorderedError, other string) (rows uint64, err error) {
	table := unordered.table
	row, err := s.server.backend.Row(ctx, aboutTwo(table, other, storedColumns))
	if err != nil {
		return 0, unavailable(err)
	}
	if len(row) != 3 || row[1] != "0" {
		return 0, unordered
	}
	verb := "INSERT "
	if row[2] != "0" { // as the server does then
		verb = "SET STATEMENT sql_mode=CONCAT_WS(',', NULLIF(@@sql_mode,''), 'NO_AUTO_VALUE_ON_ZERO') FOR INSERT "
	}
	if c.what.Ignores {
		verb += "IGNORE "
	}
	defer s.writesAlone()()
	database := quoteName(table[0]) + "."
	var copied changed
	err = s.inTransaction(c.text[:c.what.Inner]+verb+"INTO "+database+quoteName(other)+" ("+row[0]+") SELECT "+row[0]+" FROM "+database+quoteName(table[1])+" USE INDEX ()", &copied)
	return copied.rows, err
}

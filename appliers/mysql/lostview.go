package mysql

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A view stays when a table, a column or a function goes that it needs, and works again when that comes back. But the server makes no such view anew. So it is made while
// there are others in their place, which are taken away again before any row comes.

// standIns are what there is in the place of what is missing.
type standIns struct {
	r         *restorer
	databases []string // in quotes
	tables    []string // in quotes, with their databases, as are functions
	functions []string
	altered   map[string]bool // tables of the snapshot that have got more columns
}

// Of these errors the server's messages tell what is missing.
var (
	missingTable    = regexp.MustCompile(`^Table '(.*)' doesn't exist$`)
	missingColumn   = regexp.MustCompile(`^Unknown column '(.*)' in '.*'$`)
	missingFunction = regexp.MustCompile(`^FUNCTION (.*) does not exist$`)
	argumentsMissed = regexp.MustCompile(`^Incorrect number of arguments for FUNCTION (.*); expected \d+, got (\d+)$`)
)

// maxStandIns bounds what is tried for one view. A table may have 1017 columns.
const maxStandIns = 2000

// makeLost makes views of what is not there any more, and returns those for which it cannot.
func (r *restorer) makeLost(ctx context.Context, views []*object) (left []*object, err error) {
	if _, err := r.k.exec(ctx, "SET SESSION lc_messages=en_US, system_versioning_alter_history=KEEP"); err != nil {
		return nil, err
	}
	s := &standIns{r: r, altered: make(map[string]bool)}
	left = views
	for {
		var again []*object
		for _, o := range left {
			made, err := s.make(ctx, o, left)
			if err != nil {
				return nil, err
			}
			if !made {
				again = append(again, o)
			}
		}
		if len(again) == 0 || len(again) == len(left) { // else one may have needed another
			return again, s.remove(ctx)
		}
		left = again
	}
}

// make makes a view, whatever it needs, but other ones that are still to be made.
func (s *standIns) make(ctx context.Context, o *object, others []*object) (made bool, err error) {
	for range maxStandIns {
		err := s.r.make(ctx, o)
		var server *ServerError
		if err == nil || !errors.As(err, &server) {
			return err == nil, err
		}
		if err := s.r.plain(ctx); err != nil {
			return false, err
		}
		supplied, err := s.supply(ctx, o, server, others)
		if err != nil && serverCode(err) == 0 {
			return false, err
		}
		if err != nil || !supplied {
			return false, nil
		}
	}
	return false, nil
}

// supply makes what the server says to be missing.
func (s *standIns) supply(ctx context.Context, o *object, said *ServerError, others []*object) (supplied bool, err error) {
	if found := missingTable.FindStringSubmatch(said.Message); found != nil {
		database, table, ok := quoted(o, found[1])
		if !ok || slices.ContainsFunc(others, func(v *object) bool { return v.Name == table }) {
			return false, nil
		}
		if err := s.create(ctx, database, "CREATE TABLE "+table+" (nexus_no_column INT)"); err != nil {
			return false, err
		}
		s.tables = append(s.tables, table)
		return true, nil
	}
	if found := missingColumn.FindStringSubmatch(said.Message); found != nil {
		return s.addColumn(ctx, o, found[1])
	}
	arguments, found := 0, missingFunction.FindStringSubmatch(said.Message)
	if found == nil {
		if found = argumentsMissed.FindStringSubmatch(said.Message); found == nil {
			return false, nil
		}
		if arguments, err = strconv.Atoi(found[2]); err != nil {
			return false, nil
		}
	}
	database, function, ok := quoted(o, found[1])
	if !ok {
		return false, nil
	}
	verb, ours := "CREATE", slices.Contains(s.functions, function)
	if ours {
		verb = "CREATE OR REPLACE"
	}
	parameters := make([]string, arguments)
	for i := range parameters {
		parameters[i] = "p" + strconv.Itoa(i) + " INT"
	}
	// This fails where a client's has the name, with other parameters than the view knows.
	if err := s.create(ctx, database, verb+" FUNCTION "+function+"("+strings.Join(parameters, ",")+") RETURNS INT RETURN 1"); err != nil {
		return false, err
	}
	if !ours {
		s.functions = append(s.functions, function)
	}
	return true, nil
}

// addColumn adds a column to all tables that a view may mean: in its definition the server has written of each column which table it is of.
func (s *standIns) addColumn(ctx context.Context, o *object, said string) (added bool, err error) {
	column, ok := mentioned(o, said)
	if !ok {
		return false, nil
	}
	tables := slices.Clone(s.tables)
	for table := range s.r.tables {
		tables = append(tables, table)
	}
	slices.Sort(tables)
	for _, table := range tables {
		if !strings.Contains(o.Statement, table[strings.LastIndex(table, "`.`")+2:]) {
			continue
		}
		if _, err := s.r.k.exec(ctx, "ALTER TABLE "+table+" ADD COLUMN "+name(column)+" VARCHAR(9) CHARACTER SET utf8mb4"); err == nil {
			added = true
		} else if serverCode(err) == 0 {
			return false, err
		}
		if s.r.tables[table] != nil {
			s.altered[table] = true
		}
	}
	return added, nil
}

// mentioned returns the end of what the server calls something that the definition has in quotes.
func mentioned(o *object, said string) (string, bool) {
	for rest := said; ; {
		if strings.Contains(o.Statement, name(rest)) {
			return rest, true
		}
		_, behind, ok := strings.Cut(rest, ".")
		if !ok {
			return "", false
		}
		rest = behind
	}
}

// quoted returns the name of something that the server calls by its database and name.
func quoted(o *object, said string) (database, whole string, ok bool) {
	of, ok := mentioned(o, said)
	database, found := strings.CutSuffix(said, "."+of)
	if !ok || !found {
		return "", "", false
	}
	return name(database), name(database) + "." + name(of), true
}

// create executes a text that makes something in a database, which may have to be made before.
func (s *standIns) create(ctx context.Context, database, text string) error {
	_, err := s.r.k.exec(ctx, "CREATE DATABASE "+database)
	if err == nil {
		s.databases = append(s.databases, database)
	} else if serverCode(err) == 0 {
		return err
	}
	_, err = s.r.k.exec(ctx, text)
	return err
}

// remove takes away what was made, and makes tables as they were, which have no rows yet.
func (s *standIns) remove(ctx context.Context) error {
	var texts []string
	for _, table := range s.tables {
		texts = append(texts, "DROP TABLE IF EXISTS "+table)
	}
	for _, function := range s.functions {
		texts = append(texts, "DROP FUNCTION IF EXISTS "+function)
	}
	for table := range s.altered {
		texts = append(texts, "DROP TABLE "+table)
	}
	for _, database := range s.databases {
		texts = append(texts, "DROP DATABASE "+database)
	}
	if err := s.r.k.run(ctx, texts...); err != nil {
		return err
	}
	for table := range s.altered {
		if err := s.r.make(ctx, s.r.tables[table]); err != nil {
			return err
		}
	}
	return nil
}

package mysql

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nexus-replication/nexus/proxy/mysql/wire"
)

// A schema change of several steps holds rows in a table of another name meanwhile: see renumber, fillOrDrop and fillingStep. A session that
// dies between the steps leaves that to its node, which drops it. A leader that dies leaves it too. Whoever leads next drops it: the name has the term of the
// office in which it was made, and of what was proposed in one that is over nothing is executed any more.

// hiddenTag ends the name of such a table: by chance, since a client may have tables, and with the term.
func (s *session) hiddenTag() string { return newTag() + "_" + strconv.FormatUint(s.epoch, 16) }

// makeHidden makes such a table.
func (s *session) makeHidden(ctx context.Context, prelude []string, table, definition string) error {
	s.left = append(s.left, table)
	err := s.proposeSchema(ctx, prelude, "CREATE TABLE "+table+definition)
	if isCertain(err) {
		s.forget(table)
	}
	return err
}

// dropMade drops a table that was made by a step before.
func (s *session) dropMade(ctx context.Context, prelude []string, table string) error {
	err := s.proposeSchema(ctx, prelude, "DROP TABLE IF EXISTS "+table)
	if err == nil {
		s.forget(table)
	}
	return err
}

// forget is for such a table that has got its name, or is not there.
func (s *session) forget(table string) {
	s.left = slices.DeleteFunc(s.left, func(t string) bool { return t == table })
}

// leaveTables leaves to the node what is left of a statement that is over.
func (s *session) leaveTables() {
	if len(s.left) == 0 {
		return
	}
	s.server.mu.Lock()
	s.server.left = append(s.server.left, s.left...)
	s.server.mu.Unlock()
	s.left = nil
}

// isCertain reports whether an error says that nothing was done.
func isCertain(err error) bool {
	var final *finalError
	var server *wire.Error
	return !errors.As(err, &final) && errors.As(err, &server) && !strings.HasPrefix(server.Message, OutcomeUnknown)
}

const (
	leftoverPause = time.Second
	// leftoverRest is how long it is waited after an error.
	leftoverRest = 30 * time.Second
	// leftoverPatience bounds how long others wait for the barrier because of it, in seconds.
	leftoverPatience = 1
)

// leftovers asks for the names of such tables.
const leftovers = "SET STATEMENT group_concat_max_len=1048576 FOR SELECT IFNULL(GROUP_CONCAT(CONCAT('`',REPLACE(table_schema,'`','``'),'`.`',table_name,'`') SEPARATOR '\n'),'')" +
	" FROM information_schema.tables WHERE table_name REGEXP '^(" + altered + "|" + replaced + "|" + selected + ")[0-9a-f]{12}_[0-9a-f]{1,16}$'"

// dropLeftovers drops what sessions of this node have left, and, once in each office of this node's, what other leaders have.
func (s *Server) dropLeftovers() {
	tick := time.NewTicker(leftoverPause)
	defer tick.Stop()
	var done uint64
	var notBefore time.Time
	for {
		select {
		case <-tick.C:
		case <-s.ctx.Done():
			return
		}
		term, leads := s.node.Office()
		if !leads || time.Now().Before(notBefore) {
			continue
		}
		err := s.dropLeft()
		if err == nil && term != done {
			err = s.dropLeftBefore(term)
		}
		switch {
		case err == nil:
			done = term
		case s.ctx.Err() == nil:
			s.cfg.Logger.Warn("what was left of a schema change is still there", "err", err)
			notBefore = time.Now().Add(leftoverRest)
		}
	}
}

// dropLeft drops what sessions have left.
func (s *Server) dropLeft() error {
	s.mu.Lock()
	left := s.left
	s.left = nil
	s.mu.Unlock()
	err := s.dropTables(left)
	if err != nil {
		s.mu.Lock()
		s.left = append(s.left, left...)
		s.mu.Unlock()
	}
	return err
}

// dropLeftBefore drops what was left in the offices before that of a term.
func (s *Server) dropLeftBefore(term uint64) error {
	ctx, cancel := context.WithTimeout(s.ctx, eventTimeout)
	defer cancel()
	row, err := s.backend.Row(ctx, leftovers)
	if err != nil {
		return err
	}
	if len(row) != 1 {
		return errors.New("the server does not tell its tables")
	}
	return s.dropTables(slices.DeleteFunc(strings.Split(row[0], "\n"), func(table string) bool {
		made, err := strconv.ParseUint(strings.Trim(table[strings.LastIndexByte(table, '_')+1:], "`"), 16, 64)
		return err != nil || made >= term
	}))
}

func (s *Server) dropTables(tables []string) error {
	if len(tables) == 0 {
		return nil
	}
	own, err := s.loginOwn()
	if err != nil {
		return err
	}
	defer own.close()
	if err := own.say(fmt.Sprintf("SET SESSION lock_wait_timeout=%d", leftoverPatience)); err != nil {
		return err
	}
	for _, table := range tables {
		dropped := own.say("DROP TABLE IF EXISTS " + table)
		if dropped == nil {
			s.cfg.Logger.Info("dropped what was left of a schema change", "table", table)
		}
		err = errors.Join(err, dropped)
	}
	return err
}

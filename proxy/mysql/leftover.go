package mysql

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A schema change of several steps holds rows in a table of another name meanwhile: see renumber, fillOrDrop and fillingStep. A leader that
// dies between the steps leaves that. Whoever leads next drops it: the name has the term of the office in which it was made, and of what was
// proposed in one that is over nothing is executed any more.

// hiddenTag ends the name of such a table: by chance, since a client may have tables, and with the term.
func (s *session) hiddenTag() string { return newTag() + "_" + strconv.FormatUint(s.epoch, 16) }

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

// dropLeftovers drops what another leader has left, once in each office of this node's.
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
		if !leads || term == done || time.Now().Before(notBefore) {
			continue
		}
		if err := s.dropLeftoversBefore(term); err != nil && s.ctx.Err() == nil {
			s.cfg.Logger.Warn("what a former leader has left of a schema change is still there", "err", err)
			notBefore = time.Now().Add(leftoverRest)
			continue
		}
		done = term
	}
}

// dropLeftoversBefore drops those of the offices before that of a term.
func (s *Server) dropLeftoversBefore(term uint64) (err error) {
	ctx, cancel := context.WithTimeout(s.ctx, eventTimeout)
	defer cancel()
	row, err := s.backend.Row(ctx, leftovers)
	if err != nil {
		return err
	}
	if len(row) != 1 {
		return errors.New("the server does not tell its tables")
	}
	left := slices.DeleteFunc(strings.Split(row[0], "\n"), func(table string) bool {
		made, err := strconv.ParseUint(strings.Trim(table[strings.LastIndexByte(table, '_')+1:], "`"), 16, 64)
		return err != nil || made >= term
	})
	if len(left) == 0 {
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
	for _, table := range left {
		dropped := own.say("DROP TABLE IF EXISTS " + table)
		if dropped == nil {
			s.cfg.Logger.Info("dropped what a former leader has left of a schema change", "table", table)
		}
		err = errors.Join(err, dropped)
	}
	return err
}

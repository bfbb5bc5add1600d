package mysql

import (
	"errors"

	appliers "github.com/nexus-replication/nexus/appliers/mysql"
	"github.com/nexus-replication/nexus/proxy/mysql/statement"
	"github.com/nexus-replication/nexus/proxy/mysql/wire"
)

const (
	codeNoAlgorithm       = 1845 // ALGORITHM or LOCK is not supported for this
	codeNoAlgorithmReason = 1846
)

// mayAlterSo refuses an ALTER TABLE that cannot be done with the algorithm, or the lock, which it asks for. What decides is the definition of the table, which is
// the same on all servers, and not how this one holds it: so it is tried on an empty table, before all servers do it in their own ways.
func (s *session) mayAlterSo(c call, prelude []string, text string) error {
	if c.what.Verb != "ALTER TABLE" || len(c.what.Tables) == 0 {
		return nil
	}
	for _, word := range []string{"RENAME", "EXCHANGE", "CONVERT", "TABLESPACE", "PARTITION"} { // other tables than this one may be meant
		if statement.MentionsWord(text, s.dialect, word) {
			return nil
		}
	}
	ctx, cancel := s.context(standInTimeout)
	defer cancel()
	err := s.server.backend.TryAltering(ctx, prelude, c.what.Tables[0], func(other string) string {
		return statement.AlteringTable(text, s.dialect, c.what.Inner, other)
	})
	var server *appliers.ServerError
	if errors.As(err, &server) && (server.Code == codeNoAlgorithm || server.Code == codeNoAlgorithmReason) {
		return &wire.Error{Code: server.Code, State: server.State, Message: server.Message}
	}
	if err != nil {
		s.server.cfg.Logger.Debug("a schema change was not tried with its algorithm", "err", err) // as of other reasons to fail, all servers say so
	}
	return nil
}

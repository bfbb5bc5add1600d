package mysql

import (
	"context"
	"errors"
	"regexp"

	appliers "github.com/nexus-replication/nexus/appliers/mysql"
	"github.com/nexus-replication/nexus/proxy/mysql/statement"
)

// mayMakeView finds the statements that have to be looked at. What is before a word may be the version of a comment that is executed.
var mayMakeView = regexp.MustCompile(`(?i)view`)

// refuseUnreadable refuses a view that the server would not read back as it was made; text is executed behind prelude. That is found out before it is in the log, on one
// server for all: another version of the server may know better.
func (s *session) refuseUnreadable(ctx context.Context, prelude []string, text string) error {
	if !mayMakeView.MatchString(text) {
		return nil
	}
	dialect, _, _ := s.server.understanding(prelude)
	what := statement.Classify(text, dialect)
	if what.Verb != "CREATE VIEW" && what.Verb != "ALTER VIEW" {
		return nil
	}
	if statement.NamingView(text, dialect, what.Inner, "v") == "" {
		return nil // as the server will say itself
	}
	err := s.server.backend.TryView(ctx, prelude, func(other string) string { return statement.NamingView(text, dialect, what.Inner, other) })
	var unreadable *appliers.UnreadableError
	var server *appliers.ServerError
	switch {
	case errors.As(err, &unreadable):
		return refused("%s is refused: %v; names behind WITH must be words that need no quotes", what.Verb, unreadable)
	case errors.As(err, &server):
		s.server.cfg.Logger.Debug("a view was not tried", "err", err) // as all servers say
	case err != nil:
		return unavailable(err)
	}
	return nil
}

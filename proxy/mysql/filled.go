package mysql

import (
	"context"
	"fmt"

	"github.com/nexus-replication/nexus/raft"
)

// Who logs in on the port for reading is asked of the local server, and accounts are rows as others are: a server that has not taken
// over yet what the others hold would call a right password wrong.

// awaitFilled returns when the local server has the accounts of clients, and the node would read from it.
func (s *Server) awaitFilled(ctx context.Context) error {
	if s.filled.Load() && s.node.Status().Serving {
		return nil // the session's own reads wait for the rest, for as long as a schema change may take
	}
	ctx, cancel := context.WithTimeoutCause(ctx, s.cfg.Timeout, &raft.NoAnswerError{After: s.cfg.Timeout})
	defer cancel()
	err := s.node.Read(ctx, func(context.Context) error { return nil })
	if err == nil {
		s.filled.Store(true)
	}
	return err
}

// whyUnread is why the local server is not read. Nobody knows yet who is told that: it has no addresses, nor words of the server.
func (s *Server) whyUnread() string {
	switch st := s.node.Status(); {
	case isRemoved(st):
		return reason(errRemoved)
	case st.Role == "starting":
		return "this node is starting" + elsewhere
	case st.Role == "joining":
		return "this node waits to be added to the cluster (repl addNode)" + elsewhere
	case st.Role == "learner":
		return "this node is new, and its server has yet to take over what the others hold" + elsewhere
	case st.Quarantined:
		return "the server behind this node holds other data than those of the others" + elsewhere
	case st.Leader == 0:
		return reason(errNoLeader)
	case st.Serving:
		return fmt.Sprintf("the server behind this node has applied %d of %d entries of the log%s", st.Applied, st.Commit, elsewhere)
	}
	return "the server behind this node is out of reach, does not answer, or is being filled" + elsewhere
}

package mysql

import (
	"fmt"

	"github.com/nexus-replication/nexus/proxy/mysql/wire"
)

// enterGate keeps schema changes out. Readers do not: a schema change that waits for one disconnects it.
func (s *session) enterGate() error {
	if s.reader || s.excluding {
		return nil
	}
	ctx := bounded{session: s, timeout: s.server.cfg.GateTimeout}
	defer ctx.stop()
	err := s.server.gate.enter(&ctx)
	if ctx.interrupted() && err != nil {
		return errInterrupted
	}
	if err != nil && s.server.ctx.Err() == nil {
		return &wire.Error{Code: codeLockTimeout, State: "HY000", Message: fmt.Sprintf("Nexus: the transaction was not begun: "+
			"a schema change was executed for %v; try again", s.server.cfg.GateTimeout)}
	}
	if err != nil {
		return unavailable(fmt.Errorf("wait for a schema change: %w", err))
	}
	return nil
}

func (s *session) leaveGate() {
	if !s.reader && !s.excluding {
		s.server.gate.leave()
	}
}

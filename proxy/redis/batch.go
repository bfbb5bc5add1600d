package redis

import (
	"strings"
	"time"

	"github.com/tidwall/redcon"

	"github.com/nexus-replication/nexus/proxy/redis/policy"
)

// phase is a run of consecutive commands of a batch that go out together. Phases follow each other strictly: a read
// waits for the writes before it, and a write for the reads before it.
type phase uint8

const (
	phaseNone phase = iota
	phaseReads
	phaseWrites
)

// run takes one command in: it joins the running phase, or ends it first.
func (s *session) run(cmd redcon.Command) {
	d := s.srv.table.Lookup(cmd.Args, s.srv.policyContext)
	if d.Spec != nil {
		s.lastCommand.Store(d.Spec)
		s.srv.metrics.count(d.Spec)
	}
	if s.multi != nil || !s.authenticated || d.Err != "" || d.Policy == policy.Local {
		s.endPhase()
		if !s.ended {
			s.runAlone(cmd, d)
		}
		return
	}
	switch d.Policy {
	case policy.Write, policy.WriteTime:
		s.addWrite(cmd, d)
	case policy.Read, policy.ReadTime:
		s.addRead(cmd, d)
	case policy.Static:
		s.endPhase()
		if !s.ended {
			s.runStatic(cmd)
		}
	default:
		s.endPhase()
		s.out = appendError(s.out, "ERR nexus: command is refused")
	}
}

// endPhase runs what has been collected and appends its replies.
func (s *session) endPhase() {
	p := s.phase
	s.phase = phaseNone
	switch p {
	case phaseReads:
		begin := time.Now()
		s.runReads()
		s.srv.metrics.reads.Observe(time.Since(begin).Seconds())
	case phaseWrites:
		begin := time.Now()
		s.runWrites()
		s.srv.metrics.writes.Observe(time.Since(begin).Seconds())
	}
	s.flushLarge()
}

// runAlone handles what is no part of a phase: errors, commands of the session itself, and everything inside of MULTI.
// The order of the checks is that of Redis: existence and arity, authentication, the rest.
func (s *session) runAlone(cmd redcon.Command, d policy.Decision) {
	switch {
	case d.Err != "" && d.Spec != nil && d.Spec.Name == "exec" && (s.authenticated || !fits(d.Spec, cmd.Args)):
		s.setMulti(nil)
		s.out = appendError(s.out, "EXECABORT Transaction discarded because of: "+strings.TrimPrefix(d.Err, "ERR "))
	case d.Err != "" && (d.Spec == nil || !fits(d.Spec, cmd.Args)):
		s.abort()
		s.out = appendError(s.out, d.Err)
	case !s.authenticated && !withoutAuth(d.Spec):
		s.abort()
		s.out = appendError(s.out, errTextNoAuth)
	case d.Err != "" && (s.multi == nil || isRefusal(d)):
		s.abort()
		s.out = appendError(s.out, d.Err)
	case s.control(d.Spec, cmd.Args):
	case s.multi != nil:
		s.queue(cmd, d)
	case d.Policy == policy.Local:
		s.out = s.runLocal(s.out, d.Spec, cmd.Args)
	}
	s.flushLarge()
}

// isRefusal tells the errors of Nexus from those that Redis finds when it executes a command. In a transaction, the
// latter are found at EXEC.
func isRefusal(d policy.Decision) bool {
	return d.Spec.Policy == policy.Refused || strings.Contains(d.Err, "refused by Nexus")
}

// fits reports whether a command has as many arguments as Redis asks for before it looks at them.
func fits(spec *policy.Spec, args [][]byte) bool {
	return len(args) == spec.Arity || (spec.Arity < 0 && len(args) >= -spec.Arity)
}

// abort makes a running transaction fail at EXEC.
func (s *session) abort() {
	if s.multi != nil {
		s.multi.dirty = true
	}
}

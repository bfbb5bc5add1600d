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
	if s.skipNext {
		s.runSkipped(func() { s.run(cmd) })
		return
	}
	if s.rate != nil {
		if s.slowDown(); s.ended {
			return
		}
	}
	if s.srv.users.Load() != s.seen {
		if s.noticeUsers(); s.ended {
			return
		}
	}
	d := s.srv.table.Lookup(cmd.Args, s.srv.policyContext)
	if d.Spec != nil {
		s.lastCommand.Store(d.Spec)
		s.srv.metrics.count(d.Spec)
	}
	if s.tracked != nil {
		s.nextCaching(d.Spec)
	}
	if !s.authenticated && d.Spec != nil && !s.awaitUsers(d.Spec.Name) {
		s.srv.metrics.reject(d.Spec, true)
		return
	}
	if s.multi != nil || !s.authenticated || d.Err != "" || d.Policy == policy.Local || s.sub != nil || s.monitor != nil {
		s.endPhase()
		if !s.ended {
			s.timeAlone(cmd, d)
		}
		return
	}
	if s.limited {
		if text := s.denied(d.Spec, cmd.Args); text != "" {
			if s.endPhase(); !s.ended {
				s.out = appendError(s.out, text)
				s.srv.metrics.reject(d.Spec, false)
				s.srv.metrics.errors.noteText(text)
			}
			return
		}
	}
	if s.srv.attention.Load() && !s.attendTo(cmd, d) {
		return
	}
	hasRoom := s.hasRoom(d.Spec.Grows)
	if s.ended {
		return
	}
	if !hasRoom {
		s.endPhase()
		s.out = appendError(s.out, errTextFull)
		s.srv.metrics.reject(d.Spec, false)
		s.srv.metrics.errors.noteText(errTextFull)
		return
	}
	if d.Spec.Grows {
		s.noteGrowth(d.Spec.Name, cmd.Args, len(cmd.Raw))
	}
	s.runData(cmd, d)
}

// runData runs a command that concerns the data.
func (s *session) runData(cmd redcon.Command, d policy.Decision) {
	if d.Spec.MayBlock() {
		if b, ok := d.Spec.Blocks(cmd.Args); ok {
			if s.endPhase(); !s.ended {
				a := s.beginAlone()
				s.runBlocking(cmd, d, b)
				s.endAlone(a, d.Spec)
			}
			return
		}
	}
	switch d.Policy {
	case policy.Write, policy.WriteTime:
		s.addWrite(cmd, d)
	case policy.Read, policy.ReadTime:
		s.addRead(cmd, d)
	case policy.WriteScript, policy.ReadScript:
		s.addScript(cmd, d)
	case policy.Choice:
		s.endPhase()
		if !s.ended {
			a := s.beginAlone()
			s.runChoice(cmd, d)
			s.endAlone(a, d.Spec)
		}
	case policy.Static:
		s.endPhase()
		if !s.ended {
			a := s.beginAlone()
			s.runStatic(cmd)
			s.endAlone(a, d.Spec)
		}
	default:
		s.endPhase()
		s.out = appendError(s.out, "ERR nexus: command is refused")
	}
}

// attendTo waits for the end of a pause, tells the monitors, and answers what cannot run at all. It reports false if the command must not run any more.
func (s *session) attendTo(cmd redcon.Command, d policy.Decision) bool {
	if s.refuseBusy(d.Spec) || s.refuseWithoutReplicas(d, cmd.Args) || !s.awaitPause(d, cmd.Args) {
		return false
	}
	if s.monitor != nil && (d.Spec.Name == "reset" || d.Spec.Name == "quit") {
		// Redis tells monitors of a command when it has run, and these two end the client's own MONITOR.
		s.srv.monitors.remove(s.monitor)
	}
	switch {
	case s.multi == nil:
		s.watched(d.Spec, cmd.Args)
	case d.Spec.Name == "exec":
		s.watchedExec(s.multi, d.Spec, cmd.Args)
	case notQueued[d.Spec.Name]:
		s.watched(d.Spec, cmd.Args)
	}
	return true
}

// touchesData reports whether a command needs the data.
func touchesData(d policy.Decision) bool {
	return d.Policy.Writes() || d.Policy == policy.Read || d.Policy == policy.ReadTime || d.Policy == policy.ReadScript
}

// endPhase runs what has been collected and appends its replies.
func (s *session) endPhase() {
	p := s.phase
	s.phase = phaseNone
	switch p {
	case phaseReads:
		begin := time.Now()
		s.runReads()
		took := time.Since(begin)
		s.srv.metrics.reads.observe(1, took)
		s.tookReads(took)
		s.reads.clear()
	case phaseWrites:
		begin := time.Now()
		s.runWrites()
		took := time.Since(begin)
		s.srv.metrics.writes.observe(1, took)
		s.tookWrites(took)
		s.writes.specs = s.writes.specs[:0]
	}
	s.flushLarge()
}

// timeAlone is runAlone with a look at the clock. What is only queued is a part of its EXEC.
func (s *session) timeAlone(cmd redcon.Command, d policy.Decision) {
	a := s.beginAlone()
	if s.runAlone(cmd, d) {
		s.endAlone(a, d.Spec)
	}
	s.flushLarge()
}

// runAlone handles what is no part of a phase: errors, commands of the session itself, and everything inside of MULTI.
// The order of the checks is that of Redis: existence and arity, authentication, the rest. It reports whether the
// command is answered, rather than queued, or handed to runData, which sees to the rest.
func (s *session) runAlone(cmd redcon.Command, d policy.Decision) (answered bool) {
	if s.rejects(cmd, d) {
		s.srv.metrics.reject(d.Spec, true)
		return true
	}
	switch {
	case s.control(d.Spec, cmd.Args):
	case s.multi != nil:
		s.queue(cmd, d)
		return false
	case d.Policy == policy.Local:
		s.out = s.runLocal(s.out, d.Spec, cmd.Args)
	default:
		// Of a client that is not like others, but whose command is.
		s.runData(cmd, d)
		return false
	}
	return true
}

// rejects answers a command that must not be executed, nor queued, and reports whether it did.
func (s *session) rejects(cmd redcon.Command, d policy.Decision) bool {
	switch {
	case d.Err != "" && d.Spec != nil && d.Spec.Name == "exec" && (s.authenticated || !fits(d.Spec, cmd.Args)):
		s.endMulti()
		s.out = appendError(s.out, "EXECABORT Transaction discarded because of: "+strings.TrimPrefix(d.Err, "ERR "))
	case d.Err != "" && (d.Spec == nil || !fits(d.Spec, cmd.Args)):
		s.abort()
		s.out = appendError(s.out, d.Err)
	case !s.authenticated && !withoutAuth(d.Spec) && (s.mustLogIn || !beforeUsers[d.Spec.Name]):
		s.abort()
		s.out = appendError(s.out, errTextNoAuth)
	case s.multi != nil && notInMulti(d.Spec):
		s.abort()
		s.out = appendError(s.out, "ERR Command not allowed inside a transaction")
	case s.authenticated && s.limited && s.refuseDenied(d.Spec, cmd.Args):
	case s.subscribed() && !allowedSubscribed(d.Spec):
		s.abort()
		s.out = appendError(s.out, errTextSubscribed(d.Spec))
	case s.monitor != nil && touchesData(d):
		s.abort()
		s.out = appendError(s.out, errTextMonitor)
	case d.Err != "" && (s.multi == nil || isRefusal(d)):
		s.abort()
		s.out = appendError(s.out, d.Err)
	case s.srv.attention.Load() && !s.attendTo(cmd, d):
	case (d.Spec.Grows || s.multi != nil && (!notQueued[d.Spec.Name] || d.Spec.Name == "multi")) && !s.hasRoom(true):
		s.abort()
		s.out = appendError(s.out, errTextFull)
	default:
		return false
	}
	return true
}

// refuseDenied answers a command that the user may not run, and reports whether it did.
func (s *session) refuseDenied(spec *policy.Spec, args [][]byte) bool {
	text := s.denied(spec, args)
	if text == "" {
		return false
	}
	s.abort()
	if spec.Name == "exec" {
		s.endMulti()
		text = "EXECABORT Transaction discarded because of: " + text
	}
	s.out = appendError(s.out, text)
	return true
}

// notInMulti reports whether Redis has another error for the command inside of MULTI than outside.
func notInMulti(spec *policy.Spec) bool {
	switch spec.Name {
	case "psync", "save", "shutdown", "sync":
		return true
	}
	return false
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

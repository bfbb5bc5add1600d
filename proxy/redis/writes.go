package redis

import (
	"errors"
	"slices"

	"github.com/tidwall/redcon"

	backend "github.com/nexus-replication/nexus/appliers/redis"
	"github.com/nexus-replication/nexus/proxy/redis/policy"
	"github.com/nexus-replication/nexus/proxy/redis/script"
	"github.com/nexus-replication/nexus/raft"
	"github.com/nexus-replication/nexus/raft/failpoint"
)

// writePhase collects the writes that are proposed in one call.
type writePhase struct {
	ops [][]byte
	// specs are the commands that the ops were made of.
	specs []*policy.Spec
	// arena holds the encoded ops. After an error it is given up, because the proposal may still be under way.
	arena []byte
	// size is the sum of the commands collected, in bytes.
	size int
	// calls are those of scripts among the ops, in order.
	calls []writeCall
	// groups are the ops, by their place, whose replies GroupReply converts.
	groups []int
}

// writeCall is a script at a place in the ops.
type writeCall struct {
	at   int
	call *script.Call
}

// opOverhead is what the encoding of an item adds to the command, at most.
const opOverhead = 24

func (w *writePhase) trim() {
	if cap(w.ops) > 1024 {
		w.ops, w.specs = nil, nil
	}
	if cap(w.arena) > keepBytes {
		w.arena = nil
	}
}

// addWrite collects a write, or answers at once one that Redis would reject without looking at the data.
func (s *session) addWrite(cmd redcon.Command, d policy.Decision) {
	if d.Policy == policy.WriteTime {
		if _, _, errText := policy.RewriteTime(cmd.Args, failpoint.Now().UnixMilli()); errText != "" {
			s.endPhase()
			s.out = appendError(s.out, errText)
			return
		}
	}
	if s.tracked != nil {
		s.noteRead(d.Spec, cmd.Args)
	}
	if s.addItem(d.Spec, backend.Item{DB: s.db, Cmd: cmd.Raw, Flags: s.writeFlags(d)}) && isGroupRead(d.Spec) {
		s.writes.groups = append(s.writes.groups, len(s.writes.ops)-1)
	}
}

// addItem collects an item that a command was made into. It reports false if the session has ended instead.
func (s *session) addItem(spec *policy.Spec, item backend.Item) bool {
	w := &s.writes
	if s.phase != phaseWrites || len(w.ops) >= s.srv.cfg.MaxPipelineCommands ||
		(len(w.ops) > 0 && w.size+len(item.Cmd) > s.srv.cfg.MaxPipelineBytes) {
		s.endPhase()
		if s.ended {
			return false
		}
		s.phase = phaseWrites
	}
	start := len(w.arena)
	if cap(w.arena)-start < len(item.Cmd)+opOverhead {
		// The ops before stay where they are; only new ones go to the new arena.
		w.arena, start = make([]byte, 0, max(len(item.Cmd)+opOverhead, min(2*cap(w.arena), 64<<10))), 0
	}
	w.arena = backend.AppendOp(w.arena, item)
	w.ops = append(w.ops, w.arena[start:len(w.arena):len(w.arena)])
	w.specs = append(w.specs, spec)
	w.size += len(item.Cmd)
	return true
}

// isGroupRead reports whether the reply of a command is converted by GroupReply.
func isGroupRead(spec *policy.Spec) bool { return spec.Name == "xreadgroup" }

// writeFlags returns the flags of a write. Those of a plain SET, which can only drop a deadline, are left out while no
// key has one: the applier then need not look into it, and its index may name too many keys, but never too few.
func (s *session) writeFlags(d policy.Decision) backend.ItemFlags {
	flags := s.replyFlags()
	if d.Policy == policy.WriteTime || d.Policy == policy.Choice {
		flags |= backend.ItemTime
	}
	switch s.srv.deadlines[d.Spec] {
	case dropsDeadline:
		if _, any := s.srv.backend.NextDue(); any || d.Policy == policy.WriteTime {
			flags |= backend.ItemDeadline
		}
	case changesDeadline:
		flags |= backend.ItemDeadline
	}
	return flags
}

// replyFlags returns the flags that the protocol of the session asks for.
func (s *session) replyFlags() backend.ItemFlags {
	if s.protocol == backend.RESP3 {
		return backend.ItemRESP3
	}
	return 0
}

// deadlineEffect is what a command may do to the deadlines of keys.
type deadlineEffect uint8

const (
	noDeadline deadlineEffect = iota
	dropsDeadline
	changesDeadline
)

// deadlineEffects finds the commands that concern deadlines.
func deadlineEffects(table *policy.Table) map[*policy.Spec]deadlineEffect {
	effects := make(map[*policy.Spec]deadlineEffect)
	for _, name := range []string{
		"setex", "psetex", "getex", "restore", "expire", "pexpire", "expireat", "pexpireat", "persist",
		"rename", "renamenx", "copy", "move", "swapdb", "flushdb", "flushall",
	} {
		effects[table.Spec(name)] = changesDeadline
	}
	effects[table.Spec("set")] = dropsDeadline
	delete(effects, nil)
	return effects
}

// runWrites proposes what was collected and appends the replies.
func (s *session) runWrites() {
	w := &s.writes
	ops := w.ops
	outcome, errText := s.propose(ops)
	if errText != "" {
		for _, spec := range w.specs {
			s.out = appendError(s.out, errText)
			s.srv.metrics.times.failed(spec)
			s.srv.metrics.errors.noteText(errText)
		}
	} else {
		calls := w.calls
		for i := range outcome.Replies {
			if len(calls) > 0 && calls[0].at == i {
				s.convertScript(calls[0].call, &outcome.Replies[i])
				calls = calls[1:]
			}
			if len(w.groups) > 0 && slices.Contains(w.groups, i) {
				outcome.Replies[i].Data = s.appendGroupReply(nil, outcome.Replies[i].Data)
			}
			if r := &outcome.Replies[i]; r.Err != nil || len(r.Data) > 0 && r.Data[0] == '-' {
				s.srv.metrics.times.failed(w.specs[i])
				s.srv.metrics.errors.noteReply(r)
			}
			s.appendReply(&outcome.Replies[i])
		}
	}
	w.size, w.groups = 0, w.groups[:0]
	if len(w.calls) > 0 {
		clear(w.calls)
		w.calls = w.calls[:0]
	}
	if errText != "" {
		w.arena, w.ops = nil, nil
		return
	}
	clear(ops)
	w.arena, w.ops = w.arena[:0], ops[:0]
}

func (s *session) appendReply(r *raft.Reply) {
	if r.Err != nil {
		s.out = appendError(s.out, lostReplyText(r.Err))
		return
	}
	s.out = append(s.out, r.Data...)
	s.flushLarge()
}

// propose returns the outcome of ops, or the error text that is the reply to each of them. The outcome has one reply for
// each op.
func (s *session) propose(ops [][]byte) (raft.Outcome, string) {
	if s.failed {
		return raft.Outcome{}, errTextEarlier
	}
	if s.conn.Closed() {
		// Nobody waits for the rest of the pipeline: CLIENT KILL, a subscriber that was closed.
		s.ended = true
		return raft.Outcome{}, wordNotDone + "the connection was closed"
	}
	s.srv.entrance.letPass()
	outcome, err := s.srv.rep.ProposeArrived(s.writeContext(ops), s.takeArrived(), ops)
	s.clock.stop()
	if s.growth > 0 {
		s.srv.memory.grown.Add(s.growth)
		s.growth = 0
	}
	if err != nil {
		s.failed = !errors.Is(err, raft.ErrTooLarge)
		s.srv.metrics.failed(err)
		return raft.Outcome{}, writeErrorText(err)
	}
	s.prove()
	s.noteWrites(ops, outcome.Index)
	s.srv.tracker.await(outcome.Index)
	if len(outcome.Replies) != len(ops) {
		s.broken("a proposal came back with another number of replies", "ops", len(ops), "replies", len(outcome.Replies))
		return raft.Outcome{}, wordUnknown + "internal error"
	}
	return outcome, ""
}

package redis

import (
	"time"

	"github.com/tidwall/redcon"

	backend "github.com/nexus-replication/nexus/appliers/redis"
	"github.com/nexus-replication/nexus/proxy/redis/policy"
	"github.com/nexus-replication/nexus/raft"
)

// transaction is what a client queued since MULTI.
type transaction struct {
	cmds  []queued
	bytes int
	// dirty is set when a command could not be queued; EXEC then executes nothing.
	dirty bool
}

type queued struct {
	cmd redcon.Command
	d   policy.Decision
}

// queuedOverhead is about what a queued command needs beside its bytes; it keeps empty commands from being free.
const queuedOverhead = 128

// queue takes a command into the transaction.
func (s *session) queue(cmd redcon.Command, d policy.Decision) {
	t := s.multi
	t.bytes += len(cmd.Raw) + len(cmd.Args)*24 + queuedOverhead
	if t.bytes > s.srv.cfg.MaxTransactionBytes {
		t.dirty, t.cmds = true, nil
		s.out = appendError(s.out, errTextTooLarge)
		return
	}
	if !t.dirty {
		t.cmds = append(t.cmds, queued{cmd: cmd, d: d})
	}
	s.shown.Lock()
	s.shown.queued++
	s.shown.Unlock()
	s.out = append(s.out, replyQueued...)
}

// control runs the commands that a transaction does not queue. It reports false for all others.
func (s *session) control(spec *policy.Spec, args [][]byte) bool {
	switch spec.Name {
	case "multi":
		if s.multi != nil {
			s.out = appendError(s.out, errTextNestedMulti)
			return true
		}
		s.setMulti(&transaction{})
		s.out = append(s.out, replyOK...)
	case "exec":
		s.exec()
	case "discard":
		if s.multi == nil {
			s.out = appendError(s.out, "ERR DISCARD without MULTI")
			return true
		}
		s.setMulti(nil)
		s.out = append(s.out, replyOK...)
	case "quit":
		s.out = append(s.out, replyOK...)
		s.ended = true
	case "reset":
		s.reset()
		s.out = append(s.out, "+RESET\r\n"...)
	default:
		return false
	}
	return true
}

// step is how one queued command gets its place in the reply to EXEC.
type step struct {
	// literal is the reply if the proxy gave it; otherwise the backend's next reply is taken.
	literal []byte
	// convert names the command whose reply is made from that of the backend.
	convert string
}

// exec proposes the queued commands as one op, which every replica executes atomically.
func (s *session) exec() {
	t := s.multi
	if t == nil {
		s.out = appendError(s.out, "ERR EXEC without MULTI")
		return
	}
	s.setMulti(nil)
	if t.dirty {
		s.out = appendError(s.out, errTextAbort)
		return
	}
	if s.failed {
		s.out = appendError(s.out, errTextEarlier)
		return
	}
	db := s.db
	steps, items, plain := s.plan(t)
	if len(items) == 0 {
		s.out = appendArray(s.out, len(steps))
		for _, st := range steps {
			s.out = append(s.out, st.literal...)
		}
		return
	}
	outcome, errText := s.propose([][]byte{backend.AppendOp(nil, items...)})
	if errText == "" && outcome.Replies[0].Err != nil {
		errText = lostReplyText(outcome.Replies[0].Err)
	}
	if errText != "" {
		s.setDB(db)
		s.out = appendError(s.out, errText)
		return
	}
	mark := len(s.out)
	s.out = appendArray(s.out, len(steps))
	if plain {
		s.out = append(s.out, outcome.Replies[0].Data...)
		return
	}
	if err := s.appendSteps(steps, &outcome); err != nil {
		s.out = appendError(s.out[:mark], wordLost+"internal error")
		s.broken("a transaction came back with a malformed reply", "error", err)
	}
}

// plan turns queued commands into items for the log, in order, and the steps of their replies. Commands of the session
// itself are executed here. plain is true if the replies are the backend's alone.
func (s *session) plan(t *transaction) (steps []step, items []backend.Item, plain bool) {
	steps = make([]step, 0, len(t.cmds))
	items = make([]backend.Item, 0, len(t.cmds))
	plain = true
	now := time.Now().UnixMilli()
	for i := range t.cmds {
		st, item, sent := s.planOne(&t.cmds[i], now)
		if sent {
			items = append(items, item)
		}
		plain = plain && sent && st.convert == ""
		steps = append(steps, st)
	}
	return steps, items, plain
}

// planOne reports true with the item to be sent, or false with the reply in the step.
func (s *session) planOne(q *queued, now int64) (step, backend.Item, bool) {
	item := backend.Item{DB: s.db, Cmd: q.cmd.Raw}
	switch {
	case q.d.Err != "":
		return step{literal: appendError(nil, q.d.Err)}, item, false
	case q.d.Policy == policy.Local:
		return step{literal: s.runLocal([]byte{}, q.d.Spec, q.cmd.Args)}, item, false
	case q.d.Policy == policy.ReadTime:
		item.Cmd = appendRequest(nil, policy.ReadTimeCommand(q.cmd.Args)...)
		return step{convert: q.d.Spec.Name}, item, true
	case q.d.Policy == policy.WriteTime:
		if _, _, errText := policy.RewriteTime(q.cmd.Args, now); errText != "" {
			return step{literal: appendError(nil, errText)}, item, false
		}
	}
	st := step{}
	if q.d.Policy.Writes() {
		item.Flags = s.writeFlags(q.d)
		if isGroupRead(q.d.Spec) {
			st.convert = q.d.Spec.Name
		}
	}
	return st, item, true
}

// appendSteps appends the replies to a transaction. TTLs count from the moment at which the transaction was logged.
func (s *session) appendSteps(steps []step, outcome *raft.Outcome) error {
	replies := outcome.Replies[0].Data
	for _, st := range steps {
		if st.literal != nil {
			s.out = append(s.out, st.literal...)
			continue
		}
		n, err := replyLen(replies)
		if err != nil {
			return err
		}
		if st.convert != "" {
			s.out = convertReply(s.out, st.convert, replies[:n], outcome.Stamp)
		} else {
			s.out = append(s.out, replies[:n]...)
		}
		replies = replies[n:]
	}
	return nil
}

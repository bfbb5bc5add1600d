package redis

import (
	"time"

	"github.com/tidwall/redcon"

	backend "github.com/nexus-replication/nexus/appliers/redis"
	"github.com/nexus-replication/nexus/proxy/redis/acl"
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
	// shown is the reply to a command that was run before the others.
	shown []byte
	// shows is set for a command that is to show what others before it have changed.
	shows bool
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
		begun := time.Now()
		s.exec()
		s.srv.metrics.transactions.observe(1, time.Since(begun))
	case "watch":
		s.cmdWatch(args)
	case "discard":
		if s.multi == nil {
			s.out = appendError(s.out, "ERR DISCARD without MULTI")
			return true
		}
		s.endMulti()
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

// endMulti gives up the transaction, if there is one, and what is watched.
func (s *session) endMulti() {
	s.setMulti(nil)
	s.unwatch()
}

// notQueued are the commands that control runs.
var notQueued = map[string]bool{"multi": true, "exec": true, "discard": true, "quit": true, "reset": true}

// exec proposes the queued commands as one op, which every replica executes atomically.
func (s *session) exec() {
	t := s.multi
	if t == nil {
		s.out = appendError(s.out, "ERR EXEC without MULTI")
		return
	}
	s.setMulti(nil)
	switch {
	case t.dirty:
		s.unwatch()
		s.out = appendError(s.out, errTextAbort)
		return
	case s.failed:
		s.unwatch()
		s.out = appendError(s.out, errTextEarlier)
		return
	case !s.hasRoom(t.grows()):
		s.unwatch()
		s.out = appendError(s.out, "EXECABORT Transaction discarded because of: "+errTextFull)
		return
	}
	if errText := s.prepareScripts(t); errText != "" {
		s.unwatch()
		s.out = appendError(s.out, errText)
		return
	}
	if t.subscribes() {
		s.flush()
		s.beginCapture()
		defer s.endCapture()
	}
	conditions, ok, err := s.untouched(t.logged())
	switch {
	case err != nil:
		s.fail(err, true)
		s.out = appendError(s.out, readErrorText(err))
		return
	case !ok:
		s.srv.metrics.touched.Add(1)
		s.out = s.appendNullArray(s.out)
		return
	}
	s.execute(t, conditions)
}

// execute runs a transaction whose watched keys were not touched as far as this node knows.
func (s *session) execute(t *transaction, conditions []backend.Item) {
	before := s.standing()
	steps, items, plain := s.plan(t)
	if len(items) == 0 {
		s.out = appendArray(s.out, len(steps))
		mark := len(s.out)
		for _, st := range steps {
			s.appendOwn(&st)
		}
		s.srv.metrics.countTransaction(t, s.out[mark:])
		return
	}
	s.noteGrowth("", nil, t.bytes)
	if len(conditions) == 0 {
		s.letGo(steps)
	}
	outcome, errText := s.propose([][]byte{backend.AppendOp(nil, append(conditions, items...)...)})
	if errText == "" && outcome.Replies[0].Err != nil {
		errText = lostReplyText(outcome.Replies[0].Err)
	}
	if errText != "" {
		s.restore(before)
		s.out = appendError(s.out, errText)
		return
	}
	if len(outcome.Replies[0].Data) == 0 {
		// The leader found a watched key touched.
		s.restore(before)
		s.srv.metrics.touched.Add(1)
		s.out = s.appendNullArray(s.out)
		return
	}
	mark := len(s.out)
	s.out = appendArray(s.out, len(steps))
	replies := len(s.out)
	if plain {
		s.out = append(s.out, outcome.Replies[0].Data...)
	} else if err := s.appendSteps(steps, &outcome); err != nil {
		s.out = appendError(s.out[:mark], wordLost+"internal error")
		s.broken("a transaction came back with a malformed reply", "error", err)
		return
	}
	s.srv.metrics.countTransaction(t, s.out[replies:])
}

// standing is what the commands of a transaction may have changed of the session when it turns out that they were not
// executed.
type standing struct {
	db            int
	name          string
	protocol      backend.Protocol
	authenticated bool
	unproven      bool
	user          *acl.User
	tracked       *tracked
	noEvict       bool
}

func (s *session) standing() standing {
	s.shown.Lock()
	noEvict := s.shown.noEvict
	s.shown.Unlock()
	return standing{db: s.db, name: s.name, protocol: s.protocol, authenticated: s.authenticated, unproven: s.unproven, user: s.user,
		tracked: s.tracked, noEvict: noEvict}
}

func (s *session) restore(to standing) {
	s.setDB(to.db)
	s.setName(to.name)
	s.setProtocol(to.protocol)
	s.setUser(to.user)
	s.setAuthenticated(to.authenticated)
	s.unproven = to.unproven
	s.setNoEvict(to.noEvict)
	s.restoreTracking(to.tracked)
}

// appendSteps appends the replies to a transaction. TTLs count from the moment at which the transaction was logged.
func (s *session) appendSteps(steps []step, outcome *raft.Outcome) error {
	replies := outcome.Replies[0].Data
	for _, st := range steps {
		if s.appendOwn(&st) {
			continue
		}
		n, err := replyLen(replies)
		if err != nil {
			return err
		}
		if err := s.appendStep(&st, replies[:n], outcome.Stamp); err != nil {
			return err
		}
		replies = replies[n:]
	}
	return nil
}

// appendStep appends the reply to a command given the backend's. A HELLO behind it in the transaction was executed
// already.
func (s *session) appendStep(st *step, reply []byte, stamp int64) (err error) {
	final := s.protocol
	s.protocol = st.protocol
	defer func() { s.protocol = final }()
	switch {
	case st.call != nil:
		s.out, err = s.appendScript(s.out, st.call, reply)
	case st.convert != "":
		s.out = s.convertReply(s.out, st.convert, reply, stamp)
	default:
		s.out = append(s.out, reply...)
	}
	return err
}

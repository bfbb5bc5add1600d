package redis

import (
	"time"

	"github.com/tidwall/redcon"

	backend "github.com/nexus-replication/nexus/appliers/redis"
	"github.com/nexus-replication/nexus/proxy/redis/acl"
	"github.com/nexus-replication/nexus/proxy/redis/policy"
	"github.com/nexus-replication/nexus/proxy/redis/script"
	"github.com/nexus-replication/nexus/raft"
	"github.com/nexus-replication/nexus/raft/failpoint"
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

// step is how one queued command gets its place in the reply to EXEC.
type step struct {
	// literal is the reply if the proxy gave it; otherwise the backend's next reply is taken.
	literal []byte
	// convert names the command whose reply is made from that of the backend.
	convert string
	// later is a command that the session runs when the others have been executed.
	later *queued
	// call is the script that the reply is of.
	call *script.Call
	// protocol is the client's at that command.
	protocol backend.Protocol
}

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

// plan turns queued commands into items for the log, in order, and the steps of their replies. Commands of the session
// itself are executed here. plain is true if the replies are the backend's alone.
func (s *session) plan(t *transaction) (steps []step, items []backend.Item, plain bool) {
	steps = make([]step, 0, len(t.cmds))
	items = make([]backend.Item, 0, len(t.cmds))
	plain = true
	s.planning = true
	defer func() { s.planning = false }()
	now := failpoint.Now().UnixMilli()
	configured, changed, affected := false, false, false
	for i := range t.cmds {
		protocol := s.protocol
		q := &t.cmds[i]
		changed = changed || q.d.Policy.Writes() && q.d.Err == ""
		q.shows = changed && showsChanges[q.d.Spec.Name] || affected && showsEffects[q.d.Spec.Name]
		configured = configured || q.d.Spec.Name == "config|set"
		if q.d.Spec.Name == "config|get" && q.d.Err == "" && !configured {
			// It is to show what the settings were before.
			q.shown = s.runLocal([]byte{}, q.d.Spec, q.cmd.Args)
		}
		st, item, sent := s.planOne(q, now)
		st.protocol = protocol
		affected = affected || st.later != nil
		if sent {
			items = append(items, item)
		}
		plain = plain && sent && st.convert == "" && st.call == nil
		steps = append(steps, st)
	}
	return steps, items, plain
}

// subscribes reports whether the transaction has a command whose replies come through a subscription.
func (t *transaction) subscribes() bool {
	for i := range t.cmds {
		if subscriptionCommands[t.cmds[i].d.Spec.Name] {
			return true
		}
	}
	return false
}

// hasEffect are commands that change something beyond the session, and what shows it: they must not be run for a
// transaction that is not executed.
var hasEffect = map[string]bool{
	"acl|deluser": true, "acl|load": true, "acl|log": true, "acl|setuser": true, "config|get": true, "config|resetstat": true, "slowlog|reset": true, "latency|reset": true,
	"client|kill": true, "client|pause": true, "client|unpause": true, "client|unblock": true,
}

// showsChanges are commands that show what the commands before them in a transaction have changed. What stands behind them
// is not to be seen, but is if it changes something too.
var showsChanges = map[string]bool{"info": true, "lastsave": true, "memory|stats": true, "memory|doctor": true, "role": true}

// showsEffects are commands that show what those of hasEffect, and CONFIG SET, have changed. Behind one of these they are run
// later, too.
var showsEffects = map[string]bool{
	"acl|dryrun": true, "acl|getuser": true, "acl|list": true, "acl|users": true, "client|list": true, "info": true,
	"latency|doctor": true, "latency|graph": true, "latency|histogram": true, "latency|history": true, "latency|latest": true,
	"slowlog|get": true, "slowlog|len": true,
}

// runLater reports whether the session runs a queued command when the others have been executed: also those that have
// their reply from a subscription, which are the ones that make it, and PING behind them.
func (s *session) runLater(q *queued) bool {
	spec := q.d.Spec
	return q.shows || hasEffect[spec.Name] || s.captured != nil && (subscriptionCommands[spec.Name] || spec.Name == "ping")
}

// appendOwn appends the reply to a command that the session runs by itself. It reports false for the others.
func (s *session) appendOwn(st *step) bool {
	switch {
	case st.later != nil:
		s.out = s.runLocal(s.out, st.later.d.Spec, st.later.cmd.Args)
	case st.literal != nil:
		s.out = append(s.out, st.literal...)
	default:
		return false
	}
	return true
}

// planOne reports true with the item to be sent, or false with the reply in the step.
func (s *session) planOne(q *queued, now int64) (step, backend.Item, bool) {
	item := backend.Item{DB: s.db, Flags: s.replyFlags(), Cmd: q.cmd.Raw}
	denial := ""
	if s.limited {
		denial = s.deniedAtExec(q.d.Spec, q.cmd.Args)
	}
	switch {
	case q.d.Err != "":
		return step{literal: appendError(nil, q.d.Err)}, item, false
	case denial != "":
		return step{literal: appendError(nil, denial)}, item, false
	case q.shown != nil:
		return step{literal: q.shown}, item, false
	case q.d.Spec.Name == "config|set":
		return s.planConfigSet(q, item)
	case s.runLater(q):
		return step{later: q}, item, false
	case q.d.Spec.Name == "monitor":
		return step{literal: appendError(nil, "ERR MONITOR isn't allowed for DENY BLOCKING client")}, item, false
	case q.d.Spec.Name == "client|reply":
		// It would leave a hole in the reply to EXEC.
		return step{literal: appendError(nil, "ERR nexus: CLIENT REPLY is not executed in a transaction")}, item, false
	case q.d.Policy == policy.Local:
		return step{literal: s.runLocal([]byte{}, q.d.Spec, q.cmd.Args)}, item, false
	case q.d.Policy == policy.WriteScript || q.d.Policy == policy.ReadScript:
		call, errText := s.srv.scripts.lib.Build(q.d.Spec.Name, q.cmd.Args, s.caller())
		if errText != "" {
			return step{literal: appendError(nil, errText)}, item, false
		}
		if s.tracked != nil {
			s.noteRead(q.d.Spec, q.cmd.Args)
		}
		return step{call: call}, s.scriptItem(call), true
	case q.d.Policy == policy.ReadTime:
		if s.tracked != nil {
			s.noteRead(q.d.Spec, q.cmd.Args)
		}
		item.Cmd = appendRequest(nil, policy.ReadTimeCommand(q.cmd.Args)...)
		return step{convert: q.d.Spec.Name}, item, true
	case q.d.Policy == policy.WriteTime:
		if _, _, errText := policy.RewriteTime(q.cmd.Args, now); errText != "" {
			return step{literal: appendError(nil, errText)}, item, false
		}
	}
	if s.tracked != nil {
		s.noteRead(q.d.Spec, q.cmd.Args)
	}
	st := step{}
	if q.d.Policy.Writes() {
		item.Flags = s.writeFlags(q.d)
		switch {
		case isGroupRead(q.d.Spec):
			st.convert = q.d.Spec.Name
			item.Cmd = appendRequest(nil, policy.WithoutBlock(q.cmd.Args)...)
		case q.d.Policy == policy.Choice:
			st.convert = q.d.Spec.Name
		}
	}
	return st, item, true
}

// planConfigSet makes a CONFIG SET of what is the cluster's a part of the op, so that the commands behind it find it done.
// One with something else is run when the others have been executed.
func (s *session) planConfigSet(q *queued, item backend.Item) (step, backend.Item, bool) {
	settings, errText := s.parseConfigSet(q.cmd.Args)
	if errText != "" {
		return step{literal: appendError(nil, errText)}, item, false
	}
	args := [][]byte{[]byte("CONFIG"), []byte("SET")}
	for _, set := range settings {
		if set.Scope == policy.ScopeNode || set.Scope == policy.ScopeBackend {
			return step{later: q}, item, false
		}
		if set.Scope == policy.ScopeCluster {
			args = append(args, []byte(set.Name), []byte(set.Value))
		}
	}
	if len(args) == 2 {
		return step{literal: []byte(replyOK)}, item, false
	}
	item.Cmd = backend.AppendCommand(nil, args...)
	return step{}, item, true
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

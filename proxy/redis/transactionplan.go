package redis

import (
	backend "github.com/nexus-replication/nexus/appliers/redis"
	"github.com/nexus-replication/nexus/proxy/redis/policy"
	"github.com/nexus-replication/nexus/proxy/redis/script"
	"github.com/nexus-replication/nexus/raft/failpoint"
)

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
	"acl|deluser": true, "acl|load": true, "acl|log": true, "acl|setuser": true, "bgsave": true, "config|get": true, "config|resetstat": true, "slowlog|reset": true, "latency|reset": true,
	"client|kill": true, "client|pause": true, "client|unpause": true, "client|unblock": true,
}

// showsChanges are commands that show what the commands before them in a transaction have changed. What stands behind them
// is not to be seen, but is if it changes something too.
var showsChanges = map[string]bool{"info": true, "lastsave": true, "memory|stats": true, "memory|doctor": true, "role": true}

// showsEffects are commands that show what those of hasEffect, and CONFIG SET, have changed. Behind one of these they are run
// later, too.
var showsEffects = map[string]bool{
	"acl|dryrun": true, "acl|getuser": true, "acl|list": true, "acl|users": true, "client|list": true, "info": true,
	"lastsave": true, "latency|doctor": true, "latency|graph": true, "latency|histogram": true, "latency|history": true, "latency|latest": true,
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

package redis

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"

	"github.com/tidwall/redcon"

	backend "github.com/nexus-replication/nexus/appliers/redis"
	"github.com/nexus-replication/nexus/proxy/redis/policy"
	"github.com/nexus-replication/nexus/proxy/redis/script"
	"github.com/nexus-replication/nexus/raft"
	"github.com/nexus-replication/nexus/raft/failpoint"
)

// scriptHost sees to it that the backends have the library that runs scripts.
type scriptHost struct {
	lib     *script.Library
	rep     scriptReplicator
	backend scriptReader
	// db is one that items may name.
	db int
	// ready is set when the library was seen. It stays where it is, as the log never takes it away.
	ready atomic.Bool

	mu sync.Mutex
	// kept are scripts that all replicas know; true if they do not write. It may hold some that were flushed since.
	kept map[string]bool
}

type scriptReplicator interface {
	Propose(ctx context.Context, cmds [][]byte) (raft.Outcome, error)
	Read(ctx context.Context, fn func(context.Context) error) error
}

type scriptReader interface {
	ReadAs(ctx context.Context, p backend.Protocol, db int, request []byte, n int) (replies []byte, done int, err error)
}

// maxKept bounds scriptHost.kept.
const maxKept = 10_000

func newScriptHost(rep scriptReplicator, b scriptReader, databases, reserved int) *scriptHost {
	h := &scriptHost{lib: script.NewLibrary(databases, reserved, script.Steps), rep: rep, backend: b, kept: make(map[string]bool)}
	if reserved == 0 {
		h.db = 1
	}
	return h
}

// prepare returns when the library is on every backend that has applied what this one has.
func (h *scriptHost) prepare(ctx context.Context) error {
	if h.ready.Load() {
		return nil
	}
	var there bool
	err := h.rep.Read(ctx, func(ctx context.Context) error {
		reply, _, err := h.backend.ReadAs(ctx, backend.RESP2, h.db, h.lib.Ready(), 1)
		there = string(reply) == ":1\r\n"
		return err
	})
	if err == nil && !there {
		_, err = h.propose(ctx, backend.Item{DB: h.db, Cmd: h.lib.Load()})
	}
	if err != nil {
		return fmt.Errorf("%w: load the library that runs scripts: %w", raft.ErrNotDone, err)
	}
	h.ready.Store(true)
	return nil
}

var errScriptReply = errors.New("the backend has refused it")

// propose returns the reply to one item, which must not be an error.
func (h *scriptHost) propose(ctx context.Context, item backend.Item) ([]byte, error) {
	out, err := h.rep.Propose(ctx, [][]byte{backend.AppendOp(nil, item)})
	if err != nil {
		return nil, err
	}
	if len(out.Replies) != 1 {
		return nil, fmt.Errorf("%w: %d replies to one command", raft.ErrOutcomeUnknown, len(out.Replies))
	}
	r := out.Replies[0]
	if r.Err == nil && len(r.Data) > 0 && r.Data[0] == '-' {
		return nil, fmt.Errorf("%w: %.200q", errScriptReply, r.Data)
	}
	return r.Data, r.Err
}

// keep makes a script known to all replicas, unless it is. What is no script is left for its caller to find out.
func (h *scriptHost) keep(ctx context.Context, call *script.Call, db int) error {
	h.mu.Lock()
	_, kept := h.kept[call.SHA]
	h.mu.Unlock()
	if kept {
		return nil
	}
	_, err := h.propose(ctx, scriptItem(h.lib.PassScript(call.Body, db), db))
	if errors.Is(err, errScriptReply) {
		return nil
	}
	if err == nil {
		h.remember(call)
	}
	return err
}

// remember notes that the script of a call is known to all replicas.
func (h *scriptHost) remember(call *script.Call) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := h.kept[call.SHA]; ok {
		return
	}
	if len(h.kept) >= maxKept {
		clear(h.kept)
	}
	h.kept[call.SHA] = script.IsReadOnly(call.Body)
}

func (h *scriptHost) forget(sha string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.kept, sha)
}

// readOnly reports whether a script is known not to write.
func (h *scriptHost) readOnly(name string, args [][]byte) bool {
	switch name {
	case "eval":
		return script.IsReadOnly(args[1])
	case "evalsha":
		h.mu.Lock()
		defer h.mu.Unlock()
		return h.kept[string(args[1])]
	}
	return false
}

// scriptProtocol is the protocol in which the backend answers a call: that of the client, unless the reply is made into
// another one, for which it has to be RESP2.
func (s *session) scriptProtocol(call *script.Call) backend.Protocol {
	if call.AsIs() {
		return s.protocol
	}
	return backend.RESP2
}

// scriptItem is scriptItem for the client of the session.
func (s *session) scriptItem(call *script.Call) backend.Item {
	item := scriptItem(call, s.db)
	if s.scriptProtocol(call) == backend.RESP3 {
		item.Flags |= backend.ItemRESP3
	}
	return item
}

// scriptItem is a call as the sequencer takes it.
func scriptItem(call *script.Call, db int) backend.Item {
	item := backend.Item{DB: db, Cmd: call.Cmd, Flags: backend.ItemTime}
	if call.Writes() {
		item.Flags |= backend.ItemDeadline
	}
	return item
}

// addScript collects a command of scripts or functions for the log, or as a read.
func (s *session) addScript(cmd redcon.Command, d policy.Decision) {
	name, h := d.Spec.Name, s.srv.scripts
	reads := d.Policy == policy.ReadScript
	if !reads && h.readOnly(name, cmd.Args) {
		name, reads = name+"_ro", true
	}
	deny, errText := "", ""
	if !reads && isScriptCall(name) {
		if deny = s.deniesWrites(name, cmd.Args); deny != "" {
			name, reads, errText = asRead(name, cmd.Args, deny)
		}
	}
	try := !reads && s.srv.tries.worth(name, cmd.Args)
	if try {
		name, reads = name+"_try", true
	}
	var call *script.Call
	if errText == "" {
		call, errText = h.lib.Build(name, cmd.Args, s.caller())
	}
	if errText == "" {
		errText = s.prepareCall(call, reads)
	}
	if errText != "" {
		s.endPhase()
		s.out = appendError(s.out, errText)
		return
	}
	if reads {
		raw := call.Stamped(failpoint.Now().UnixMilli(), rand.Int32())
		s.collectRead(read{db: s.db, protocol: s.scriptProtocol(call), raw: raw, args: cmd.Args, spec: d.Spec, convert: true, call: call, deny: deny, try: try})
		return
	}
	if changesFunctions(name) {
		s.srv.tries.forgetFunctions()
	}
	if s.tracked != nil {
		s.noteRead(d.Spec, cmd.Args)
	}
	if s.addItem(d.Spec, s.scriptItem(call)) {
		s.writes.calls = append(s.writes.calls, writeCall{at: len(s.writes.ops) - 1, call: call})
	}
}

// runTried runs a script from the log that was tried as a read and came to a write.
func (s *session) runTried(rd read) {
	name := rd.spec.Name
	s.srv.tries.failed(name, rd.args)
	call, errText := s.srv.scripts.lib.Build(name, rd.args, s.caller())
	if errText != "" {
		s.out = appendError(s.out, errText)
		return
	}
	outcome, errText := s.propose([][]byte{backend.AppendOp(nil, s.scriptItem(call))})
	if errText != "" {
		s.out = appendError(s.out, errText)
		return
	}
	s.convertScript(call, &outcome.Replies[0])
	s.appendReply(&outcome.Replies[0])
}

func changesFunctions(name string) bool {
	switch name {
	case "function|load", "function|delete", "function|flush", "function|restore":
		return true
	}
	return false
}

// deniesWrites returns why a script must not write, or "".
func (s *session) deniesWrites(name string, args [][]byte) string {
	switch {
	case s.srv.settings.lacksReplicas():
		return errTextFewReplicas
	case s.hasRoom(true), name == "eval" && script.AllowsOOM(args[1]), name == "fcall" && s.hasFlag(args[1], "allow-oom"):
		return ""
	}
	return errTextFull
}

// readsOnly reports whether a command runs a script or function that says of itself that it does not write.
func (s *session) readsOnly(name string, args [][]byte) bool {
	return s.srv.scripts.readOnly(name, args) || name == "fcall" && s.hasFlag(args[1], "no-writes")
}

// hasFlag reports whether a function has a flag, as far as this node knows.
func (s *session) hasFlag(function []byte, flag string) bool {
	call, errText := s.srv.scripts.lib.Build("function|list", [][]byte{[]byte("FUNCTION"), []byte("LIST")}, script.Caller{DB: s.db})
	if errText != "" || s.prepareCall(call, true) != "" {
		return false
	}
	ctx, cancel := context.WithTimeout(s.srv.ctx, s.srv.cfg.Timeout)
	defer cancel()
	raw := call.Stamped(failpoint.Now().UnixMilli(), rand.Int32())
	reply, done, err := s.srv.backend.ReadAs(ctx, backend.RESP2, s.db, raw, 1)
	return err == nil && done == 1 && script.FunctionHasFlag(reply, function, flag)
}

// prepareCall makes sure that the backends can run a call.
func (s *session) prepareCall(call *script.Call, reads bool) (errText string) {
	h := s.srv.scripts
	if s.failed {
		return errTextEarlier
	}
	if h.ready.Load() && (!reads || call.Body == nil) {
		return ""
	}
	ctx, cancel := context.WithTimeoutCause(s.srv.ctx, s.srv.cfg.Timeout, &raft.NoAnswerError{After: s.srv.cfg.Timeout})
	defer cancel()
	err := h.prepare(ctx)
	if err == nil && reads && call.Body != nil {
		err = h.keep(ctx, call, s.db)
	}
	if err != nil {
		s.srv.metrics.failed(err)
		return writeErrorText(fmt.Errorf("%w: %w", raft.ErrNotDone, err))
	}
	return ""
}

// prepareScripts makes sure that the backends can run what a transaction has queued.
func (s *session) prepareScripts(t *transaction) (errText string) {
	for i := range t.cmds {
		if p := t.cmds[i].d.Policy; p == policy.WriteScript || p == policy.ReadScript {
			return s.prepareCall(&script.Call{}, false)
		}
	}
	return ""
}

// convertScript gives a reply from the log the form that the client knows.
func (s *session) convertScript(call *script.Call, r *raft.Reply) {
	if r.Err != nil {
		return
	}
	data, err := s.appendScript(nil, call, r.Data)
	if err != nil {
		r.Err = err
		return
	}
	r.Data = data
}

// appendScript appends the reply to a script.
func (s *session) appendScript(dst []byte, call *script.Call, raw []byte) ([]byte, error) {
	switch {
	case call.SHA == "" || len(raw) == 0:
	case raw[0] != '-' && call.Stores:
		s.srv.scripts.remember(call)
	case call.IsUnknown(raw):
		s.srv.scripts.forget(call.SHA)
	}
	return call.Reply(dst, raw, s.protocol == backend.RESP3)
}

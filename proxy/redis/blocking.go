package redis

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/tidwall/redcon"

	backend "github.com/nexus-replication/nexus/appliers/redis"
	"github.com/nexus-replication/nexus/proxy/redis/guard"
	"github.com/nexus-replication/nexus/proxy/redis/policy"
	"github.com/nexus-replication/nexus/raft"
)

// Why a client does not wait any more, although it was not served.
var (
	errBlockTimeout   = errors.New("the timeout of the command")
	errUnblocked      = errors.New("CLIENT UNBLOCK")
	errUnblockedError = errors.New("CLIENT UNBLOCK ERROR")
	errLeaving        = errors.New("the node stops")
)

const errTextUnblocked = "UNBLOCKED client unblocked via CLIENT UNBLOCK"

// block is a command of a session that waits, or may have to.
type block struct {
	session *session
	ctx     context.Context
	cancel  context.CancelCauseFunc
	timer   *time.Timer // nil without a timeout
	// parked is set while the client is known to wait, since then.
	parked atomic.Bool
	since  time.Time
	// over is closed when nothing will be served any more.
	over chan struct{}
	// stopWatch ends the watch over the connection, which begins when it is parked.
	stopWatch func()
}

// runBlocking runs a command that may wait, alone: what stands behind it in a pipeline waits too.
func (s *session) runBlocking(cmd redcon.Command, d policy.Decision, b policy.Blocking) {
	if s.failed {
		s.out = appendError(s.out, errTextEarlier)
		return
	}
	// Before the entrance: a client that does not read must not keep others there.
	if s.flush(); s.ended {
		return
	}
	if b.Kind == policy.KindStream {
		w := s.beginBlock(b.Timeout)
		defer w.end()
		s.readBlocking(w, cmd, d, b)
	} else {
		place := s.srv.entrance.begin()
		defer place.end()
		w := s.beginBlock(b.Timeout)
		defer w.end()
		s.writeBlocking(w, place, cmd, d, b)
	}
	s.flushLarge()
}

func (s *session) writeBlocking(w *block, place *place, cmd redcon.Command, d policy.Decision, b policy.Blocking) {
	item := backend.Item{DB: s.db, Cmd: cmd.Raw, Flags: s.writeFlags(d)}
	if b.Kind == policy.KindGroup {
		item.Cmd = appendRequest(nil, policy.WithoutBlock(cmd.Args)...)
	}
	outcome, err := s.srv.rep.Wait(w.ctx, s.takeArrived(), backend.AppendOp(nil, item), place.end, w.park)
	switch {
	case errors.Is(err, raft.ErrWaitEnded):
		w.giveUp()
	case err != nil:
		s.failed = !errors.Is(err, raft.ErrTooLarge)
		s.srv.metrics.failed(err)
		s.out = appendError(s.out, writeErrorText(err))
	case len(outcome.Replies) != 1:
		s.broken("a wait came back with another number of replies", "replies", len(outcome.Replies))
	default:
		s.srv.tracker.await(outcome.Index)
		reply := &outcome.Replies[0]
		if b.Kind == policy.KindGroup && reply.Err == nil {
			reply.Data = s.appendGroupReply(nil, reply.Data)
		}
		s.appendReply(reply)
	}
}

// beginBlock starts the clock of a command. The caller must call end.
func (s *session) beginBlock(timeout time.Duration) *block {
	w := &block{session: s, over: make(chan struct{})}
	w.ctx, w.cancel = context.WithCancelCause(s.srv.ctx)
	if timeout > 0 {
		w.timer = time.AfterFunc(timeout, func() { w.cancel(errBlockTimeout) })
	}
	s.show(w)
	return w
}

// show makes w, or nil, known to other sessions.
func (s *session) show(w *block) {
	s.shown.Lock()
	s.shown.block = w
	s.shown.Unlock()
}

// park is called when it is known that the client has to wait.
func (w *block) park() {
	s := w.session
	s.srv.metrics.blocked.Add(1)
	s.releaseWaiting()
	w.parked.Store(true)
	s.takeArrived() // what stands behind it in a pipeline comes when it has ended
	w.since = time.Now()
	ctx, stop := s.conn.WatchDisconnect(w.ctx)
	forget := context.AfterFunc(ctx, func() { w.cancel(context.Cause(ctx)) })
	w.stopWatch = func() {
		forget()
		stop()
	}
	if s.srv.draining.Load() {
		w.cancel(errLeaving)
	}
}

func (w *block) end() {
	s := w.session
	if w.timer != nil {
		w.timer.Stop()
	}
	s.show(nil)
	s.holdPushes()
	if w.parked.Load() {
		// Only now, when its end is logged, will nothing be popped for it.
		s.srv.metrics.blocked.Add(-1)
		s.waited += time.Since(w.since)
		w.stopWatch()
	}
	w.cancel(context.Canceled)
	close(w.over)
}

// giveUp answers a client that was not served, and never will be.
func (w *block) giveUp() {
	s := w.session
	switch cause := context.Cause(w.ctx); {
	case errors.Is(cause, errBlockTimeout), errors.Is(cause, errUnblocked):
		s.out = s.appendNullArray(s.out)
	case errors.Is(cause, errUnblockedError):
		s.out = appendError(s.out, errTextUnblocked)
	default:
		if !errors.Is(cause, guard.ErrDisconnected) {
			s.srv.log.Debug("closing a session that waits", "client", s.conn.RemoteAddr().String(), "cause", cause)
		}
		s.ended = true
	}
}

// unblock ends the wait of a session, if it waits. Any goroutine may call it.
func (s *session) unblock(cause error) bool {
	s.shown.Lock()
	defer s.shown.Unlock()
	if s.shown.block == nil || s.shown.block.ctx.Err() != nil {
		return false
	}
	s.shown.block.cancel(cause)
	return true
}

// lastIDs returns, for a stream, the ID of its last entry, deleted or not; "0-0" without a stream; and what is no ID for a
// key of another type, to have the error from XREAD itself.
const lastIDs = `local t = redis.call('TYPE', KEYS[1]).ok
if t == 'none' then return '0-0' end
if t ~= 'stream' then return '$' end
local info = redis.call('XINFO', 'STREAM', KEYS[1])
for i = 1, #info, 2 do
  if info[i] == 'last-generated-id' then return info[i+1] end
end`

// readBlocking answers XREAD BLOCK. It is a read like others, asked again whenever something may have come. "$" is
// resolved once, when the command comes.
func (s *session) readBlocking(w *block, cmd redcon.Command, d policy.Decision, b policy.Blocking) {
	topics := make([]string, 0, len(b.Keys))
	for _, key := range b.Keys {
		topics = append(topics, topicOf(policy.KindStream, s.db, key))
	}
	arrival := s.srv.cfg.Arrivals.watch(topics)
	defer arrival.stop()
	args, fresh, ok := s.resolveIDs(cmd, d, b)
	if !ok {
		return
	}
	rd := read{db: s.db, protocol: s.protocol, raw: appendRequest(nil, args...), args: args, spec: d.Spec}
	for {
		if !fresh {
			s.readArrived(w, rd)
			if s.ended || !isNothing(s.out) {
				return
			}
		}
		fresh = false
		s.out = s.out[:0]
		if !w.parked.Load() {
			w.park()
		}
		s.releaseWaiting()
		select {
		case <-arrival.came:
			s.holdPushes()
		case <-w.ctx.Done():
			w.giveUp()
			return
		}
	}
}

// readArrived is a try of XREAD. For who waits already, a key that holds something else by now is as good as none: the
// others are asked one by one then.
func (s *session) readArrived(w *block, rd read) {
	s.runRead(rd)
	if !w.parked.Load() || s.ended || !bytes.HasPrefix(s.out, []byte("-WRONGTYPE ")) {
		return
	}
	n := len(policy.StreamIDs(rd.args))
	head, keys := rd.args[:len(rd.args)-2*n], rd.args[len(rd.args)-2*n:]
	for i := range n {
		rd.args = append(slices.Clone(head), keys[i], keys[n+i])
		rd.raw = appendRequest(nil, rd.args...)
		s.out = s.out[:0]
		s.runRead(rd)
		if s.ended || !isNothing(s.out) && !bytes.HasPrefix(s.out, []byte("-WRONGTYPE ")) {
			return
		}
	}
	s.out = append(s.out[:0], replyNoArray...)
}

// runRead runs one read at once.
func (s *session) runRead(rd read) {
	if s.tracked != nil {
		s.noteRead(rd.spec, rd.args)
	}
	s.reads.cmds, s.reads.size, s.reads.parts = append(s.reads.cmds, rd), len(rd.raw), true
	s.runReads()
	s.reads.clear()
}

// resolveIDs returns XREAD without BLOCK and with "$" replaced by IDs. Fresh says that nothing can stand behind any of
// them: the command need not be tried before something comes. Not ok: the client has its answer.
func (s *session) resolveIDs(cmd redcon.Command, d policy.Decision, b policy.Blocking) (args [][]byte, fresh, ok bool) {
	args = policy.WithoutBlock(cmd.Args)
	ids := policy.StreamIDs(args)
	fresh = true
	for i, id := range ids {
		if string(id) != "$" {
			fresh = false
			continue
		}
		// Those of a pair of streams need not be of one moment.
		s.runRead(read{db: s.db, protocol: backend.RESP2, args: cmd.Args, spec: d.Spec, raw: appendRequest(nil, "EVAL_RO", lastIDs, "1", string(b.Keys[i]))})
		last, isID := replyBulk(s.out)
		if s.ended || !isID {
			return nil, false, false
		}
		fresh = fresh && string(last) != "$"
		ids[i] = bytes.Clone(last)
		s.out = s.out[:0]
	}
	return args, fresh, true
}

// cmdClientUnblock unblocks a client of this node.
func (s *session) cmdClientUnblock(dst []byte, args [][]byte) []byte {
	cause := errUnblocked
	switch {
	case len(args) > 4:
		return appendError(dst, "ERR wrong number of arguments for 'client|unblock' command")
	case len(args) == 4 && isWord(args[3], "timeout"):
	case len(args) == 4 && isWord(args[3], "error"):
		cause = errUnblockedError
	case len(args) == 4:
		return appendError(dst, "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR")
	}
	id, ok := parseInt(args[2])
	if !ok {
		return appendError(dst, errTextNotInt)
	}
	for _, other := range s.srv.sessionList() {
		if int64(other.conn.ID()) == id && other.unblock(cause) {
			return appendInt(dst, 1)
		}
	}
	return appendInt(dst, 0)
}

// cmdWait answers how many other nodes hold, for certain, every write that was answered: those of a majority. On the
// leader, where more is known, it waits for more.
func (s *session) cmdWait(dst []byte, args [][]byte) []byte {
	want, ok := parseInt(args[1])
	if !ok {
		return appendError(dst, errTextNotInt)
	}
	ms, ok := parseInt(args[2])
	if !ok {
		return appendError(dst, "ERR timeout is not an integer or out of range")
	}
	if ms < 0 {
		return appendError(dst, "ERR timeout is negative")
	}
	st := s.srv.rep.Status()
	commit := st.Commit
	have := holders(st, commit)
	if have >= want || s.planning || !leads(st) {
		return appendInt(dst, have)
	}
	s.out = dst
	if s.flush(); s.ended {
		return nil
	}
	dst = s.out
	w := s.beginBlock(time.Duration(min(ms, int64(24*time.Hour/time.Millisecond))) * time.Millisecond)
	defer w.end()
	w.park()
	ticker := time.NewTicker(waitLook)
	defer ticker.Stop()
	for have < want && w.ctx.Err() == nil {
		select {
		case <-ticker.C:
		case <-w.ctx.Done():
		}
		have = holders(s.srv.rep.Status(), commit)
	}
	switch cause := context.Cause(w.ctx); {
	case errors.Is(cause, errUnblockedError):
		return appendError(dst, errTextUnblocked)
	case errors.Is(cause, guard.ErrDisconnected), errors.Is(cause, errLeaving):
		s.ended = true
	}
	return appendInt(dst, have)
}

// waitLook is how often WAIT looks at what the others hold, which is known as of the last heartbeat.
const waitLook = 50 * time.Millisecond

// holders returns how many other members hold index at least.
func holders(st raft.Status, index uint64) int64 {
	var voters, know int64
	for _, m := range st.Members {
		if m.Learner {
			continue
		}
		voters++
		if m.ID != st.ID && st.Progress[m.ID] >= index && index > 0 {
			know++
		}
	}
	return max(voters/2, know)
}

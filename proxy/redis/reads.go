package redis

import (
	"context"
	"errors"
	"fmt"

	"github.com/tidwall/redcon"

	backend "github.com/nexus-replication/nexus/appliers/redis"
	"github.com/nexus-replication/nexus/proxy/redis/policy"
	"github.com/nexus-replication/nexus/proxy/redis/script"
	"github.com/nexus-replication/nexus/raft/failpoint"
)

// maxExpiryRounds is how often a batch of reads asks for the deletion of due keys before it goes on without: the
// leader's clock, the only one that counts, may be behind ours.
const maxExpiryRounds = 2

// read is one command of a read phase.
type read struct {
	db       int
	protocol backend.Protocol
	raw      []byte
	args     [][]byte
	spec     *policy.Spec
	// convert is set for ReadTime commands and for scripts.
	convert bool
	// call is set for scripts, deny for those that only must not write, for that reason.
	call *script.Call
	deny string
	// try is set for a script that goes to the log if it comes to a write.
	try bool
}

// readPhase collects the reads that share a barrier.
type readPhase struct {
	cmds []read
	size int // of the commands collected, in bytes
	// parts is set where the reads are only parts of a command, whose own reply tells whether it failed.
	parts bool

	// fn is session.readOnce, made once: a method value made for each barrier would cost an allocation.
	fn func(context.Context) error
	// What readOnce works on and leaves behind. It may run more than once for one barrier.
	from    int // first command that has no reply yet
	mark    int // length of session.out without the replies of this barrier
	done    int // commands answered, counted from the first
	patient bool
	due     bool // a key met is due; nothing was read
	large   bool // cmds[done] has a reply that must be streamed
	tried   bool // cmds[done] has to go to the log
	// window bounds a request in commands. What a backend answers beyond its budget is thrown away, so after a large
	// reply the next request is a small one, and from there they double.
	window int

	request []byte   // scratch
	keys    [][]byte // scratch
}

func (r *readPhase) trim() {
	if cap(r.cmds) > 1024 {
		r.cmds = nil
	}
	if cap(r.request) > keepBytes {
		r.request = nil
	}
}

func (s *session) addRead(cmd redcon.Command, d policy.Decision) {
	rd := read{db: s.db, protocol: s.protocol, raw: cmd.Raw, args: cmd.Args, spec: d.Spec}
	if d.Policy == policy.ReadTime {
		rd.convert = true
		rd.raw = appendRequest(nil, policy.ReadTimeCommand(cmd.Args)...)
	}
	s.collectRead(rd)
}

func (s *session) collectRead(rd read) {
	r := &s.reads
	if s.phase != phaseReads || len(r.cmds) >= s.srv.cfg.MaxPipelineCommands ||
		(len(r.cmds) > 0 && r.size+len(rd.raw) > s.srv.cfg.MaxPipelineBytes) {
		s.endPhase()
		if s.ended {
			return
		}
		s.phase = phaseReads
	}
	if s.tracked != nil {
		s.noteRead(rd.spec, rd.args)
	}
	r.cmds = append(r.cmds, rd)
	r.size += len(rd.raw)
}

// runReads answers what was collected. Replies that are too many for one round are sent in several, each behind a
// barrier of its own, and a reply that is too large for memory goes straight to the client.
func (s *session) runReads() {
	r := &s.reads
	r.window = len(r.cmds)
	for r.from = 0; r.from < len(r.cmds) && !s.ended; r.from = r.done {
		if err := s.readRound(); err != nil {
			s.failReads(err)
			break
		}
		if !r.parts {
			s.countErrors(s.out[r.mark:], r.cmds[r.from:r.done])
		}
		if r.large && !s.ended {
			s.runLarge(r.cmds[r.done])
			r.done++
			r.window = 1
		}
		if r.tried && !s.ended {
			s.runTried(r.cmds[r.done])
			r.done++
		}
		s.flushLarge()
	}
}

// clear forgets the commands that were answered.
func (r *readPhase) clear() {
	clear(r.cmds)
	r.cmds, r.size, r.parts = r.cmds[:0], 0, false
	clear(r.keys[:cap(r.keys)])
}

// runLarge answers a command whose reply was too large for readRound.
func (s *session) runLarge(cmd read) {
	if cmd.try {
		s.runTried(cmd) // it may come to a write the second time
		return
	}
	if cmd.convert && (cmd.call == nil || !cmd.call.AsIs()) {
		s.out = appendError(s.out, "ERR nexus: the reply is too large to be converted; ask for less, with COUNT or a range")
		return
	}
	s.stream(cmd)
}

// failReads answers the commands that are left with an error.
func (s *session) failReads(err error) {
	text := readErrorText(err)
	s.fail(err, true)
	for i := range s.reads.cmds[s.reads.from:] {
		s.out = appendError(s.out, text)
		if !s.reads.parts {
			s.srv.metrics.times.failed(s.reads.cmds[s.reads.from+i].spec)
			s.srv.metrics.errors.noteText(text)
		}
	}
}

var errEarlier = errors.New("an earlier command of the same pipeline failed")

// readRound reads behind one barrier. When it meets keys that are due, it has them deleted and starts again.
func (s *session) readRound() error {
	if s.failed {
		return errEarlier
	}
	r := &s.reads
	r.mark, r.patient = len(s.out), true
	for round := 0; ; round++ {
		r.patient = round < maxExpiryRounds
		ctx := s.phaseContext()
		err := s.srv.rep.Read(ctx, r.fn)
		if err == nil && r.due {
			// An empty proposal: the leader puts the deletion of all that is due before it.
			_, err = s.srv.rep.Propose(ctx, nil)
			if err != nil {
				err = fmt.Errorf("expire keys: %w", err)
			}
		}
		s.clock.stop()
		if err != nil {
			s.out = s.out[:r.mark]
			return err
		}
		if !r.due {
			s.prove()
			return nil
		}
	}
}

// readOnce is called by the Replicator when the backend holds everything committed before. It only collects replies, as
// it is called again when the node was no longer sure after the backend had answered.
func (s *session) readOnce(ctx context.Context) error {
	r := &s.reads
	s.out = s.out[:r.mark]
	r.done, r.due, r.large, r.tried = r.from, false, false, false
	if !s.mayStillRead() {
		return errUsersChanged
	}
	now := failpoint.Now().UnixMilli()
	if r.patient && s.meetsDue(now) {
		r.due = true
		return nil
	}
	for r.done < len(r.cmds) && !r.large && !r.tried && len(s.out)-r.mark < flushBytes {
		if err := s.readRun(ctx, now); err != nil {
			return err
		}
	}
	return nil
}

// readRun sends the next commands that concern the same database in one request.
func (s *session) readRun(ctx context.Context, now int64) error {
	r := &s.reads
	first, end := r.done, r.done+1
	convert := r.cmds[first].convert
	for end < len(r.cmds) && end-first < r.window && r.cmds[end].db == r.cmds[first].db &&
		r.cmds[end].protocol == r.cmds[first].protocol {
		if r.cmds[end].call != nil && r.cmds[first].call == nil {
			break // it begins a request, so that its time is known
		}
		convert = convert || r.cmds[end].convert
		end++
	}
	request := r.cmds[first].raw
	if end-first > 1 {
		request = r.request[:0]
		for i := first; i < end; i++ {
			request = append(request, r.cmds[i].raw...)
		}
		r.request = request
	}
	var running *runningScript
	if call := r.cmds[first].call; call != nil {
		running = s.beginScript(call.IsFunction(), r.cmds[first].args)
	}
	replies, done, err := s.srv.backend.ReadAs(ctx, r.cmds[first].protocol, r.cmds[first].db, request, end-first)
	s.endScript(running, err != nil && ctx.Err() != nil)
	if err != nil {
		return err
	}
	r.done += done
	r.large = done < end-first
	r.window = min(2*r.window, len(r.cmds))
	if !convert {
		s.out = append(s.out, replies...)
		return nil
	}
	return s.appendConverted(replies, r.cmds[first:r.done], now)
}

// appendConverted appends the replies of cmds with those to TTL and its kind converted.
func (s *session) appendConverted(replies []byte, cmds []read, now int64) error {
	r := &s.reads
	for i := range cmds {
		n, err := replyLen(replies)
		if err != nil {
			return err
		}
		if cmds[i].deny != "" {
			s.out = append(s.out, deniedReply(replies[:n], cmds[i].deny)...)
		} else if cmds[i].try && script.Wanted(replies[:n]) {
			// What was read behind it is read again.
			r.done, r.large, r.tried = r.done-len(cmds)+i, false, true
			return nil
		} else if cmds[i].call != nil {
			if s.out, err = s.appendScript(s.out, cmds[i].call, killedReply(replies[:n])); err != nil {
				return err
			}
		} else if cmds[i].convert {
			s.out = s.convertReply(s.out, cmds[i].spec.Name, replies[:n], now)
		} else {
			s.out = append(s.out, replies[:n]...)
		}
		replies = replies[n:]
	}
	return nil
}

// convertReply appends what the client is to get for the backend's reply to command.
func (s *session) convertReply(dst []byte, command string, reply []byte, now int64) []byte {
	switch command {
	case "xpending", "xinfo|stream":
		return policy.ConvertDeliveries(dst, reply, command, now)
	case "xreadgroup":
		return s.appendGroupReply(dst, reply)
	case "spop":
		return append(dst, s.setReply(reply)...)
	}
	return appendTTL(dst, command, reply, now)
}

// appendTTL appends the reply to command, TTL or its kind, given what the backend answered to PEXPIRETIME.
func appendTTL(dst []byte, command string, reply []byte, now int64) []byte {
	at, ok := replyInt(reply)
	if !ok {
		return append(dst, reply...)
	}
	return appendInt(dst, policy.TTLReply(command, at, now))
}

// meetsDue reports whether a command of the phase may touch a key whose deadline has come.
func (s *session) meetsDue(now int64) bool {
	next, ok := s.srv.backend.NextDue()
	if !ok || next > now {
		return false
	}
	r := &s.reads
	for i := r.from; i < len(r.cmds); i++ {
		keys, exact := r.cmds[i].spec.AppendKeys(r.keys[:0], r.cmds[i].args)
		r.keys = keys
		if !exact {
			return true
		}
		for _, k := range keys {
			if at, ok := s.srv.backend.Deadline(r.cmds[i].db, k); ok && at <= now {
				return true
			}
		}
	}
	return false
}

// runStatic answers a command whose reply does not depend on the data: no barrier is needed.
func (s *session) runStatic(cmd redcon.Command) {
	replies, done, err := s.srv.backend.ReadAs(s.phaseContext(), s.protocol, s.db, cmd.Raw, 1)
	s.clock.stop()
	switch {
	case err != nil:
		s.srv.metrics.failed(err)
		s.out = appendError(s.out, readErrorText(err))
	case done == 0:
		s.stream(read{db: s.db, protocol: s.protocol, raw: cmd.Raw})
	default:
		s.out = append(s.out, replies...)
	}
	s.flushLarge()
}

// stream sends the reply to one command to the client as it comes.
//
// The barrier was passed before. That is enough, also with a lease: whatever was committed when the barrier was passed
// is applied, so what the backend answers later is no older than the moment the client asked. Once a byte is on its
// way there is no room for an error reply, and all that is left is to close the connection.
func (s *session) stream(cmd read) {
	s.flush()
	s.out = nil
	if s.ended {
		return
	}
	if cmd.call != nil && !cmd.call.AsIs() {
		s.out = appendError(s.out, "ERR nexus: there are too many libraries of functions for one reply")
		return
	}
	s.sending.Lock()
	defer s.sending.Unlock()
	w := countingWriter{session: s}
	var running *runningScript
	if cmd.call != nil {
		running = s.beginScript(cmd.call.IsFunction(), cmd.args)
	}
	// Time counts until the first byte only: how long the rest may take is up to the guard, which asks for progress.
	ctx := s.phaseContext()
	err := s.srv.backend.StreamAs(ctx, cmd.protocol, cmd.db, cmd.raw, &w)
	s.endScript(running, err != nil && ctx.Err() != nil)
	s.clock.stop()
	switch {
	case err == nil:
	case w.sent == 0 && w.err == nil:
		s.srv.metrics.failed(err)
		s.out = appendError(s.out, readErrorText(err))
	default:
		s.srv.log.Warn("closing a session in the middle of a reply", "error", err, "sent", w.sent)
		s.ended = true
	}
}

// countingWriter writes to the client.
type countingWriter struct {
	session *session
	sent    int64
	err     error
}

func (w *countingWriter) Write(p []byte) (int, error) {
	if w.sent == 0 {
		w.session.clock.timer.Stop()
	}
	w.err = w.session.sendLocked(p)
	if w.err != nil {
		return 0, w.err
	}
	w.sent += int64(len(p))
	return len(p), nil
}

package redis

import (
	"bytes"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	backend "github.com/nexus-replication/nexus/appliers/redis"
	"github.com/nexus-replication/nexus/proxy/redis/policy"
)

// running knows the scripts that run as reads on the backend for so long that Redis answers BUSY, so that clients of this
// node get that answer, and can kill them. Those of the log are not here: they end at the same step on every replica, and
// the library of scripts sees to it that nobody can kill them.
type running struct {
	// after is how long that is, in milliseconds; 0 while it is not known.
	after atomic.Int64

	mu   sync.Mutex
	busy []*runningScript // oldest first
}

// runningScript is a request to the backend with a script in it.
type runningScript struct {
	of       *running
	function bool
	since    time.Time

	// With of.mu. The arguments are those of the first command. They are the session's, which uses their memory again
	// when it is over, until kept is set.
	args [][]byte
	kept bool
	over bool

	// The clock counts steps, not time: one that took much longer than it should is one in which this node itself was
	// stopped. What the backend did meanwhile it says next.
	timer *time.Timer
	step  time.Duration
	begun time.Time // the step
	steps int64     // that are left
}

const (
	// clockStep is how long a step is at most, and how much too late it may end and still count.
	clockStep = 250 * time.Millisecond

	errTextBusyScript   = "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE."
	errTextBusyFunction = "BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE."
	errTextNotBusy      = "NOTBUSY No scripts in execution right now."
	killedText          = "ERR Script killed by user with "
)

// begin starts the clock of a script. attend is called whenever busyError may have changed.
func (r *running) begin(function bool, args [][]byte, attend func()) *runningScript {
	after := r.after.Load()
	if after <= 0 {
		return nil
	}
	left, now := time.Duration(min(after, math.MaxInt64/int64(time.Millisecond)))*time.Millisecond, time.Now()
	steps := 1 + (left-1)/clockStep
	script := &runningScript{of: r, function: function, args: args, since: now, begun: now, steps: int64(steps), step: left / steps}
	script.timer = time.AfterFunc(math.MaxInt64, func() { // it does not run before timer is set
		if script.stepped(time.Now()) {
			attend()
		}
	})
	script.timer.Reset(script.step)
	return script
}

// stepped ends a step of the clock, and reports whether the backend is busy with the script from now on.
func (script *runningScript) stepped(now time.Time) bool {
	r := script.of
	r.mu.Lock()
	defer r.mu.Unlock()
	if script.over {
		return false
	}
	if now.Sub(script.begun) <= script.step+clockStep {
		script.steps--
	}
	if script.steps > 0 {
		script.begun = now
		script.timer.Reset(script.step)
		return false
	}
	script.keepArgs()
	r.busy = append(r.busy, script)
	return true
}

// keepArgs makes the arguments the script's own: other sessions may still look at them when its session has gone on. It
// is called with of.mu held, before the script is over.
func (script *runningScript) keepArgs() {
	if script.kept {
		return
	}
	script.kept = true
	args := make([][]byte, len(script.args))
	for i, arg := range script.args {
		args[i] = bytes.Clone(arg)
	}
	script.args = args
}

// leave is called before the session of a script goes on without its answer.
func (script *runningScript) leave() {
	script.of.mu.Lock()
	defer script.of.mu.Unlock()
	script.keepArgs()
}

// end is called when the backend has answered. It reports whether the backend was busy with the script.
func (script *runningScript) end() bool {
	if script == nil || script.timer.Stop() {
		return false
	}
	r := script.of
	r.mu.Lock()
	defer r.mu.Unlock()
	script.over = true
	at := slices.Index(r.busy, script)
	if at < 0 {
		return false
	}
	r.busy = slices.Delete(r.busy, at, at+1)
	return true
}

// current returns the script that the backend is busy with, which is the oldest. Its arguments do not change any more.
func (r *running) current() *runningScript {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.busy) == 0 {
		return nil
	}
	return r.busy[0]
}

func (script *runningScript) busyError() string {
	if script.function {
		return errTextBusyFunction
	}
	return errTextBusyScript
}

// whileBusy are the commands that Redis executes while it is busy.
var whileBusy = map[string]bool{
	"auth": true, "discard": true, "function|kill": true, "hello": true, "multi": true, "quit": true,
	"reset": true, "script|kill": true, "unwatch": true, "watch": true, "shutdown": true, "replconf": true,
}

// refuseBusy answers a command that has to wait for a script, and reports whether it did.
func (s *session) refuseBusy(spec *policy.Spec) bool {
	script := s.srv.running.current()
	if script == nil || whileBusy[spec.Name] {
		return false
	}
	s.endPhase()
	if spec.Name == "function|stats" && script.function && s.multi == nil {
		s.out = s.appendBusyStats(s.out, script)
		return true
	}
	s.abort()
	text := script.busyError()
	if spec.Name == "exec" {
		s.endMulti()
		text = "EXECABORT Transaction discarded because of: " + text
	}
	s.out = appendError(s.out, text)
	return true
}

// appendBusyStats is FUNCTION STATS while a function runs. How many there are, the backend does not tell then.
func (s *session) appendBusyStats(dst []byte, script *runningScript) []byte {
	dst = appendBulk(s.appendMap(dst, 2), "running_script")
	dst = appendBulk(appendBulk(s.appendMap(dst, 3), "name"), script.args[1])
	dst = appendArray(appendBulk(dst, "command"), len(script.args))
	for _, arg := range script.args {
		dst = appendBulk(dst, arg)
	}
	dst = appendInt(appendBulk(dst, "duration_ms"), time.Since(script.since).Milliseconds())
	dst = s.appendMap(appendBulk(dst, "engines"), 1)
	return s.appendMap(appendBulk(dst, "LUA"), 0)
}

// beginScript is called before scripts run as reads. The caller must call endScript afterwards.
func (s *session) beginScript(function bool, args [][]byte) *runningScript {
	srv := s.srv
	if srv.running.after.Load() == 0 {
		srv.prepareKill()
	}
	return srv.running.begin(function, args, srv.attend)
}

// endScript is called when the session does not wait for the script any more; left, because it gave up before the backend
// has answered.
func (s *session) endScript(script *runningScript, left bool) {
	if script == nil || left && s.srv.outlive(script) {
		return
	}
	if script.end() {
		s.srv.attend()
	}
}

// outlive keeps a script that its session has left until the backend does not run it any more, so that it can still be
// killed. It reports false if the server closes.
func (s *Server) outlive(script *runningScript) bool {
	if !s.tasks.start() {
		return false
	}
	script.leave()
	go func() {
		defer s.tasks.end()
		// This has no answer while scripts run. An error says that the backend is gone or hangs, which is another matter.
		_, _, err := s.backend.ReadAs(s.ctx, backend.RESP2, s.cfg.ReservedDB, appendRequest(nil, "PING"), 1)
		if err != nil && s.ctx.Err() == nil {
			s.log.Warn("a script that nobody waits for may still run", "error", err)
		}
		if script.end() {
			s.attend()
		}
	}()
	return true
}

// prepareKill asks the backend when it is busy. It does so over the connection that kills scripts, as none can be made while
// a script runs, and other connections wait for their own scripts.
func (s *Server) prepareKill() {
	reply, err := s.askKiller("CONFIG", "GET", "busy-reply-threshold")
	if err != nil {
		return // before the next script
	}
	after := int64(-1)
	if pair, ok := replyBulks(reply); ok && len(pair) == 2 {
		if n, err := strconv.ParseInt(string(pair[1]), 10, 64); err == nil && n > 0 {
			after = n
		}
	}
	s.running.after.Store(after)
}

// askKiller asks the local backend over a connection on which no scripts run.
func (s *Server) askKiller(args ...string) ([]byte, error) {
	return s.askIn(backend.RESP2, s.cfg.ReservedDB, args...)
}

// cmdKill answers SCRIPT KILL and FUNCTION KILL. What runs from the log is not for them.
func (s *session) cmdKill(dst []byte, args [][]byte) []byte {
	function := isWord(args[0], "function")
	script := s.srv.running.current()
	switch {
	case script == nil:
		return appendError(dst, errTextNotBusy)
	case script.function != function:
		return appendError(dst, script.busyError())
	}
	// To the backend, all scripts are functions of the library.
	reply, err := s.srv.askKiller("FUNCTION", "KILL")
	if err != nil {
		// It may be on its way, and end the script.
		return appendError(dst, wordUnknown+reason(err))
	}
	return append(dst, reply...)
}

// killedReply is the reply to a script that was killed, as Redis gives it.
func killedReply(raw []byte) []byte {
	if len(raw) == 0 || raw[0] != '-' || !strings.HasPrefix(string(raw[1:]), killedText) {
		return raw
	}
	return appendError(nil, killedText+"SCRIPT KILL.")
}

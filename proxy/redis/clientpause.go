package redis

import (
	"context"
	"sync"
	"time"

	"github.com/nexus-replication/nexus/proxy/redis/policy"
)

// pause is what CLIENT PAUSE has stopped. It concerns the clients of this node.
type pause struct {
	mu    sync.Mutex
	until time.Time // zero: nothing is paused
	all   bool      // reads too
	// changed is closed and replaced whenever what is above changes.
	changed chan struct{}
}

// begin pauses until then; of two pauses the longer and the stronger count.
func (p *pause) begin(until time.Time, all bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.until.After(until) {
		until = p.until
	}
	p.until, p.all = until, all || p.all
	p.notify()
}

func (p *pause) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.until, p.all = time.Time{}, false
	p.notify()
}

// notify is called with mu held.
func (p *pause) notify() {
	if p.changed != nil {
		close(p.changed)
	}
	p.changed = make(chan struct{})
}

// left returns how long commands are paused, and a channel that is closed when that changes.
func (p *pause) left(writes bool, now time.Time) (time.Duration, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.until.IsZero() && !p.until.After(now) {
		p.until, p.all = time.Time{}, false
	}
	if p.until.IsZero() || !p.all && !writes {
		return 0, p.changed
	}
	return p.until.Sub(now), p.changed
}

func (p *pause) active() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.until.IsZero()
}

// cmdClientPause holds commands back that come from now on. What it cannot stop is what other nodes do.
func (s *session) cmdClientPause(dst []byte, args [][]byte) []byte {
	all := true
	if len(args) == 4 {
		all = isWord(args[3], "all")
		if !all && !isWord(args[3], "write") {
			return appendError(dst, "ERR CLIENT PAUSE mode must be WRITE or ALL")
		}
	}
	ms, ok := parseInt(args[2])
	switch {
	case len(args) > 4:
		return appendError(dst, "ERR unknown subcommand or wrong number of arguments for 'PAUSE'. Try CLIENT HELP.")
	case !ok:
		return appendError(dst, "ERR timeout is not an integer or out of range")
	case ms < 0:
		return appendError(dst, "ERR timeout is negative")
	}
	now := time.Now()
	if ms > maxPauseMillis {
		ms = maxPauseMillis
	}
	s.srv.pause.begin(now.Add(time.Duration(ms)*time.Millisecond), all)
	s.srv.attend()
	return append(dst, replyOK...)
}

// maxPauseMillis is a year, to stay within what a duration can hold.
const maxPauseMillis = 365 * 24 * 3600 * 1000

func (s *session) cmdClientUnpause(dst []byte, _ [][]byte) []byte {
	s.srv.pause.end()
	s.srv.attend()
	return append(dst, replyOK...)
}

// awaitPause waits until a command may run. It reports false if the client left meanwhile.
func (s *session) awaitPause(d policy.Decision, args [][]byte) bool {
	if !s.srv.pause.active() {
		s.srv.attend()
		return true
	}
	writes := s.writesNow(d, args)
	left, changed := s.srv.pause.left(writes, time.Now())
	if left == 0 {
		s.srv.attend()
		return true
	}
	s.endPhase()
	s.flush()
	if s.ended {
		return false
	}
	s.releasePushes()
	defer s.holdPushes()
	s.srv.blocked.Add(1)
	defer s.srv.blocked.Add(-1)
	ctx, stop := s.conn.WatchDisconnect(s.srv.ctx)
	defer stop()
	for left > 0 {
		if !sleep(ctx, left, changed) {
			s.ended = true
			return false
		}
		left, changed = s.srv.pause.left(writes, time.Now())
	}
	s.srv.attend()
	return true
}

// sleep waits for d or until changed is closed, and reports false if ctx ends before.
func sleep(ctx context.Context, d time.Duration, changed <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-changed:
		return true
	case <-ctx.Done():
		return false
	}
}

// writes reports whether the transaction has a command that writes.
func (t *transaction) writes(s *session) bool {
	for i := range t.cmds {
		if s.writesNow(t.cmds[i].d, t.cmds[i].cmd.Args) {
			return true
		}
	}
	return false
}

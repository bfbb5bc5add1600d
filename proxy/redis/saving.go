package redis

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nexus-replication/nexus/proxy/redis/guard"
)

const (
	errTextSaving    = "ERR Background save already in progress"
	replySaving      = "+Background saving started\r\n"
	replySavingLater = "+Background saving scheduled\r\n"
)

// saving is what SAVE and BGSAVE do: this node takes a snapshot, from which it fills its backend and shortens its log. What
// was acknowledged is on disk without it.
type saving struct {
	mu      sync.Mutex
	running bool // for BGSAVE
	failed  bool // the last one
	// last is when the last one that somebody asked for was done, and at first when this process was started, as in Redis.
	// A snapshot that has nothing new to hold is none for the log.
	last time.Time
}

// begin reports whether a BGSAVE may begin.
func (s *saving) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running {
		return false
	}
	s.running = true
	return true
}

// done notes how one ended.
func (s *saving) done(background bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if background {
		s.running = false
	}
	s.failed = err != nil
	if err == nil {
		s.last = time.Now()
	}
}

// status is what INFO tells.
func (s *saving) status() (running, failed bool, last time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.running, s.failed, s.last
}

// cmdSave returns when the snapshot is on the disk of this node.
func (s *session) cmdSave(dst []byte, _ [][]byte) []byte {
	if running, _, _ := s.srv.saving.status(); running {
		return appendError(dst, errTextSaving)
	}
	s.out = dst
	if s.flush(); s.ended {
		return nil
	}
	dst = s.out
	w := s.beginBlock(0)
	defer w.end()
	w.park()
	err := s.srv.rep.Snapshot(w.ctx)
	if w.ctx.Err() == nil || err == nil {
		s.srv.saving.done(false, err)
	}
	switch cause := context.Cause(w.ctx); {
	case err == nil:
		return append(dst, replyOK...)
	case errors.Is(cause, errUnblocked), errors.Is(cause, errUnblockedError):
		return appendError(dst, errTextUnblocked)
	case errors.Is(cause, guard.ErrDisconnected), errors.Is(cause, errLeaving):
		s.ended = true
	}
	return appendError(dst, "ERR nexus: no snapshot: "+reason(err))
}

// cmdBGSave returns when the snapshot is begun, or waits for its turn.
func (s *session) cmdBGSave(dst []byte, args [][]byte) []byte {
	scheduled := len(args) == 2 && strings.EqualFold(string(args[1]), "schedule")
	if len(args) > 2 || len(args) == 2 && !scheduled {
		return appendError(dst, errTextSyntax)
	}
	srv := s.srv
	if !srv.saving.begin() {
		return appendError(dst, errTextSaving)
	}
	if !srv.tasks.start() {
		srv.saving.done(true, errLeaving)
		return appendError(dst, "ERR nexus: no snapshot: "+errLeaving.Error())
	}
	go func() {
		defer srv.tasks.end()
		err := srv.rep.Snapshot(srv.ctx)
		srv.saving.done(true, err)
		if err != nil {
			srv.log.Warn("no snapshot for BGSAVE", "err", err)
		}
	}()
	if scheduled {
		return append(dst, replySavingLater...)
	}
	return append(dst, replySaving...)
}

func (s *session) cmdLastSave(dst []byte, _ [][]byte) []byte {
	return appendInt(dst, s.srv.lastSave().Unix())
}

// lastSave is when the newest snapshot was on disk, whoever asked for it.
func (s *Server) lastSave() time.Time {
	_, _, last := s.saving.status()
	if at := s.rep.Status().SnapshotAt; at.After(last) {
		return at
	}
	return last
}

// infoSaving is the value of a line of INFO about what SAVE and BGSAVE do.
func (s *Server) infoSaving(key string) string {
	running, failed, _ := s.saving.status()
	switch {
	case key == "rdb_last_save_time":
		return strconv.FormatInt(s.lastSave().Unix(), 10)
	case key == "rdb_bgsave_in_progress" && running:
		return "1"
	case key == "rdb_bgsave_in_progress":
		return "0"
	case failed:
		return "err"
	}
	return "ok"
}

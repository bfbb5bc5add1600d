package redis

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	backend "github.com/nexus-replication/nexus/appliers/redis"
)

// What a script calls only the backend sees, in its own MONITOR. So while clients of this node monitor, the node does too, and
// passes on what belongs to the scripts of clients. It is what this backend executes, for clients of all nodes.

// monitorPause is how long a node waits before it asks the backend again.
const monitorPause = time.Second

// monitoredCall matches a line of the backend's MONITOR behind its head: the call of a client's script or function.
var monitoredCall = regexp.MustCompile(`^"FCALL(_RO)?" "` + backend.LibraryPrefix + `[^_"]+_(eval|evalsha|once|fcall)(_ro|_try)?" `)

// monitorScripts begins to follow the backend, unless that is going on. When it returns, calls of scripts that begin later are
// seen, if the backend answers.
func (s *Server) monitorScripts() {
	m := &s.monitors
	m.mu.Lock()
	following := m.following
	m.following = true
	m.mu.Unlock()
	if following || !s.tasks.start() {
		return
	}
	lines := s.dialMonitor()
	go func() {
		defer s.tasks.end()
		for {
			if lines != nil {
				err := m.passScripts(lines, s.cfg.ReservedDB)
				s.log.Debug("the backend's MONITOR ended", "err", err)
			}
			if m.followed() || s.ctx.Err() != nil {
				return
			}
			select {
			case <-time.After(monitorPause):
			case <-s.ctx.Done():
			}
			lines = s.dialMonitor()
		}
	}()
}

// followed reports that no client monitors any more, and that the backend is not followed from now on.
func (m *monitors) followed() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.list) > 0 {
		return false
	}
	m.following = false
	return true
}

// dialMonitor returns what the backend shows, or nil if it does not, or if no client monitors any more.
func (s *Server) dialMonitor() *bufio.Reader {
	ctx, cancel := context.WithTimeout(s.ctx, s.cfg.Timeout)
	defer cancel()
	conn, err := s.backend.Subscriber(ctx, backend.RESP2)
	if err != nil {
		s.log.Debug("monitor the backend", "err", err)
		return nil
	}
	if _, err = conn.Write(appendRequest(nil, "MONITOR")); err == nil {
		ok := make([]byte, len(replyOK))
		for n := 0; n < len(ok) && err == nil; {
			var more int
			more, err = conn.ReadRest(ok[n:])
			n += more
		}
		if err == nil && string(ok) != replyOK {
			err = fmt.Errorf("the backend answered %q", ok)
		}
	}
	if err != nil {
		s.log.Debug("monitor the backend", "err", err)
		_ = conn.Close()
		return nil
	}
	m := &s.monitors
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.list) == 0 {
		_ = conn.Close() // all have gone meanwhile, and nobody else would close it
		return nil
	}
	m.backend = conn
	return bufio.NewReaderSize(conn, relayBuffer)
}

// passScripts feeds the monitors with what scripts of clients call, until the connection ends.
func (m *monitors) passScripts(lines *bufio.Reader, reserved int) error {
	own := fmt.Appendf(nil, "%d", reserved)
	calls := false // what scripts call now is a client's
	for {
		line, err := nextMonitorLine(lines)
		if err != nil {
			return err
		}
		_, rest, _ := bytes.Cut(line, []byte(" ["))
		head, command, ok := bytes.Cut(rest, []byte("] "))
		db, who, _ := bytes.Cut(head, []byte(" "))
		switch {
		case !ok:
		case string(who) != "lua":
			calls = monitoredCall.Match(command)
		case calls && !bytes.Equal(db, own) && !isBookkeeping(command):
			m.feed(line)
		}
	}
}

// isBookkeeping reports whether a command is one that the scripts' library calls for itself.
func isBookkeeping(command []byte) bool {
	for _, prefix := range []string{`"select" `, `"hdel" "\x00nexus" `, `"pexpiretime" `} {
		if bytes.HasPrefix(command, []byte(prefix)) {
			return true
		}
	}
	return false
}

// nextMonitorLine reads a line. Of one that is longer than a client may be behind, it returns the beginning only.
func nextMonitorLine(lines *bufio.Reader) ([]byte, error) {
	var long []byte
	for {
		part, err := lines.ReadSlice('\n')
		switch {
		case err == nil && long == nil:
			return part, nil
		case err == nil || errors.Is(err, bufio.ErrBufferFull):
			if len(long)+len(part) <= maxMonitorBytes {
				long = append(long, part...)
			}
			if err == nil {
				return long, nil
			}
		default:
			return nil, err
		}
	}
}

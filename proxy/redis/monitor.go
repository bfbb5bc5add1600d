package redis

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nexus-replication/nexus/proxy/redis/policy"
)

// maxMonitorBytes is how much a client in MONITOR may be behind before it is closed.
const maxMonitorBytes = 32 << 20

// monitors are the clients of this node in MONITOR.
type monitors struct {
	mu        sync.Mutex
	list      map[*monitor]struct{}
	following bool           // what scripts call is passed on, as far as the backend tells: see monitorScripts
	backend   SubscriberConn // that tells it
}

func (m *monitors) add(c *monitor) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.list == nil {
		m.list = make(map[*monitor]struct{})
	}
	m.list[c] = struct{}{}
}

func (m *monitors) remove(c *monitor) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.list, c)
	if len(m.list) == 0 && m.backend != nil {
		_ = m.backend.Close()
		m.backend = nil
	}
}

func (m *monitors) any() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.list) > 0
}

// feed tells all monitors of a command. It never waits for one of them.
func (m *monitors) feed(line []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for c := range m.list {
		c.add(line)
	}
}

// monitor sends lines to one client, at the pace of that client.
type monitor struct {
	session *session
	wake    chan struct{} // gets a token when there are lines
	done    chan struct{} // closed when run has ended

	mu      sync.Mutex
	lines   []byte
	stopped bool
}

func (c *monitor) add(line []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return
	}
	if len(c.lines)+len(line) > maxMonitorBytes {
		c.stopped, c.lines = true, nil
		_ = c.session.conn.Close()
	} else {
		c.lines = append(c.lines, line...)
	}
	c.signal()
}

// unsent returns the size of the lines that are not being sent yet. It may be called on nil.
func (c *monitor) unsent() int64 {
	if c == nil {
		return 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return int64(len(c.lines))
}

// stop lets no more lines be sent. It does not wait.
func (c *monitor) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped, c.lines = true, nil
	c.signal()
}

func (c *monitor) signal() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// run sends what comes until stop, or until the client is gone.
func (c *monitor) run() {
	defer close(c.done)
	for range c.wake {
		c.mu.Lock()
		lines, stopped := c.lines, c.stopped
		c.lines = nil
		c.mu.Unlock()
		if stopped {
			return
		}
		if c.session.send(lines) != nil {
			c.stop()
			return
		}
	}
}

// cmdMonitor makes the client see every command that clients send to this node from now on.
func (s *session) cmdMonitor(dst []byte, _ [][]byte) []byte {
	if s.monitor != nil {
		return dst
	}
	if !s.srv.tasks.start() {
		return appendError(dst, readErrorText(errDraining))
	}
	c := &monitor{session: s, wake: make(chan struct{}, 1), done: make(chan struct{})}
	s.setMonitor(c)
	s.srv.monitors.add(c)
	s.srv.monitorScripts()
	s.srv.attend()
	// Only now, for who is told OK must see every later command. The lines wait for run, so OK comes first.
	s.out = append(dst, replyOK...)
	s.flush()
	go func() {
		defer s.srv.tasks.end()
		c.run()
	}()
	return s.out
}

// endMonitor gives MONITOR up and waits until no more of it can reach the client.
func (s *session) endMonitor() {
	if s.monitor == nil {
		return
	}
	s.leaveMonitor()
	<-s.monitor.done
	s.setMonitor(nil)
}

func (s *session) leaveMonitor() {
	s.srv.monitors.remove(s.monitor)
	s.srv.attend()
	s.monitor.stop()
}

func (s *session) setMonitor(c *monitor) {
	s.monitor = c
	s.shown.Lock()
	s.shown.monitor = c
	s.shown.Unlock()
}

// watched tells the monitors of a command that is about to run.
func (s *session) watched(spec *policy.Spec, args [][]byte) {
	if hiddenFromMonitors(spec.Name) {
		return
	}
	now := time.Now()
	line := fmt.Appendf(nil, "+%d.%06d [%d %s]", now.Unix(), now.Nanosecond()/1000, s.dbAfter(spec, args), s.conn.RemoteAddr())
	secret := secretArgs(spec.Name, args)
	for i, arg := range args {
		line = append(line, ' ')
		if secret[i] {
			line = append(line, `"(redacted)"`...)
			continue
		}
		line = appendQuoted(line, arg)
	}
	s.srv.monitors.feed(append(line, '\r', '\n'))
}

// dbAfter is the database that is selected when the command has been executed, which is what Redis shows.
func (s *session) dbAfter(spec *policy.Spec, args [][]byte) int {
	switch spec.Name {
	case "reset":
		return 0
	case "select":
		if db, ok := parseInt(args[1]); ok && s.selectable(db) {
			return int(db)
		}
	}
	return s.db
}

// watchedExec tells the monitors of the commands of a transaction, in the order in which they run.
func (s *session) watchedExec(t *transaction, exec *policy.Spec, args [][]byte) {
	if !t.dirty {
		for i := range t.cmds {
			s.watched(t.cmds[i].d.Spec, t.cmds[i].cmd.Args)
		}
	}
	s.watched(exec, args)
}

// hiddenFromMonitors reports whether Redis hides a command from monitors: those of administrators.
func hiddenFromMonitors(name string) bool {
	switch name {
	case "acl|cat", "acl|genpass", "acl|help", "acl|whoami",
		"cluster|countkeysinslot", "cluster|getkeysinslot", "cluster|help", "cluster|info", "cluster|keyslot",
		"cluster|links", "cluster|myid", "cluster|nodes", "cluster|shards", "cluster|slots",
		"config|help", "latency|help", "module|help", "slowlog|help":
		return false
	case "bgrewriteaof", "bgsave", "client|kill", "client|list", "client|no-evict", "client|pause", "client|unblock",
		"client|unpause", "debug", "failover", "monitor", "pfdebug", "pfselftest", "psync", "replconf", "replicaof",
		"save", "shutdown", "slaveof", "sync":
		return true
	}
	container, _, _ := strings.Cut(name, "|")
	switch container {
	case "acl", "cluster", "config", "latency", "module", "slowlog":
		return true
	}
	return false
}

// secretArgs returns the places of passwords.
func secretArgs(name string, args [][]byte) map[int]bool {
	switch name {
	case "auth":
		return map[int]bool{1: true, 2: true}
	case "nexus|explain":
		hidden := make(map[int]bool)
		for i := secretFrom(args); i < len(args); i++ {
			hidden[i] = true
		}
		return hidden
	case "hello":
		for i := 2; i+2 < len(args); i++ {
			if isWord(args[i], "auth") {
				return map[int]bool{i + 1: true, i + 2: true}
			}
		}
	}
	return nil
}

// appendQuoted appends arg as Redis shows it.
func appendQuoted(dst, arg []byte) []byte {
	dst = append(dst, '"')
	for _, c := range arg {
		switch {
		case c == '\\' || c == '"':
			dst = append(dst, '\\', c)
		case c == '\n':
			dst = append(dst, `\n`...)
		case c == '\r':
			dst = append(dst, `\r`...)
		case c == '\t':
			dst = append(dst, `\t`...)
		case c == '\a':
			dst = append(dst, `\a`...)
		case c == '\b':
			dst = append(dst, `\b`...)
		case c < ' ' || c > '~':
			dst = fmt.Appendf(dst, `\x%02x`, c)
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}

package redis

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/proxy/redis/policy"
)

func TestConnectionCommandsAreTheServers(t *testing.T) {
	lines := readDialogue(t, "testdata/connection.txt")
	want := play(t, startRedis(t), lines)
	got := play(t, startProxy(t).addr, lines)
	for i, line := range lines {
		if got[i] != want[i] {
			t.Errorf("%s\n  node  %q\n  redis %q", line.text, got[i], want[i])
		}
	}
}

func TestClientKill(t *testing.T) {
	p := startProxy(t)
	killer := dial(t, p.addr)
	victim := func() (c *client, id string) {
		c = dial(t, p.addr)
		return c, strings.Trim(c.cmd("CLIENT ID"), ":\r\n")
	}
	c, id := victim()
	want(t, killer.cmd("CLIENT KILL ID "+id), ":1\r\n")
	if !c.eof() {
		t.Error("ID: it lives on")
	}
	c, _ = victim()
	want(t, killer.cmd("CLIENT KILL "+c.conn.LocalAddr().String()), replyOK)
	if !c.eof() {
		t.Error("address: it lives on")
	}
	c, _ = victim()
	want(t, killer.cmd("CLIENT KILL ADDR "+c.conn.LocalAddr().String()+" USER default TYPE normal"), ":1\r\n")
	if !c.eof() {
		t.Error("ADDR: it lives on")
	}
	c, _ = victim()
	want(t, killer.cmd("CLIENT KILL LADDR "+p.addr), ":1\r\n")
	if !c.eof() {
		t.Error("LADDR: it lives on")
	}
	want(t, killer.cmd("PING"), "+PONG\r\n")
	killer.send([]byte("CLIENT KILL SKIPME no LADDR " + p.addr + "\r\nSET after kill\r\n"))
	want(t, killer.reply(), ":1\r\n")
	if !killer.eof() {
		t.Error("SKIPME no: it lives on")
	}
	want(t, dial(t, p.addr).cmd("EXISTS after"), ":0\r\n")
}

// What a client that was killed has sent is not run any more, but for what was running.
func TestKilledInPipeline(t *testing.T) {
	p := startProxy(t, func(c *Config) { c.MaxPipelineCommands = 10 })
	c, killer := dial(t, p.addr), dial(t, p.addr)
	id := strings.Trim(c.cmd("CLIENT ID"), ":\r\n")
	running, killed := make(chan struct{}), make(chan struct{})
	var once sync.Once
	p.log.proposeFails = func([][]byte) error {
		once.Do(func() { close(running); <-killed })
		return nil
	}
	c.send([]byte(strings.Repeat("INCR n\r\n", 100)))
	<-running
	want(t, killer.cmd("CLIENT KILL ID "+id), ":1\r\n")
	close(killed)
	if !c.eof() {
		t.Error("it lives on")
	}
	for end := time.Now().Add(40 * time.Second); p.server.Stats().Clients > 1; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the session stays")
		}
	}
	want(t, killer.cmd("GET n"), "$2\r\n10\r\n")
}

func TestClientPause(t *testing.T) {
	p := startProxy(t)
	admin, c := dial(t, p.addr), dial(t, p.addr)
	want(t, admin.cmd("CLIENT PAUSE 100000 WRITE"), replyOK)
	want(t, c.cmd("GET k"), "$-1\r\n")
	// The replies to what came before the pause do not wait for its end.
	c.send([]byte("GET k\r\nSET k v\r\n"))
	want(t, c.reply(), "$-1\r\n")
	awaitBlocked(t, p, admin, 1)
	gone := dial(t, p.addr)
	gone.send([]byte("SET gone v\r\n"))
	awaitBlocked(t, p, admin, 2)
	gone.conn.Close()
	awaitBlocked(t, p, admin, 1)
	want(t, admin.cmd("GET k"), "$-1\r\n")
	want(t, admin.cmd("CLIENT UNPAUSE"), replyOK)
	want(t, c.reply(), replyOK)
	want(t, admin.cmd("GET k"), "$1\r\nv\r\n")
	want(t, admin.cmd("EXISTS gone"), ":0\r\n")

	// EXEC waits if something in it writes. All commands wait for the end of the time.
	want(t, admin.cmd("CLIENT PAUSE 100000 WRITE"), replyOK)
	c.send([]byte("MULTI\r\nGET k\r\nEXEC\r\nMULTI\r\nSET k w\r\nEXEC\r\n"))
	c.reply()
	c.reply()
	want(t, c.reply(), "*1\r\n$1\r\nv\r\n")
	awaitBlocked(t, p, admin, 1)
	want(t, admin.cmd("CLIENT UNPAUSE"), replyOK)
	c.reply()
	c.reply()
	want(t, c.reply(), "*1\r\n+OK\r\n")
	began := time.Now()
	want(t, admin.cmd("CLIENT PAUSE 50"), replyOK)
	want(t, c.cmd("GET k"), "$1\r\nw\r\n")
	if took := time.Since(began); took < 50*time.Millisecond {
		t.Errorf("a pause of 50 ms ended after %v", took)
	}
	if p.server.attention.Load() {
		t.Error("commands are still looked after")
	}
}

func awaitBlocked(t *testing.T, p *proxy, c *client, n int64) {
	t.Helper()
	for end := time.Now().Add(40 * time.Second); p.server.blocked.Load() != n; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d clients wait, want %d", p.server.blocked.Load(), n)
		}
	}
	if got := c.cmd("INFO clients"); !strings.Contains(got, fmt.Sprintf("blocked_clients:%d\r\n", n)) {
		t.Errorf("INFO: %q", got)
	}
}

var monitorLine = regexp.MustCompile(`^\+\d+\.\d{6} \[(\d+) 127\.0\.0\.1:\d+\](.*)\r\n$`)

func TestMonitor(t *testing.T) {
	watch := func(addr string) (lines []string) {
		m, c := dial(t, addr), dial(t, addr)
		want(t, m.cmd("MONITOR"), replyOK)
		for _, command := range [][]string{
			{"SET", "k", "v\x00\r\n\t\a\b\\\"\xff~ "}, {"get", "k"}, {"SELECT", "3"}, {"GET", "k"}, {"NOSUCH"}, {"GET"},
			{"AUTH", "secret"}, {"AUTH", "user", "secret"}, {"HELLO", "2", "AUTH", "default", "x", "SETNAME", "n"},
			{"CONFIG", "GET", "port"}, {"CLIENT", "LIST"}, {"CLIENT", "ID"}, {"PING"},
			{"MULTI"}, {"SET", "k", "1"}, {"LPUSH", "k", "2"}, {"PING"}, {"EXEC"}, {"MULTI"}, {"SET", "k", "1"}, {"DISCARD"},
			{"MULTI"}, {"NOSUCH"}, {"EXEC"}, {"DISCARD"}, {"EXEC"}, {"PUBLISH", "c", "m"}, {"RESET"}, {"ECHO", "end"},
		} {
			c.do(command...)
		}
		for {
			parts := monitorLine.FindStringSubmatch(m.reply())
			if parts == nil {
				t.Fatal("a line is no line of MONITOR")
			}
			if lines = append(lines, parts[1]+parts[2]); parts[2] == ` "ECHO" "end"` {
				return lines
			}
		}
	}
	p := startProxy(t)
	got, want := watch(p.addr), watch(startRedis(t))
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("a node shows\n%s\na redis-server\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// What ends MONITOR is told to other monitors, not to the client whose MONITOR it ends.
func TestMonitorEnds(t *testing.T) {
	p := startProxy(t)
	other := dial(t, p.addr)
	want(t, other.cmd("MONITOR"), replyOK)
	for name, reply := range map[string]string{"RESET": "+RESET\r\n", "QUIT": replyOK} {
		m := dial(t, p.addr)
		want(t, m.cmd("MONITOR"), replyOK)
		testNotToldOfItsEnd(t, p, m, other, name)
		want(t, m.reply(), reply)
	}
}

func testNotToldOfItsEnd(t *testing.T, p *proxy, m, other *client, name string) {
	t.Helper()
	ending := p.server.monitorOf(m)
	if ending == nil {
		t.Fatal("the client is no monitor")
	}
	// Whoever tells it of a command stands still, with all monitors held.
	ending.mu.Lock()
	defer ending.mu.Unlock()
	m.send(appendRequest(nil, name))
	if err := other.conn.SetReadDeadline(time.Now().Add(40 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if line := other.reply(); !strings.HasSuffix(line, ` "`+name+"\"\r\n") {
		t.Fatalf("another monitor reads %q instead of %s", line, name)
	}
	for end := time.Now().Add(40 * time.Second); !p.server.monitors.mu.TryLock(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the client is told of its own %s", name)
		}
	}
	p.server.monitors.mu.Unlock()
}

// Of a client that sends and does not read, CLIENT LIST shows what is held for it.
func TestSizesOfBuffers(t *testing.T) {
	p := startProxy(t)
	c, slow := dial(t, p.addr), dial(t, p.addr)
	slow.cmd("CLIENT SETNAME slow")
	id := strings.TrimSuffix(slow.cmd("CLIENT ID")[1:], "\r\n")
	sizes := func() (query, free, out int) {
		t.Helper()
		line := c.cmd("CLIENT LIST ID " + id)
		_, line, _ = strings.Cut(line, " qbuf=")
		var rest string
		if _, err := fmt.Sscanf(line, "%d qbuf-free=%d %s", &query, &free, &rest); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		_, line, _ = strings.Cut(line, " omem=")
		if _, err := fmt.Sscanf(line, "%d ", &out); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		return query, free, out
	}
	until := func(what string, ok func(query, free, out int) bool) {
		t.Helper()
		for end := time.Now().Add(40 * time.Second); ; time.Sleep(time.Millisecond) {
			query, free, out := sizes()
			if ok(query, free, out) {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("%s: qbuf %d, qbuf-free %d, omem %d", what, query, free, out)
			}
		}
	}
	until("idle", func(query, free, out int) bool { return query == 0 && free > 0 && out == 0 })
	slow.send([]byte("*2\r\n$4\r\nECHO\r\n$1000000\r\n" + strings.Repeat("x", 900_000)))
	until("with most of a request", func(query, _, out int) bool { return query > 900_000 && out == 0 })
	slow.send([]byte(strings.Repeat("x", 100_000) + "\r\n"))
	slow.reply()
	until("idle again", func(query, free, out int) bool { return query == 0 && free < 100_000 && out == 0 })
	slow.send(appendRequest(nil, "ECHO", strings.Repeat("x", 20<<20)))
	until("that does not read", func(_, _, out int) bool { return out > 1<<20 })
	slow.reply()
	until("that has read", func(_, _, out int) bool { return out == 0 })
}

// monitorOf returns the monitor of a client, or nil.
func (s *Server) monitorOf(c *client) *monitor {
	s.monitors.mu.Lock()
	defer s.monitors.mu.Unlock()
	for m := range s.monitors.list {
		if m.session.conn.RemoteAddr().String() == c.conn.LocalAddr().String() {
			return m
		}
	}
	return nil
}

func TestMonitorsThatDoNotRead(t *testing.T) {
	p := startProxy(t, func(c *Config) { c.Limits.WriteTimeout = time.Minute })
	m, c := dial(t, p.addr), dial(t, p.addr)
	m.cmd("MONITOR")
	list := dial(t, p.addr).cmd("CLIENT LIST")
	if !strings.Contains(list, " flags=O ") {
		t.Errorf("CLIENT LIST: %q", list)
	}
	value := strings.Repeat("x", 1<<20)
	for range 3 * maxMonitorBytes >> 20 {
		c.do("ECHO", value)
	}
	for end := time.Now().Add(40 * time.Second); p.server.attention.Load(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("a monitor that does not read stays")
		}
	}
}

// hiddenFromMonitors is about the flags of the server's commands.
func TestHiddenFromMonitors(t *testing.T) {
	c := dial(t, startRedis(t))
	for _, spec := range policy.NewTable().Specs() {
		reply := c.do("COMMAND", "INFO", spec.Name)
		if strings.HasPrefix(reply, "*1\r\n*-1") || strings.HasPrefix(reply, "*1\r\n$-1") {
			continue
		}
		if admin := strings.Contains(reply, "+admin\r\n"); admin != hiddenFromMonitors(spec.Name) {
			t.Errorf("%s: admin is %v", spec.Name, admin)
		}
	}
}

func TestRepliesOff(t *testing.T) {
	c := dial(t, startProxy(t).addr)
	var pipeline strings.Builder
	pipeline.WriteString("SET n 0\r\nCLIENT REPLY OFF\r\n")
	for range 1000 {
		pipeline.WriteString("INCR n\r\nGET n\r\n")
	}
	pipeline.WriteString("CLIENT REPLY ON\r\nCLIENT REPLY SKIP\r\nINCR n\r\nINCR n\r\nGET n\r\n")
	c.send([]byte(pipeline.String()))
	want(t, c.reply()+c.reply()+c.reply()+c.reply(), replyOK+replyOK+":1002\r\n$4\r\n1002\r\n")
}

package redis

import (
	"bytes"
	"math"
	"runtime"
	"strings"
	"testing"
	"time"

	backend "github.com/nexus-replication/nexus/appliers/redis"
)

// The time in which the node itself was stopped is not the script's: what the backend says then is read first.
func TestOwnPauseMakesNoScriptBusy(t *testing.T) {
	var r running
	r.after.Store(time.Hour.Milliseconds())
	script := r.begin(false, nil, func() {})
	defer script.end()
	now := script.begun
	step := func(took time.Duration) bool {
		now = now.Add(took)
		return script.stepped(now)
	}
	steps := int(time.Hour / script.step)
	for range steps - 1 {
		if step(script.step) {
			t.Fatal("busy before its time")
		}
	}
	if step(2*time.Hour) || r.current() != nil {
		t.Fatal("busy for the time in which the node was stopped")
	}
	if !step(script.step) || r.current() != script {
		t.Error("not busy after as long as it takes")
	}
}

// A threshold may be longer than a time can be.
func TestScriptIsBusyNever(t *testing.T) {
	var r running
	for _, after := range []int64{1 << 58, math.MaxInt64} { // in nanoseconds, 2^58 ms are a multiple of 2^64
		r.after.Store(after)
		script := r.begin(false, nil, func() {})
		if script.steps <= 1 || script.step <= 0 {
			t.Errorf("%d steps of %v", script.steps, script.step)
		}
		script.end()
	}
}

// What others are told about a script stays as it was, although its session goes on and reads into the same memory.
func TestBusyStatsAreTheScripts(t *testing.T) {
	var r running
	r.after.Store(1)
	buffer := []byte("FCALLname0")
	script := r.begin(true, [][]byte{buffer[:5], buffer[5:9], buffer[9:]}, func() {})
	awaitCurrent(t, &r)
	seen := r.current()
	if !script.end() || r.current() != nil {
		t.Error("the script was not busy, or is still")
	}
	copy(buffer, bytes.Repeat([]byte("x"), len(buffer)))
	s := &session{protocol: backend.RESP2}
	got := string(s.appendBusyStats(nil, seen))
	want := "$14\r\nrunning_script\r\n*6\r\n$4\r\nname\r\n$4\r\nname\r\n$7\r\ncommand\r\n*3\r\n$5\r\nFCALL\r\n$4\r\nname\r\n$1\r\n0\r\n"
	if !strings.Contains(got, want) {
		t.Errorf("%q", got)
	}
}

// A script can be killed while the backend runs it, also when its client has gone.
func TestKillOfAScriptThatWasLeft(t *testing.T) {
	p := startProxy(t)
	c1, c2 := dial(t, p.addr), dial(t, p.addr)
	want(t, c1.cmd("CONFIG SET busy-reply-threshold 1"), "+OK\r\n")
	c2.startSlowScript()
	awaitCurrent(t, &p.server.running)
	if err := c2.conn.Close(); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(40 * time.Second)
	for len(p.server.sessionList()) > 1 {
		if time.Now().After(deadline) {
			t.Fatal("the session of a client that has gone waits for the script")
		}
		runtime.Gosched()
	}
	want(t, c1.cmd("SCRIPT KILL"), "+OK\r\n")
	for p.server.running.current() != nil {
		if time.Now().After(deadline) {
			t.Fatal("the script is killed and still counts as running")
		}
		runtime.Gosched()
	}
	want(t, c1.cmd("STRLEN s"), ":1000001\r\n")
	want(t, c1.cmd("SCRIPT KILL"), "-NOTBUSY No scripts in execution right now.\r\n")
}

// A script with a reply that is too large to be kept runs again, for the client. It can be killed then too.
func TestKillOfAStreamedScript(t *testing.T) {
	p := startProxy(t)
	c1, c2 := dial(t, p.addr), dial(t, p.addr)
	want(t, c1.cmd("CONFIG SET busy-reply-threshold 1"), "+OK\r\n")
	c1.do(append([]string{"RPUSH", "l"}, strings.Fields(strings.Repeat("x ", 500))...)...)
	script := "while redis.call('exists', 'again') == 1 do redis.call('lrange', 'l', 0, -1) end return string.rep('x', 3000000)"
	if n := len(c2.do("EVAL_RO", script, "0")); n < 3_000_000 {
		t.Fatalf("%d bytes", n)
	}
	c3 := dial(t, p.addr)
	slow := func() { c3.cmd("SET again 1") }
	p.log.afterRead.Store(&slow)
	c2.send(appendRequest(nil, "EVAL_RO", script, "0"))
	for deadline := time.Now().Add(40 * time.Second); ; {
		reply := c1.cmd("SCRIPT KILL")
		if reply == "+OK\r\n" {
			break
		}
		want(t, reply, "-NOTBUSY No scripts in execution right now.\r\n")
		if time.Now().After(deadline) {
			t.Fatal("the script is not known to run")
		}
	}
	if reply := c2.reply(); !strings.HasPrefix(reply, "-ERR Script killed by user with SCRIPT KILL") {
		t.Errorf("EVAL_RO: %q", reply)
	}
}

// A node that does not hear whether the script is killed does not say that it is not.
func TestKillWithoutAnAnswer(t *testing.T) {
	p := startProxy(t)
	p.server.running.after.Store(1)
	script := p.server.running.begin(false, [][]byte{[]byte("EVAL")}, func() {})
	awaitCurrent(t, &p.server.running)
	defer script.end()
	if err := p.store.Close(); err != nil {
		t.Fatal(err)
	}
	if reply := dial(t, p.addr).cmd("SCRIPT KILL"); !strings.HasPrefix(reply, "-"+wordUnknown) {
		t.Errorf("SCRIPT KILL: %q", reply)
	}
}

// Nobody waits for such a script when the server closes.
func TestCloseLeavesScripts(t *testing.T) {
	p := startProxy(t)
	c := dial(t, p.addr)
	want(t, c.cmd("CONFIG SET busy-reply-threshold 1"), "+OK\r\n")
	c.startSlowScript()
	awaitCurrent(t, &p.server.running)
}

// startSlowScript runs a read that does not end before a minute. What it calls makes it slow, and takes few steps; but it is not so
// slow that the server is seldom asked whether it is to go on.
func (c *client) startSlowScript() {
	c.tb.Helper()
	want(c.tb, c.cmd("SETRANGE s 1000000 x"), ":1000001\r\n")
	c.send(appendRequest(nil, "EVAL", "while true do redis.call('bitcount', 's') end", "0"))
}

func awaitCurrent(tb testing.TB, r *running) {
	tb.Helper()
	deadline := time.Now().Add(40 * time.Second)
	for r.current() == nil {
		if time.Now().After(deadline) {
			tb.Fatal("no script is busy")
		}
		runtime.Gosched()
	}
}

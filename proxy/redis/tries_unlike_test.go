package redis

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nexus-replication/nexus/proxy/redis/script"
)

// What is killed on one replica must not make it another.

// A kill that is meant for a read finds the script from the log before it, and what is asked of the server behind that.
func TestKillsSpareTheLog(t *testing.T) {
	p := startProxy(t)
	writer, reader, killer := dial(t, p.addr), dial(t, p.addr), dial(t, p.addr)
	want(t, killer.cmd("CONFIG SET busy-reply-threshold 5"), "+OK\r\n")
	want(t, reader.do("EVAL", "return 1", "0"), ":1\r\n")
	writer.send(appendRequest(nil, "EVAL", "for i=1,60000 do redis.call('set','k'..i,'v','px',100000000) end return 1", "0"))
	answered := make(chan string, 1)
	go func() { answered <- writer.reply() }()
	for asked := false; ; {
		select {
		case got := <-answered:
			want(t, got, ":1\r\n")
			if asked {
				reader.reply()
			}
			want(t, killer.cmd("SET a b"), "+OK\r\n")
			return
		default:
		}
		if !asked {
			reader.send(appendRequest(nil, "EVAL", "return 1", "0"))
			asked = true
		}
		killer.cmd("SCRIPT KILL")
	}
}

// A kill may come while a library is being loaded. The next run finds everything as if nothing had been there.
func TestKillWhileALibraryIsLoaded(t *testing.T) {
	p := startProxy(t)
	c, killer := dial(t, p.addr), dial(t, p.addr)
	want(t, c.do("FUNCTION", "LOAD", "#!lua name=l\nlocal i=0 while i<900000 do i=i+1 end redis.register_function('f', function() return 1 end)"), "$1\r\nl\r\n")
	want(t, c.cmd("CONFIG SET busy-reply-threshold 1"), "+OK\r\n")
	want(t, c.cmd("FCALL f 0"), ":1\r\n")
	killed := false
	for try := 0; !killed && try < 500; try++ {
		c.send(appendRequest(nil, "FCALL", "f", "0"))
		answered := make(chan string, 1)
		go func() { answered <- c.reply() }()
		for got := ""; got == ""; {
			select {
			case got = <-answered:
				killed = strings.HasPrefix(got, "-")
			default:
				killer.cmd("FUNCTION KILL")
			}
		}
	}
	if !killed {
		t.Fatal("nothing was killed")
	}
	const probe = "return tostring(pcall(function() redis.register_function('zz', function() end) end))"
	want(t, c.do("EVAL", probe, "0"), "$5\r\nfalse\r\n")
	want(t, c.cmd("FCALL f 0"), ":1\r\n")
}

// Nor may a script name what only the reader of scripts puts into them.
func TestScriptsCannotNameGuards(t *testing.T) {
	c := dial(t, startProxy(t).addr)
	for _, name := range []string{"__nexus_step", "__nexus_fixed", "__nexus_absent", "__nexus_redis"} {
		if got := c.do("EVAL", "return "+name, "0"); !strings.HasPrefix(got, "-ERR Error compiling script") {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// Whether a server has compiled the libraries already, as after a function was tried there, makes no difference to what a
// function does: not to its steps, nor to the numbers of tables, nor to what is random.
func TestFunctionsDoNotDependOnWhatIsCompiled(t *testing.T) {
	p := startProxy(t)
	p.server.scripts.lib = script.NewLibrary(16, 13, 200_000) // as many as a busy machine takes in no time
	c, server := dial(t, p.addr), dial(t, p.redis)
	for i := range 3 {
		lib := fmt.Sprintf("#!lua name=l%d\nlocal i=0 while i<9000 do i=i+1 end redis.register_function('f%d', function(k,a) for i=1,180000 do end return redis.call('set','done','yes') end)", i, i)
		want(t, c.do("FUNCTION", "LOAD", lib), fmt.Sprintf("$2\r\nl%d\r\n", i))
	}
	want(t, c.do("FUNCTION", "LOAD", "#!lua name=n\nlocal function id() return tostring({}) end local s = id()\n"+
		"redis.register_function('g', function() redis.call('set','done',s) return redis.call('get','done') end)"), "$1\r\nn\r\n")
	steps, numbers := c.cmd("FCALL f0 0"), c.cmd("FCALL g 0")
	want(t, steps, "+OK\r\n")
	for _, function := range []string{"f0", "g"} {
		want(t, server.cmd("DEBUG RELOAD"), "+OK\r\n")
		got, expected := c.cmd("FCALL "+function+" 0"), map[string]string{"f0": steps, "g": numbers}[function]
		want(t, got, expected)
	}
}

// A reply that is too large to be held is asked for again, and the script may come to a write then.
func TestLargeRepliesOfTries(t *testing.T) {
	p := startProxy(t)
	c, other := dial(t, p.addr), dial(t, p.addr)
	c.do("SET", "big", strings.Repeat("x", 20<<20))
	for i := range 10 {
		other.cmd("DEL flag x")
		body := fmt.Sprintf("if redis.call('get','flag') then return redis.call(ARGV[1],'x') end return redis.call('get','big') -- %d", i)
		c.send(appendRequest(nil, "EVAL", body, "0", "incr"))
		other.cmd("SET flag 1")
		got := c.reply()
		if wrote := other.cmd("GET x") != "$-1\r\n"; wrote != (got == ":1\r\n") || !wrote && len(got) < 20<<20 {
			t.Errorf("wrote %t, answer %.40q", wrote, got)
		}
	}
}

// The time is the leader's in every script.
func TestTimeInTries(t *testing.T) {
	p := startProxy(t)
	c := dial(t, p.addr)
	p.log.skew.Store(60_000)
	const ask = "redis.call('set','a',1) return redis.call('time')[1]"
	first := c.do("EVAL", ask, "0")
	second := c.do("EVAL", "return redis.call('time')[1]", "0")
	if second < first {
		t.Errorf("%q, and then %q", first, second)
	}
}

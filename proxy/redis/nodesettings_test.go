package redis

import (
	"fmt"
	"strings"
	"testing"
)

// Settings about replicas are told back; min-replicas-to-write refuses writes, as it does in a Redis without replicas.
func TestSettingsAboutReplicas(t *testing.T) {
	p := startProxy(t)
	c, other := dial(t, p.addr), dial(t, p.addr)
	want(t, c.cmd("CONFIG SET repl-ping-slave-period 3600 masterauth secret"), "+OK\r\n")
	want(t, c.cmd("CONFIG GET repl-ping-replica-period"), "*2\r\n$24\r\nrepl-ping-replica-period\r\n$4\r\n3600\r\n")
	want(t, c.cmd("CONFIG GET masterauth"), "*2\r\n$10\r\nmasterauth\r\n$6\r\nsecret\r\n")
	c.cmd("SET k v")
	c.cmd("MULTI")
	c.cmd("INCR n")
	want(t, other.cmd("CONFIG SET min-replicas-to-write 1"), "+OK\r\n")
	want(t, c.cmd("EXEC"), "-EXECABORT Transaction discarded because of: NOREPLICAS Not enough good replicas to write.\r\n")
	want(t, c.cmd("SET k w"), "-NOREPLICAS Not enough good replicas to write.\r\n")
	want(t, c.cmd("GET k"), "$1\r\nv\r\n")
	want(t, c.do("EVAL", "return redis.call('get', 'k')", "0"), "$1\r\nv\r\n")
	want(t, c.do("EVAL", "#!lua flags=no-writes\nreturn redis.call('get', 'k')", "0"), "$1\r\nv\r\n")
	want(t, c.do("EVAL", "#!lua\nreturn 1", "0"), "-NOREPLICAS Not enough good replicas to write.\r\n")
	body := "return redis.call('set', 'k', 'w')"
	want(t, c.do("EVAL", body, "0"), "-NOREPLICAS Not enough good replicas to write. script: "+sha1hex(body)+", on @user_script:1.\r\n")
	want(t, c.cmd("CONFIG SET min-replicas-to-write 0"), "+OK\r\n")
	want(t, c.cmd("SET k w"), "+OK\r\n")
}

// Settings about files are told back and mean nothing; the backend stays as it is.
func TestSettingsAboutFiles(t *testing.T) {
	p := startProxy(t)
	c, direct := dial(t, p.addr), dial(t, p.redis)
	before := direct.cmd("CONFIG GET appendonly appendfsync save")
	want(t, c.cmd("CONFIG GET appendonly appendfsync save"), before)
	want(t, c.do("CONFIG", "SET", "appendonly", "YES", "appendfsync", "always", "save", "3600  1 300 100"), replyOK)
	want(t, c.cmd("CONFIG GET appendonly"), "*2\r\n$10\r\nappendonly\r\n$3\r\nyes\r\n")
	want(t, c.cmd("CONFIG GET save"), "*2\r\n$4\r\nsave\r\n$14\r\n3600 1 300 100\r\n")
	want(t, c.do("CONFIG", "SET", "save", ""), replyOK)
	want(t, c.cmd("CONFIG GET save"), "*2\r\n$4\r\nsave\r\n$0\r\n\r\n")
	want(t, direct.cmd("CONFIG GET appendonly appendfsync save"), before)
	for _, args := range [][]string{{"save", "1"}, {"save", "0 1"}, {"save", "1 x"}, {"appendfsync", "never"}, {"appendonly", "perhaps"}} {
		set := append([]string{"CONFIG", "SET"}, args...)
		want(t, c.do(set...), direct.do(set...))
	}
}

// What the flags of a node say is told where it is set.
func TestSettingsOfFlags(t *testing.T) {
	c := dial(t, startProxy(t).addr)
	want(t, c.cmd("CONFIG SET hash-max-listpack-entries 77 port 1"), "-ERR CONFIG SET failed (possibly related to argument 'port') - "+
		"Unable to listen on this port. A node of Nexus listens where -proxyPort says\r\n")
	want(t, c.cmd("CONFIG GET hash-max-listpack-entries"), "*2\r\n$25\r\nhash-max-listpack-entries\r\n$3\r\n512\r\n")
	want(t, c.cmd("CONFIG SET timeout 0"), replyOK)
	want(t, c.cmd("CONFIG SET timeout 9"), "-ERR CONFIG SET failed (possibly related to argument 'timeout') - "+
		"The flag -idleTimeout of a node says when it closes idle clients\r\n")
}

// A pause of writes does not hold up what says of itself that it does not write.
func TestPauseLetsReadOnlyScriptsThrough(t *testing.T) {
	p := startProxy(t)
	c := dial(t, p.addr)
	want(t, c.do("FUNCTION", "LOAD", "#!lua name=lib\nredis.register_function{function_name='f', callback=function() return 3 end, flags={'no-writes'}}"), "$3\r\nlib\r\n")
	want(t, c.cmd("CLIENT PAUSE 100000 WRITE"), "+OK\r\n")
	body := "#!lua flags=no-writes\nreturn 1"
	want(t, c.do("EVAL", body, "0"), ":1\r\n")
	want(t, c.do("SCRIPT", "LOAD", body), "$40\r\n"+sha1hex(body)+"\r\n")
	want(t, c.do("EVALSHA", sha1hex(body), "0"), ":1\r\n")
	want(t, c.do("FCALL", "f", "0"), ":3\r\n")
	c.cmd("MULTI")
	c.do("EVAL", body, "0")
	want(t, c.cmd("EXEC"), "*1\r\n:1\r\n")
	want(t, c.cmd("CLIENT UNPAUSE"), "+OK\r\n")
}

// INFO counts the changes of clients only.
func TestChangesWithoutThePosition(t *testing.T) {
	c := dial(t, startProxy(t).addr)
	changes := func() (n int) {
		t.Helper()
		info := c.cmd("INFO persistence")
		_, rest, _ := strings.Cut(info, "\r\nrdb_changes_since_last_save:")
		if _, err := fmt.Sscanf(rest, "%d", &n); err != nil {
			t.Fatalf("%v in %q", err, info)
		}
		return n
	}
	before := changes()
	c.cmd("SETBIT k 0 0")
	c.cmd("SETBIT k 0 0")
	c.cmd("MSET a 1 b 2")
	if n := changes() - before; n != 3 {
		t.Errorf("%d changes, want 3", n)
	}
}

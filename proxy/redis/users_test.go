package redis

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// usersFile writes a file of users and returns its path.
func usersFile(tb testing.TB, lines ...string) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "users.acl")
	writeUsers(tb, path, lines...)
	return path
}

func writeUsers(tb testing.TB, path string, lines ...string) {
	tb.Helper()
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		tb.Fatal(err)
	}
}

func withUsers(tb testing.TB, lines ...string) (*proxy, string) {
	tb.Helper()
	path := usersFile(tb, lines...)
	return startProxy(tb, func(c *Config) { c.UsersFile = path }), path
}

const (
	root  = "user root on >rootpass ~* &* +@all"
	alice = "user alice on >wonder ~a:* %R~ro:* &ch:* +@all -@dangerous +sort +sort_ro"
)

func login(tb testing.TB, p *proxy, user, password string) *client {
	tb.Helper()
	c := dial(tb, p.addr)
	want(tb, c.do("AUTH", user, password), replyOK)
	return c
}

func TestUsersLogin(t *testing.T) {
	p, _ := withUsers(t, root, alice)
	c := dial(t, p.addr)
	want(t, c.cmd("GET x"), "-"+errTextNoAuth+"\r\n")
	want(t, c.cmd("AUTH nobody"), "-"+errTextWrongPass+"\r\n")
	want(t, c.cmd("AUTH default nobody"), "-"+errTextWrongPass+"\r\n")
	want(t, c.cmd("AUTH alice rootpass"), "-"+errTextWrongPass+"\r\n")
	want(t, c.cmd("HELLO 3"), "-"+errTextHelloAuth+"\r\n")
	if got := c.cmd("HELLO 3 AUTH alice wonder SETNAME n"); !strings.HasPrefix(got, "%7\r\n") {
		t.Errorf("HELLO: %q", got)
	}
	want(t, c.cmd("ACL WHOAMI"), "$5\r\nalice\r\n")
	if got := c.cmd("CLIENT INFO"); !strings.Contains(got, " user=alice ") {
		t.Errorf("CLIENT INFO: %s", got)
	}
	want(t, c.cmd("RESET"), "+RESET\r\n")
	want(t, c.cmd("PING"), "-"+errTextNoAuth+"\r\n")
}

func TestUsersEnforced(t *testing.T) {
	p, _ := withUsers(t, root, alice)
	r, c := login(t, p, "root", "rootpass"), login(t, p, "alice", "wonder")
	const (
		noKey     = "-NOPERM this user has no permissions to access one of the keys used as arguments\r\n"
		noChannel = "-NOPERM this user has no permissions to access one of the channels used as arguments\r\n"
	)
	noCommand := func(name string) string {
		return "-NOPERM this user has no permissions to run the '" + name + "' command\r\n"
	}
	want(t, r.cmd("SET ro:1 x"), replyOK)
	want(t, r.cmd("SET secret x"), replyOK)
	for _, tc := range []struct{ line, want string }{
		{"SET a:1 v", replyOK},
		{"GET a:1", "$1\r\nv\r\n"},
		{"GET ro:1", "$1\r\nx\r\n"},
		{"SET ro:1 y", noKey},
		{"GET secret", noKey},
		{"MGET a:1 secret", noKey},
		{"SET ro:1 y GET", noKey},
		{"COPY ro:1 a:2", ":1\r\n"},
		{"RENAME a:2 secret", noKey},
		{"WATCH secret", noKey},
		{"BLPOP secret 1", noKey},
		{"XREAD BLOCK 1 STREAMS secret $", noKey},
		{"SPOP secret", noKey},
		{"FLUSHALL", noCommand("flushall")},
		{"KEYS *", noCommand("keys")},
		{"CONFIG GET *", noCommand("config|get")},
		{"CLIENT KILL 1:1", noCommand("client|kill")},
		{"ACL WHOAMI", "$5\r\nalice\r\n"},
		{"ACL LIST", noCommand("acl|list")},
		{"MONITOR", noCommand("monitor")},
		{"NEXUS VERIFY", noCommand("nexus|verify")},
		{"SHUTDOWN", noCommand("shutdown")},
		{"PUBLISH ch:1 x", ":0\r\n"},
		{"PUBLISH other x", noChannel},
		{"SUBSCRIBE other", noChannel},
		{"PSUBSCRIBE ch:1*", noChannel},
		{"SORT a:1 BY a:*", "-ERR BY option of SORT denied due to insufficient ACL permissions\r\n"},
		{"NOSUCH", "-ERR unknown command 'NOSUCH', with args beginning with: \r\n"},
		{"GET", "-ERR wrong number of arguments for 'get' command\r\n"},
	} {
		if got := c.cmd(tc.line); got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.line, got, tc.want)
		}
	}
	want(t, r.cmd("GET ro:1"), "$1\r\nx\r\n")

	t.Run("in a pipeline", func(t *testing.T) {
		c.send([]byte("SET a:1 1\r\nGET secret\r\nSET secret 1\r\nGET a:1\r\n"))
		for _, w := range []string{replyOK, noKey, noKey, "$1\r\n1\r\n"} {
			want(t, c.reply(), w)
		}
	})
	t.Run("in MULTI", func(t *testing.T) {
		want(t, c.cmd("MULTI"), replyOK)
		want(t, c.cmd("SET secret 1"), noKey)
		want(t, c.cmd("SET a:1 2"), replyQueued)
		want(t, c.cmd("EXEC"), "-"+errTextAbort+"\r\n")
		want(t, r.cmd("MULTI"), replyOK)
		want(t, r.cmd("AUTH alice wonder"), replyQueued)
		want(t, r.cmd("SET secret 2"), replyQueued)
		want(t, r.cmd("SET a:1 3"), replyQueued)
		want(t, r.cmd("EXEC"), "*3\r\n+OK\r\n-NOPERM ACLs rules changed between the moment the transaction was accumulated and "+
			"the EXEC call. This command is no longer allowed for the following reason: no permission to touch the specified keys\r\n+OK\r\n")
		want(t, r.cmd("AUTH root rootpass"), replyOK)
		want(t, r.cmd("GET secret"), "$1\r\nx\r\n")
	})
	t.Run("log", func(t *testing.T) {
		want(t, r.cmd("ACL LOG RESET"), replyOK)
		want(t, c.cmd("GET secret"), noKey)
		want(t, c.cmd("GET secret"), noKey)
		want(t, dial(t, p.addr).cmd("AUTH alice wrong"), "-"+errTextWrongPass+"\r\n")
		got := r.cmd("ACL LOG")
		for _, w := range []string{"*2\r\n*14\r\n$5\r\ncount\r\n:1\r\n$6\r\nreason\r\n$4\r\nauth\r\n$7\r\ncontext\r\n$8\r\ntoplevel\r\n$6\r\nobject\r\n$4\r\nAUTH\r\n$8\r\nusername\r\n$5\r\nalice\r\n",
			"$5\r\ncount\r\n:2\r\n$6\r\nreason\r\n$3\r\nkey\r\n$7\r\ncontext\r\n$8\r\ntoplevel\r\n$6\r\nobject\r\n$6\r\nsecret\r\n"} {
			if !strings.Contains(got, w) {
				t.Errorf("ACL LOG: %q\nlacks %q", got, w)
			}
		}
	})
}

func TestUsersCommands(t *testing.T) {
	p, _ := withUsers(t, root, alice, "user default off")
	c := login(t, p, "root", "rootpass")
	want(t, c.cmd("ACL USERS"), "*3\r\n$5\r\nalice\r\n$7\r\ndefault\r\n$4\r\nroot\r\n")
	want(t, c.cmd("ACL DRYRUN alice GET a:1"), replyOK)
	want(t, c.cmd("ACL DRYRUN alice GET b"), appendedBulk("This user has no permissions to access the 'b' key"))
	want(t, c.cmd("ACL DRYRUN nobody GET b"), "-ERR User 'nobody' not found\r\n")
	want(t, c.cmd("ACL GETUSER nobody"), "$-1\r\n")
	if got := c.cmd("ACL LIST"); !strings.Contains(got, "user alice on #") || strings.Contains(got, "wonder") {
		t.Errorf("ACL LIST: %s", got)
	}
	for _, line := range []string{"ACL SETUSER bob on", "ACL DELUSER alice", "ACL SAVE"} {
		if got := c.cmd(line); !strings.Contains(got, "is refused by Nexus: users are those of the file that -users names") {
			t.Errorf("%s: %s", line, got)
		}
	}
	plain := startProxy(t)
	if got := dial(t, plain.addr).cmd("ACL LOAD"); !strings.HasPrefix(got, "-ERR This Redis instance is not configured to use an ACL file.") {
		t.Errorf("ACL LOAD: %s", got)
	}
}

func appendedBulk(s string) string { return string(appendBulk(nil, s)) }

func TestUsersReload(t *testing.T) {
	p, path := withUsers(t, root, alice, "user bob on >builder ~* +@all")
	r, a, b := login(t, p, "root", "rootpass"), login(t, p, "alice", "wonder"), login(t, p, "bob", "builder")
	unknown := dial(t, p.addr)
	want(t, unknown.cmd("GET x"), "-"+errTextNoAuth+"\r\n")

	writeUsers(t, path, root, "user alice on >wonder +nosuch", "user bob on >hidden &broken~ (")
	got := r.cmd("ACL LOAD")
	for _, w := range []string{"line 2: user alice: rule \"+nosuch\": Unknown command", "line 3: user bob: Unmatched parenthesis", "no change to the previously active ACL rules"} {
		if !strings.Contains(got, w) {
			t.Errorf("ACL LOAD: %q lacks %q", got, w)
		}
	}
	if strings.Contains(got, "hidden") {
		t.Errorf("ACL LOAD tells a password: %s", got)
	}
	want(t, a.cmd("PING"), "+PONG\r\n")

	writeUsers(t, path, root, alice, "user bob on >builder ~b:* +@all")
	want(t, r.cmd("ACL LOAD"), replyOK)
	want(t, a.cmd("PING"), "+PONG\r\n") // did not change
	want(t, unknown.cmd("PING"), "-"+errTextNoAuth+"\r\n")
	if !b.eof() {
		t.Error("a client of a user that changed is still there")
	}
	writeUsers(t, path, alice)
	if err := p.server.LoadUsers(); err != nil {
		t.Fatal(err)
	}
	if !r.eof() {
		t.Error("a client of a user that is gone is still there")
	}
	want(t, a.cmd("PING"), "+PONG\r\n")
	writeUsers(t, path, strings.Replace(alice, "+@all", "+@all +acl", 1))
	b = dial(t, p.addr)
	want(t, b.cmd("AUTH root rootpass"), "-"+errTextWrongPass+"\r\n")
}

// A client whose own ACL LOAD takes away what it was gets its answer first.
func TestUsersReloadOneself(t *testing.T) {
	p, path := withUsers(t, root)
	c := login(t, p, "root", "rootpass")
	writeUsers(t, path, alice)
	want(t, c.cmd("ACL LOAD"), replyOK)
	if !c.eof() {
		t.Error("still there")
	}
}

func TestUsersReloadWhileBlocked(t *testing.T) {
	p, path := withUsers(t, root, alice)
	c := login(t, p, "alice", "wonder")
	sub := login(t, p, "alice", "wonder")
	want(t, sub.cmd("SUBSCRIBE ch:1"), "*3\r\n$9\r\nsubscribe\r\n$4\r\nch:1\r\n:1\r\n")
	want(t, c.cmd("MULTI"), replyOK)
	writeUsers(t, path, root, strings.Replace(alice, "ch:", "other:", 1))
	if err := p.server.LoadUsers(); err != nil {
		t.Fatal(err)
	}
	if !sub.eof() || !c.eof() {
		t.Error("a client of a user that changed is still there")
	}
}

func TestUsersClientKill(t *testing.T) {
	p, _ := withUsers(t, root, alice)
	r, a := login(t, p, "root", "rootpass"), login(t, p, "alice", "wonder")
	want(t, r.cmd("CLIENT KILL USER nobody"), "-ERR No such user 'nobody'\r\n")
	want(t, r.cmd("CLIENT KILL USER alice"), ":1\r\n")
	if !a.eof() {
		t.Error("alice is still there")
	}
	want(t, r.cmd("PING"), "+PONG\r\n")
}

func TestUsersOpenDefault(t *testing.T) {
	p, _ := withUsers(t, "user default on nopass ~public:* +@read", root)
	c := dial(t, p.addr)
	want(t, c.cmd("GET public:1"), "$-1\r\n")
	want(t, c.cmd("GET private:1"), "-NOPERM this user has no permissions to access one of the keys used as arguments\r\n")
	want(t, c.cmd("AUTH x"), "-"+errTextNoPassword+"\r\n")
	want(t, c.cmd("AUTH root rootpass"), replyOK)
	want(t, c.cmd("SET private:1 x"), replyOK)
	want(t, c.cmd("RESET"), "+RESET\r\n")
	want(t, c.cmd("ACL WHOAMI"), "-NOPERM this user has no permissions to run the 'acl|whoami' command\r\n")
}

func TestUsersBadFile(t *testing.T) {
	path := usersFile(t, "user alice on >secret +@all", "user alice >other", "user bob >hidden +nosuch")
	cfg := NewConfig()
	cfg.UsersFile = path
	p := startProxy(t)
	want(t, dial(t, p.addr).cmd("PING"), "+PONG\r\n")
	_, err := New(cfg, p.log, p.store)
	if err == nil || !strings.Contains(err.Error(), `line 3: user bob: rule "+nosuch": Unknown command`) || strings.Contains(err.Error(), "hidden") {
		t.Errorf("got %v", err)
	}
}

// The rights of its user go with a script.
func TestUsersScripts(t *testing.T) {
	p, _ := withUsers(t, root, alice, "user all on >p +@all -get ~* &*", "user two on >p +@scripting (~x:* +get) (~y:* +set) (+select|1)")
	r, a := login(t, p, "root", "rootpass"), login(t, p, "alice", "wonder")
	want(t, r.cmd("SET ro:1 x"), replyOK)
	const (
		command = "ERR The user executing the script can't run this command or subcommand"
		key     = "ERR The user executing the script can't access at least one of the keys mentioned in the command arguments"
		channel = "ERR The user executing the script can't publish to the channel mentioned in the command"
	)
	check := func(c *client, script, want string) {
		t.Helper()
		for _, eval := range []string{"EVAL", "EVAL_RO"} {
			if eval == "EVAL_RO" && strings.Contains(script, "rw") {
				continue
			}
			got := c.do(eval, strings.TrimPrefix(script, "rw "), "0")
			if want == "" && got[0] == '-' || want != "" && !strings.HasPrefix(got, "-"+want) {
				t.Errorf("%s %s: got %q, want %q", eval, script, got, want)
			}
		}
	}
	check(a, "rw return redis.call('set', 'a:1', 1)", "")
	check(a, "return redis.call('get', 'a:1')", "")
	check(a, "return redis.call('GET', 'ro:1')", "")
	check(a, "rw return redis.call('set', 'ro:1', 1)", key)
	check(a, "return redis.call('get', 'b')", key)
	check(a, "return redis.call('mget', 'a:1', 'b')", key)
	check(a, "redis.setresp(3); return redis.call('mget', 'a:1', 'b')", key)
	check(a, "rw return redis.call('rename', 'a:1', 'b')", key)
	check(a, "rw return redis.call('flushall')", command)
	check(a, "return redis.call('keys', '*')", command)
	check(a, "return _G.redis.call('keys', '*')", command)
	check(a, "rw return redis.call('publish', 'ch:1', 'x')", "")
	check(a, "rw return redis.call('publish', 'other', 'x')", channel)
	check(a, "rw return redis.call('sort', 'a:1', 'store', 'a:2', 'store', 'b')", key)
	check(a, "return redis.call('sort_ro', 'a:1', 'by', 'x*')", "ERR BY option of SORT denied")
	check(a, "return redis.call('get')", "ERR Wrong number of args")
	check(a, "return redis.pcall('get', 'b')", key)
	want(t, a.do("EVAL", "return redis.acl_check_cmd('get', 'b')", "0"), "$-1\r\n")
	want(t, a.do("EVAL", "return redis.acl_check_cmd('get', 'a:1')", "0"), ":1\r\n")
	want(t, r.do("EVAL", "return redis.acl_check_cmd('get', 'b')", "0"), ":1\r\n")
	want(t, a.do("EVAL", "return 1", "1", "b"), "-NOPERM this user has no permissions to access one of the keys used as arguments\r\n")

	all, two := login(t, p, "all", "p"), login(t, p, "two", "p")
	check(all, "return redis.call('get', 'x')", command)
	check(all, "rw return redis.call('set', 'x', 1)", "")
	check(two, "return redis.call('get', 'x:1')", "")
	check(two, "rw return redis.call('set', 'y:1', 1)", "")
	check(two, "rw return redis.call('set', 'x:1', 1)", key)
	check(two, "return redis.call('get', 'y:1')", key)
	check(two, "return redis.call('select', 1)", "")
	check(two, "return redis.call('select', 0)", command)

	t.Run("functions", func(t *testing.T) {
		want(t, r.do("FUNCTION", "LOAD", "#!lua name=l\nredis.register_function('f', function(keys, args) return redis.call('set', args[1], 1) end)"), "$1\r\nl\r\n")
		want(t, a.cmd("FCALL f 0 a:1"), replyOK)
		if got := a.cmd("FCALL f 0 b"); !strings.HasPrefix(got, "-"+key) {
			t.Error(got)
		}
		want(t, r.cmd("FCALL f 0 b"), replyOK)
	})
	t.Run("in MULTI, and by SHA1", func(t *testing.T) {
		sha := a.do("SCRIPT", "LOAD", "return redis.call('set', ARGV[1], 2)")[5:45]
		want(t, a.cmd("MULTI"), replyOK)
		want(t, a.cmd("EVALSHA "+sha+" 0 a:1"), replyQueued)
		want(t, a.cmd("EVALSHA "+sha+" 0 b"), replyQueued)
		if got := a.cmd("EXEC"); !strings.HasPrefix(got, "*2\r\n+OK\r\n-"+key) {
			t.Error(got)
		}
		want(t, r.cmd("EVALSHA "+sha+" 0 b"), replyOK)
	})
}

func TestClientRate(t *testing.T) {
	p := startProxy(t, func(c *Config) { c.MaxClientRate = 20 })
	c := dial(t, p.addr)
	c.send([]byte(strings.Repeat("PING\r\n", 22)))
	for range 22 {
		want(t, c.reply(), "+PONG\r\n")
	}
	if n := p.server.metrics.slowed.Load(); n == 0 {
		t.Error("nothing was slowed down")
	}
}

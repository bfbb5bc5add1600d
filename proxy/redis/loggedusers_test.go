package redis

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	backend "github.com/nexus-replication/nexus/appliers/redis"
	"github.com/nexus-replication/nexus/raft"
)

const (
	noGet  = "-NOPERM this user has no permissions to run the 'get' command\r\n"
	noAuth = "-" + errTextNoAuth + "\r\n"
)

func TestSetUser(t *testing.T) {
	p := startProxy(t)
	admin := dial(t, p.addr)
	want(t, admin.cmd("ACL SETUSER bob on >123 +@scripting +set ~x*"), replyOK)
	want(t, admin.cmd("ACL LIST"), string(appendRequest(nil,
		"user bob on #a665a45920422f9d417e4867efdc4fb8a04a1f3fff1fa07e998e86f7f7a27ae3 ~x* resetchannels -@all +@scripting +set",
		"user default on nopass ~* &* +@all")))
	bob := login(t, p, "bob", "123")
	want(t, bob.cmd("SET x1 v"), replyOK)
	want(t, bob.cmd("GET x1"), noGet)
	want(t, bob.do("EVAL", "return redis.call('set', KEYS[1], 1)", "1", "x2"), replyOK)

	// New rules hold from the next command on, in the same pipeline too.
	want(t, admin.cmd("ACL SETUSER bob +get"), replyOK)
	want(t, bob.cmd("GET x1"), "$1\r\nv\r\n")
	want(t, admin.cmd("ACL SETUSER bob +acl"), replyOK)
	bob.send([]byte("ACL SETUSER bob -get\r\nGET x1\r\nACL SETUSER bob +get\r\nGET x1\r\n"))
	for _, w := range []string{replyOK, noGet, replyOK, "$1\r\nv\r\n"} {
		want(t, bob.reply(), w)
	}
	want(t, bob.cmd("ACL SETUSER bob -acl"), replyOK)
	want(t, bob.cmd("ACL SETUSER bob +acl"), "-NOPERM this user has no permissions to run the 'acl|setuser' command\r\n")

	// One that is off keeps its clients, one that is deleted does not.
	want(t, admin.cmd("ACL SETUSER bob off <123 >4"), replyOK)
	want(t, bob.cmd("GET x1"), "$1\r\nv\r\n")
	want(t, dial(t, p.addr).cmd("AUTH bob 4"), "-"+errTextWrongPass+"\r\n")
	want(t, admin.cmd("ACL SETUSER bob on"), replyOK)
	want(t, dial(t, p.addr).cmd("AUTH bob 123"), "-"+errTextWrongPass+"\r\n")
	other := login(t, p, "bob", "4")
	want(t, admin.cmd("ACL DELUSER nobody bob bob"), ":1\r\n")
	if !bob.eof() || !other.eof() {
		t.Error("a client of a user that was deleted is still there")
	}
	want(t, admin.cmd("ACL DELUSER bob"), ":0\r\n")
	want(t, admin.cmd("ACL USERS"), "*1\r\n$7\r\ndefault\r\n")
	want(t, admin.cmd("ACL SAVE"), replyOK)
}

func TestSetUserErrors(t *testing.T) {
	p := startProxy(t)
	c := dial(t, p.addr)
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"SETUSER", "a b", "on"}, errTextUserName},
		{[]string{"SETUSER", "bob", "+nosuch"}, "ERR Error in ACL SETUSER modifier '+nosuch': Unknown command or category name in ACL"},
		{[]string{"SETUSER", "bob", "a\r\nb"}, "ERR Error in ACL SETUSER modifier 'a  b': Syntax error"},
		{[]string{"SETUSER", "bob", "(~x"}, "ERR Unmatched parenthesis in acl selector starting at '(~x'."},
		{[]string{"DELUSER", "bob", "default"}, errTextDelDefault},
		{[]string{"SETUSER", "bob", "~" + strings.Repeat("k", maxUserBytes)}, fmt.Sprintf("ERR nexus: the name and the rules of the user have %d bytes, at most %d are kept", maxUserBytes+28, maxUserBytes)},
	} {
		if got := c.do(append([]string{"ACL"}, tc.args...)...); got != "-"+tc.want+"\r\n" {
			t.Errorf("%.80q: %s", tc.args, got)
		}
	}
	want(t, c.cmd("ACL USERS"), "*1\r\n$7\r\ndefault\r\n")

	members := []raft.Member{{ID: 9, URL: "http://127.0.0.1:9023"}}
	p.log.without.Store(&members)
	p.server.cfg.Timeout /= 20
	if got := c.cmd("ACL SETUSER bob on"); !strings.HasPrefix(got, "-TRYAGAIN nexus: not executed: the member http://127.0.0.1:9023 is of an older version") {
		t.Error(got)
	}
	p.log.without.Store(nil)
	want(t, c.cmd("ACL SETUSER bob on"), replyOK)
	p.log.without.Store(&members)
	want(t, c.cmd("ACL SETUSER bob off"), replyOK) // that is in the log already
}

func TestTooManyUsers(t *testing.T) {
	full := &backend.Users{Rules: make(map[string]string)}
	for i := range maxUsers {
		full.Rules[fmt.Sprint(i)] = "on"
	}
	if text := tooManyUsers(full, backend.UserChange{Name: "one more", Rule: "on"}); !strings.Contains(text, "the most") {
		t.Error(text)
	}
	if text := tooManyUsers(full, backend.UserChange{Name: "1", Rule: "off"}); text != "" {
		t.Error(text)
	}
	large := &backend.Users{Rules: map[string]string{"a": "on", "b": strings.Repeat("x", maxAllUsers)}}
	if text := tooManyUsers(large, backend.UserChange{Name: "a", Rule: "on nopass"}); !strings.Contains(text, "all users together") {
		t.Error(text)
	}
	if text := tooManyUsers(large, backend.UserChange{Name: "a", Rule: "o"}); text != "" {
		t.Errorf("a rule cannot get shorter: %s", text)
	}
}

func TestSetUserOneself(t *testing.T) {
	p := startProxy(t)
	want(t, dial(t, p.addr).cmd("ACL SETUSER bob on >1 +@all ~* &*"), replyOK)
	bob := login(t, p, "bob", "1")
	want(t, bob.cmd("ACL DELUSER bob"), ":1\r\n")
	if !bob.eof() {
		t.Error("still there")
	}
	// Whoever came without a password goes on, as in Redis; others have to log in.
	c := dial(t, p.addr)
	want(t, c.cmd("PING"), "+PONG\r\n")
	want(t, c.cmd("ACL SETUSER default >2"), replyOK)
	want(t, c.cmd("PING"), "+PONG\r\n")
	late := dial(t, p.addr)
	want(t, late.cmd("PING"), noAuth)
	want(t, late.cmd("GET x"), noAuth)
	want(t, c.cmd("ACL SETUSER default nopass"), replyOK)
	want(t, late.cmd("GET x"), "$-1\r\n")
	want(t, c.cmd("ACL SETUSER default off"), replyOK)
	want(t, c.cmd("RESET"), "+RESET\r\n")
	want(t, c.cmd("GET x"), noAuth)
}

func TestSetUserInMulti(t *testing.T) {
	p := startProxy(t)
	c := dial(t, p.addr)
	want(t, c.cmd("MULTI"), replyOK)
	want(t, c.cmd("SET x 1"), replyQueued)
	want(t, c.cmd("ACL SETUSER bob on nopass +get ~*"), replyQueued)
	want(t, c.cmd("ACL GETUSER nobody"), replyQueued)
	want(t, c.cmd("EXEC"), "*3\r\n+OK\r\n+OK\r\n$-1\r\n")
	bob := login(t, p, "bob", "any")
	want(t, c.cmd("ACL SETUSER bob +multi +exec +set"), replyOK)
	want(t, bob.cmd("MULTI"), replyOK)
	want(t, bob.cmd("SET x 2"), replyQueued)
	want(t, c.cmd("ACL SETUSER bob -set"), replyOK)
	if got := bob.cmd("EXEC"); !strings.HasPrefix(got, "*1\r\n-NOPERM ACLs rules changed between") {
		t.Error(got)
	}
	want(t, c.cmd("GET x"), "$1\r\n1\r\n")
}

// A subscriber is closed when its user loses channels, not when it gets more.
func TestSetUserChannels(t *testing.T) {
	p := startProxy(t)
	c := dial(t, p.addr)
	want(t, c.cmd("ACL SETUSER bob on nopass +subscribe &a &b"), replyOK)
	sub := login(t, p, "bob", "any")
	want(t, sub.cmd("SUBSCRIBE a"), "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n")
	want(t, c.cmd("ACL SETUSER bob &c +get"), replyOK)
	want(t, c.cmd("PUBLISH a m"), ":1\r\n")
	want(t, sub.reply(), "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nm\r\n")
	want(t, c.cmd("ACL SETUSER bob resetchannels &b"), replyOK)
	if !sub.eof() {
		t.Error("a subscriber whose user has lost the channel is still there")
	}
}

// The flag is stronger than the log.
func TestSetUserWithPassword(t *testing.T) {
	p := startProxy(t, func(c *Config) { c.Password = "secret" })
	c := dial(t, p.addr)
	want(t, c.cmd("AUTH secret"), replyOK)
	want(t, c.cmd("ACL SETUSER default nopass"), "-"+errTextGivenUser+"\r\n")
	want(t, c.cmd("ACL SETUSER bob on >1 +@all ~*"), replyOK)
	login(t, p, "bob", "1")

	open := p.again(t)
	admin := dial(t, open.addr)
	want(t, admin.cmd("ACL SETUSER default off"), replyOK)
	want(t, admin.cmd("ACL SETUSER bob off"), replyOK)
	want(t, dial(t, open.addr).cmd("GET x"), noAuth)
	want(t, dial(t, p.addr).cmd("AUTH secret"), replyOK)

	// The way out of a lock-out.
	closed := p.again(t)
	want(t, dial(t, closed.addr).cmd("GET x"), noAuth)
	rescued := p.again(t, func(c *Config) { c.Password = "other" })
	r := dial(t, rescued.addr)
	want(t, r.cmd("GET x"), noAuth)
	want(t, r.cmd("AUTH other"), replyOK)
	want(t, r.cmd("ACL SETUSER bob on"), replyOK)
	b := login(t, p.again(t), "bob", "1")
	want(t, b.cmd("ACL SETUSER default on"), replyOK)
	want(t, dial(t, p.again(t).addr).cmd("GET x"), "$-1\r\n")
}

func TestSetUserWithFile(t *testing.T) {
	p := startProxy(t)
	want(t, dial(t, p.addr).cmd("ACL SETUSER bob on nopass +@all ~*"), replyOK)
	path := usersFile(t, root)
	f := p.again(t, func(c *Config) { c.UsersFile = path })
	want(t, dial(t, f.addr).cmd("AUTH bob x"), "-"+errTextWrongPass+"\r\n")
	c := login(t, f, "root", "rootpass")
	want(t, c.cmd("ACL USERS"), "*2\r\n$7\r\ndefault\r\n$4\r\nroot\r\n")
	want(t, c.cmd("ACL SETUSER bob off"), "-"+errTextUsersFile("acl|setuser")+"\r\n")
}

// A node that has just started lets nobody in before it knows what the log says.
func TestUsersAreLearnt(t *testing.T) {
	p := startProxy(t)
	want(t, dial(t, p.addr).cmd("ACL SETUSER bob on >1 +@all ~*"), replyOK)
	p.log.readFails = func() error { return fmt.Errorf("%w: no leader", raft.ErrNotDone) }
	late := p.again(t)
	c := dial(t, late.addr)
	const why = "-TRYAGAIN nexus: not executed: no leader\r\n"
	want(t, c.cmd("GET x"), why)
	want(t, c.cmd("MULTI"), why)
	want(t, c.cmd("CLIENT LIST"), why)
	want(t, c.cmd("MONITOR"), why)
	want(t, c.cmd("ACL SETUSER bob off"), why)
	want(t, c.cmd("AUTH bob 1"), why)
	want(t, c.cmd("AUTH x"), why)
	want(t, c.cmd("PING"), "+PONG\r\n")
	if got := c.cmd("NEXUS STATUS"); got[0] != '*' {
		t.Error(got)
	}
	if got := c.cmd("HELLO 2"); got[0] != '*' {
		t.Error(got)
	}
	large := strings.Repeat("v", 1<<20)
	want(t, c.do("SET", "x", large), why)
	p.log.readFails = nil
	want(t, c.do("SET", "x", large), replyOK)
	want(t, login(t, late, "bob", "1").cmd("ACL SETUSER default off"), replyOK)

	p.log.readFails = func() error { return fmt.Errorf("%w: no leader", raft.ErrNotDone) }
	late = p.again(t)
	c = dial(t, late.addr)
	want(t, c.cmd("PING"), "+PONG\r\n")
	p.log.readFails = nil
	want(t, c.cmd("GET x"), noAuth)
	want(t, c.cmd("PING"), noAuth)
	login(t, late, "bob", "1")
}

// What others have changed holds for a read that came to this node before it had heard of that.
func TestUsersAtTheBarrier(t *testing.T) {
	p := startProxy(t)
	admin := dial(t, p.addr)
	want(t, admin.cmd("ACL SETUSER bob on nopass +get +set ~*"), replyOK)
	want(t, admin.cmd("SET x 1"), replyOK)
	bob := login(t, p, "bob", "any")
	change := func(c backend.UserChange) {
		p.log.readFails = func() error {
			p.log.readFails = nil
			version := p.server.logged.told.Version
			_, err := p.log.Propose(context.Background(), [][]byte{backend.AppendOp(nil, backend.UsersItem(version, c))})
			return err
		}
	}
	change(backend.UserChange{Name: "bob", Rule: "on\nnopass\n~* -@all +set"})
	want(t, bob.cmd("GET x"), "-TRYAGAIN nexus: not executed: "+errUsersChanged.Error()+"\r\n")
	want(t, bob.cmd("GET x"), noGet)
	want(t, admin.cmd("ACL SETUSER bob +get"), replyOK)
	change(backend.UserChange{Name: "bob", Rule: "on\nnopass\n~* -@all +get"})
	want(t, bob.cmd("GET x"), "$1\r\n1\r\n")

	change(backend.UserChange{Name: "bob", Rule: "off"})
	want(t, dial(t, p.addr).cmd("AUTH bob any"), "-"+errTextWrongPass+"\r\n")
	fresh := dial(t, p.addr) // as the default user, of whom this node has not heard yet
	change(backend.UserChange{Name: "default", Rule: "off\n~* &* +@all"})
	if got := fresh.cmd("GET x"); got != "-TRYAGAIN nexus: not executed: "+errUsersChanged.Error()+"\r\n" {
		t.Error(got)
	}
	want(t, fresh.cmd("GET x"), noAuth)
	want(t, admin.cmd("GET x"), "$1\r\n1\r\n")

	if _, err := p.log.Propose(context.Background(), [][]byte{backend.AppendOp(nil, backend.UsersItem(p.server.logged.told.Version,
		backend.UserChange{Name: "new", Rule: "on\nnopass\n+@of-a-newer-version"}))}); err != nil {
		t.Fatal(err)
	}
	want(t, dial(t, p.addr).cmd("AUTH new any"), "-"+errTextWrongPass+"\r\n")
	if got := admin.cmd("ACL SETUSER new off"); !strings.Contains(got, "of a newer version") {
		t.Error(got)
	}
}

// Changes of the same user by several clients of several nodes are all there in the end.
func TestSetUserTogether(t *testing.T) {
	p := startProxy(t)
	nodes := []*proxy{p, p.again(t), p.again(t)}
	var wg sync.WaitGroup
	const each = 15
	for n, node := range nodes {
		wg.Go(func() {
			c := dial(t, node.addr)
			for i := range each {
				want(t, c.cmd(fmt.Sprintf("ACL SETUSER bob ~%d-%d", n, i)), replyOK)
			}
		})
	}
	wg.Wait()
	rules := p.server.logged.told.Rules["bob"]
	if n := strings.Count(rules, "~"); n != each*len(nodes) {
		t.Errorf("%d of %d changes: %s", n, each*len(nodes), rules)
	}
	p.log.proposeFails = func([][]byte) error { return errors.New("lost") }
	if got := dial(t, p.addr).cmd("ACL SETUSER bob off"); !strings.HasPrefix(got, "-UNKNOWNOUTCOME") {
		t.Error(got)
	}
}

func TestUserSecretsAreHidden(t *testing.T) {
	p := startProxy(t)
	c, m := dial(t, p.addr), dial(t, p.addr)
	want(t, c.cmd("CONFIG SET slowlog-log-slower-than 0"), replyOK)
	want(t, m.cmd("MONITOR"), replyOK)
	want(t, c.cmd("ACL SETUSER bob on >hunter2 ~*"), replyOK)
	c.cmd("CONFIG SET maxmemory 0 requirepass hunter2")
	c.cmd("NEXUS EXPLAIN CONFIG SET requirepass hunter2")
	c.cmd("NEXUS EXPLAIN ACL SETUSER bob >hunter2")
	c.cmd("NEXUS EXPLAIN AUTH bob hunter2")
	c.cmd("ACL GETUSER bob")
	want(t, c.cmd("ECHO end"), "$3\r\nend\r\n")
	shown := map[string]string{"SLOWLOG": c.cmd("SLOWLOG GET -1"), "ACL LIST": c.cmd("ACL LIST"), "the log": p.logged.String()}
	for line := ""; !strings.Contains(line, `"ECHO"`); shown["MONITOR"] += line {
		line = m.reply()
	}
	for where, text := range shown {
		if strings.Contains(text, "hunter2") {
			t.Errorf("%s: %s", where, text)
		}
	}
	if !strings.Contains(shown["SLOWLOG"], "setuser\r\n$10\r\n(redacted)") && !strings.Contains(shown["SLOWLOG"], "SETUSER\r\n$10\r\n(redacted)") {
		t.Error(shown["SLOWLOG"])
	}
	for _, e := range p.log.entries {
		for i := range e.Commands {
			if strings.Contains(string(e.Commands[i].Data), "hunter2") {
				t.Errorf("entry %d has the password", e.Index)
			}
		}
	}
}

package redis

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/nexus-replication/nexus/proxy/redis/policy"
)

// What control handles is not in localCommands.
func TestEveryLocalCommandHasAHandler(t *testing.T) {
	control := map[string]bool{"multi": true, "exec": true, "discard": true, "quit": true, "reset": true, "watch": true}
	handlers := localCommands()
	for _, spec := range policy.NewTable().Specs() {
		if spec.Policy != policy.Local {
			if handlers[spec.Name] != nil || control[spec.Name] {
				t.Errorf("%s has a handler, but its policy is %v", spec.Name, spec.Policy)
			}
			continue
		}
		if handlers[spec.Name] == nil && !control[spec.Name] {
			t.Errorf("%s is Local and has no handler", spec.Name)
		}
	}
}

func TestReservedDatabaseDoesNotExist(t *testing.T) {
	c := dial(t, startProxy(t).addr)
	want(t, c.cmd("SELECT 13"), "-ERR DB index is out of range\r\n")
	want(t, c.cmd("SELECT 12"), replyOK)
	c.cmd("SET k v")
	for _, line := range []string{"MOVE k 13", "COPY k k2 DB 13", "SWAPDB 0 13", "SWAPDB 13 0"} {
		if got := c.cmd(line); got[0] != '-' || !strings.Contains(got, "out of range") {
			t.Errorf("%s: %q", line, got)
		}
	}
	c.cmd("MULTI")
	c.cmd("SELECT 13")
	c.cmd("SET k w")
	want(t, c.cmd("EXEC"), "*2\r\n-ERR DB index is out of range\r\n+OK\r\n")
	want(t, c.cmd("GET k"), "$1\r\nw\r\n")
	if got := c.cmd("INFO keyspace"); strings.Contains(got, "db13") || !strings.Contains(got, "db12:keys=1") {
		t.Errorf("INFO keyspace: %q", got)
	}
}

func TestAuthentication(t *testing.T) {
	p := startProxy(t, func(c *Config) { c.Password = "secret" })
	c := dial(t, p.addr)
	noauth := "-NOAUTH Authentication required.\r\n"
	wrong := "-WRONGPASS invalid username-password pair or user is disabled.\r\n"
	for _, tc := range [][2]string{
		{"GET a", noauth},
		{"PING", noauth},
		{"SET a 1", noauth},
		{"MULTI", noauth},
		{"SPOP a", noauth},
		{"FOO", "-ERR unknown command 'FOO', with args beginning with: \r\n"},
		{"GET", "-ERR wrong number of arguments for 'get' command\r\n"},
		{"AUTH nosecret", wrong},
		{"AUTH default nosecret", wrong},
		{"AUTH other secret", wrong},
		{"HELLO 2 AUTH default wrong", wrong},
		{"HELLO", "-" + errTextHelloAuth + "\r\n"},
		{"HELLO 3", "-" + errTextHelloAuth + "\r\n"},
		{"HELLO 4", "-NOPROTO unsupported protocol version\r\n"},
		{"GET a", noauth},
		{"AUTH secret", replyOK},
		{"GET a", "$-1\r\n"},
		{"AUTH nosecret", wrong},
		{"GET a", "$-1\r\n"},
		{"RESET", "+RESET\r\n"},
		{"GET a", noauth},
		{"AUTH default secret", replyOK},
		{"PING", "+PONG\r\n"},
	} {
		if got := c.cmd(tc[0]); got != tc[1] {
			t.Errorf("%s: got %q, want %q", tc[0], got, tc[1])
		}
	}
	// A pipeline is judged command by command.
	c2 := dial(t, p.addr)
	c2.send([]byte("GET a\r\nAUTH secret\r\nGET a\r\nQUIT\r\nGET a\r\n"))
	want(t, c2.reply()+c2.reply()+c2.reply()+c2.reply(), noauth+replyOK+"$-1\r\n"+replyOK)
	if !c2.eof() {
		t.Error("QUIT did not close")
	}
	c3 := dial(t, p.addr)
	if got := c3.cmd("HELLO 2 AUTH default secret SETNAME me"); !strings.HasPrefix(got, "*14\r\n") {
		t.Errorf("HELLO: %q", got)
	}
	want(t, c3.cmd("CLIENT GETNAME"), "$2\r\nme\r\n")
}

var volatile = regexp.MustCompile(`\d+`)

// TestHelloAndClientList compares with Redis, numbers aside.
func TestHelloAndClientList(t *testing.T) {
	p := startProxy(t)
	ours, plain := dial(t, p.addr), dial(t, startRedis(t))
	for _, line := range []string{"HELLO", "HELLO 2", "HELLO 2 SETNAME x", "HELLO 3", "HELLO", "CLIENT LIST", "CLIENT INFO",
		"CLIENT LIST TYPE replica", "HELLO 2", "CLIENT ID", "TIME", "CLIENT LIST", "CLIENT INFO",
		"CLIENT LIST TYPE normal", "CLIENT LIST TYPE replica", "CLIENT LIST ID 1 2 3 4 5 6 7 8 9", "CLIENT LIST ID 999999"} {
		got, exp := ours.cmd(line), plain.cmd(line)
		if volatile.ReplaceAllString(got, "N") != volatile.ReplaceAllString(exp, "N") {
			t.Errorf("%s\n got %q\nwant %q", line, got, exp)
		}
	}
	dial(t, p.addr).cmd("SELECT 3")
	if got := ours.cmd("CLIENT LIST"); strings.Count(got, "\n") != 2+2 || !strings.Contains(got, " db=3 ") {
		t.Errorf("CLIENT LIST: %q", got)
	}
	ours.cmd("MULTI")
	ours.cmd("GET a")
	other := dial(t, p.addr)
	if got := other.cmd("CLIENT LIST"); !strings.Contains(got, "flags=x db=0 sub=0 psub=0 ssub=0 multi=1 ") {
		t.Errorf("CLIENT LIST: %q", got)
	}
	want(t, other.cmd("ROLE"), fmt.Sprintf("*3\r\n$6\r\nmaster\r\n:%d\r\n*0\r\n", p.log.Status().Applied))
}

func TestInfo(t *testing.T) {
	p := startProxy(t)
	c := dial(t, p.addr)
	c.cmd("SET k v EX 100")
	all := c.cmd("INFO")
	for _, s := range []string{"redis_version:", "# Replication\r\nrole:master\r\nconnected_slaves:0\r\n", "db0:keys=1,expires=1,avg_ttl=",
		"\r\n# Nexus\r\nnexus_cluster:test\r\n", "nexus_leader_url:http://127.0.0.1:9021\r\n", "executable:\r\n", "connected_clients:1\r\n",
		"nexus_member0:id=0000000000000007,url=http://127.0.0.1:9021,learner=false\r\n", fmt.Sprintf("tcp_port:%s\r\n", port(p.addr))} {
		if !strings.Contains(all, s) {
			t.Errorf("INFO lacks %q", s)
		}
	}
	for _, s := range []string{"db13", "slave0", "10995"} {
		if strings.Contains(strings.ReplaceAll(all, "used_memory", ""), "\r\n"+s) {
			t.Errorf("INFO has %q", s)
		}
	}
	if got := c.cmd("INFO nexus"); !strings.HasPrefix(got[strings.Index(got, "\r\n")+2:], "# Nexus\r\n") || strings.Count(got, "# ") != 1 {
		t.Errorf("INFO nexus: %q", got)
	}
	if got := c.cmd("INFO keyspace"); strings.Contains(got, "Nexus") || strings.Contains(got, "avg_ttl=109") {
		t.Errorf("INFO keyspace: %q", got)
	}
	if got := c.cmd("INFO server nexus"); !strings.Contains(got, "# Server") || !strings.Contains(got, "# Nexus") {
		t.Errorf("INFO server nexus: %q", got)
	}
	if got := c.cmd("INFO everything"); !strings.Contains(got, "# Commandstats") || !strings.Contains(got, "# Nexus") {
		t.Errorf("INFO everything: %q", got)
	}
}

func port(addr string) string { return addr[strings.LastIndexByte(addr, ':')+1:] }

func TestConfigGet(t *testing.T) {
	p := startProxy(t)
	c := dial(t, p.addr)
	want(t, c.cmd("CONFIG GET port"), fmt.Sprintf("*2\r\n$4\r\nport\r\n$%d\r\n%s\r\n", len(port(p.addr)), port(p.addr)))
	want(t, c.cmd("CONFIG GET dir"), "*0\r\n")
	want(t, c.cmd("CONFIG GET save appendonly dir masterauth")[:4], "*4\r\n")
	all := c.cmd("CONFIG GET *")
	for _, s := range []string{"requirepass", "masterauth", "\r\ndir\r\n", "logfile", "unixsocket", "/tmp"} {
		if strings.Contains(all, s) {
			t.Errorf("CONFIG GET * shows %q", s)
		}
	}
	for _, s := range []string{"maxmemory", "databases", "appendonly", "save", "maxmemory-policy", "timeout"} {
		if !strings.Contains(all, "\r\n"+s+"\r\n") {
			t.Errorf("CONFIG GET * lacks %q", s)
		}
	}
}

func TestRefusedCommandsAbortTransactions(t *testing.T) {
	c := dial(t, startProxy(t).addr)
	for _, line := range []string{"CLUSTER INFO", "BGREWRITEAOF", "SHUTDOWN"} {
		if got := c.cmd(line); got[0] != '-' {
			t.Errorf("%s: %q", line, got)
		}
		c.cmd("MULTI")
		c.cmd("SET k v")
		c.cmd(line)
		want(t, c.cmd("EXEC"), "-EXECABORT Transaction discarded because of previous errors.\r\n")
		want(t, c.cmd("EXISTS k"), ":0\r\n")
	}
}

func TestTransactionTooLarge(t *testing.T) {
	c := dial(t, startProxy(t, func(c *Config) { c.MaxTransactionBytes = 10000 }).addr)
	c.cmd("MULTI")
	want(t, c.do("SET", "k", strings.Repeat("x", 5000)), replyQueued)
	want(t, c.do("SET", "k", strings.Repeat("x", 5000)), "-"+errTextTooLarge+"\r\n")
	c.cmd("SET k v")
	want(t, c.cmd("EXEC"), "-EXECABORT Transaction discarded because of previous errors.\r\n")
	want(t, c.cmd("GET k"), "$-1\r\n")
}

package redis

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	backend "github.com/nexus-replication/nexus/appliers/redis"
	"github.com/nexus-replication/nexus/raft"
)

// startNode runs a Server with a real log of one member, and returns its address.
func startNode(tb testing.TB) (string, *Server) {
	tb.Helper()
	logger := slog.New(slog.NewTextHandler(io.Discard, nil))
	bcfg := backend.NewConfig()
	bcfg.Addr, bcfg.Logger = startRedis(tb), logger
	store, err := backend.New(bcfg)
	if err != nil {
		tb.Fatal(err)
	}
	cfg := NewConfig()
	cfg.Logger = logger
	rcfg := raft.NewConfig()
	rcfg.NodeURL = fmt.Sprintf("http://127.0.0.1:%d", freePort(tb))
	rcfg.ClusterURLs, rcfg.DataDir = []string{rcfg.NodeURL}, tb.TempDir()
	rcfg.Store, rcfg.Sequencer, rcfg.Logger = store, NewSequencer(cfg, store), logger
	rcfg.Tick = 20 * time.Millisecond
	rep, err := raft.New(rcfg)
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 40*time.Second)
	defer cancel()
	if err := rep.Start(ctx); err != nil {
		tb.Fatal(err)
	}
	srv, err := New(cfg, rep, store)
	if err != nil {
		tb.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 40*time.Second)
		defer cancel()
		if err := srv.Close(ctx); err != nil {
			tb.Errorf("close: %v", err)
		}
		if err := <-served; err != nil {
			tb.Errorf("serve: %v", err)
		}
		if err := rep.Stop(ctx); err != nil {
			tb.Errorf("stop: %v", err)
		}
	})
	return ln.Addr().String(), srv
}

// blockedClients is what INFO says.
func (c *client) blockedClients() string {
	c.tb.Helper()
	info := c.cmd("INFO clients")
	_, rest, _ := strings.Cut(info, "blocked_clients:")
	n, _, _ := strings.Cut(rest, "\r\n")
	return n
}

func (c *client) awaitBlocked(n int) {
	c.tb.Helper()
	deadline := time.Now().Add(40 * time.Second)
	for c.blockedClients() != fmt.Sprint(n) {
		if time.Now().After(deadline) {
			c.tb.Fatalf("%s clients are blocked, want %d", c.blockedClients(), n)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// blockingScripts are conversations of several clients. "2> BLPOP k 0" sends a command of client 2, and waits until it
// is answered or blocked; "2< " shows its answer. Without a number it is client 0.
var blockingScripts = map[string]string{
	"order":             "1> BLPOP k 0; 2> BRPOP k 0; 3> BLPOP k 0; RPUSH k a b; 1<; 2<; RPUSH k c; 3<; LLEN k",
	"variadic":          "1> BLPOP k 0; LPUSH k a b c d; 1<; LRANGE k 0 -1",
	"several keys":      "1> BLPOP a b 0; 2> BLPOP b a 0; RPUSH b 1; 1<; RPUSH a 2; 2<",
	"first key first":   "RPUSH b 1; RPUSH a 2; BLPOP a b 0; BLPOP a b 0; EXISTS a b",
	"same key twice":    "1> BLPOP k k 0; RPUSH k a; 1<; RPUSH k b; LLEN k",
	"transaction":       "1> BLPOP k 0; MULTI; LPUSH k a; LPUSH k b; LPUSH k c; LLEN k; EXEC; 1<; LRANGE k 0 -1",
	"pushed and gone":   "1> BLPOP k 0; MULTI; RPUSH k a; DEL k; EXEC; RPUSH k b; 1<",
	"signal order":      "1> BLPOP a b 0; MULTI; RPUSH b 2; RPUSH a 1; EXEC; 1<; LLEN a; LLEN b",
	"inside":            "MULTI; BLPOP k 0; RPUSH k a; BLPOP k 0; BLMOVE x y LEFT LEFT 0; XREAD BLOCK 0 STREAMS s $; WAIT 3 0; EXEC",
	"chain":             "1> BRPOPLPUSH a b 0; 2> BLMOVE b c LEFT RIGHT 0; 3> BLPOP c 0; RPUSH a x; 1<; 2<; 3<; EXISTS a b c",
	"circle":            "1> BLMOVE a b LEFT LEFT 0; 2> BLMOVE b a LEFT LEFT 0; RPUSH a x; 1<; 2<; LRANGE a 0 -1; LRANGE b 0 -1",
	"itself":            "1> BLMOVE a a LEFT RIGHT 0; RPUSH a x y; 1<; LRANGE a 0 -1",
	"moved at once":     "1> BLPOP b 0; RPUSH a x; BLMOVE a b LEFT RIGHT 0; LLEN b; 1<",
	"moved":             "1> BLPOP b 0; RPUSH a x; LMOVE a b LEFT RIGHT; LLEN b; 1<; RPUSH a y; 1> BLPOP b 0; RPOPLPUSH a b; 1<",
	"wrong type":        "SET k v; BLPOP k 0; BZPOPMIN k 0; BLPOP empty k 0",
	"other type":        "1> BLPOP k 0; SADD k x; DEL k; SET k v; DEL k; ZADD k 1 z; 2> BLPOP other k 1; 2<; DEL k; RPUSH k a; 1<",
	"both types":        "1> BZPOPMIN k 0; 2> BLPOP k 0; RPUSH k a; 2<; ZADD k 1 z; 1<; EXISTS k",
	"wrong destination": "SET d v; 1> BRPOPLPUSH a d 0; 2> BLPOP a 0; RPUSH a x; 1<; 2<",
	"rename":            "RPUSH x a; 1> BLPOP k 0; RENAME x k; 1<; ZADD x 1 a; 1> BZPOPMAX k 0; COPY x k; 1<; EXISTS k",
	"sort and store":    "RPUSH x 2 1; 1> BLPOP k 0; SORT x STORE k; 1<; LRANGE k 0 -1; ZADD z 1 a; 2> BZPOPMIN d 0; ZUNIONSTORE d 1 z; 2<",
	"other database":    "SELECT 3; RPUSH k a; SELECT 0; 1> BLPOP k 0; SWAPDB 0 3; 1<; SELECT 2; RPUSH k b; 1> BLPOP k 0; MOVE k 0; 1<",
	"sorted sets":       "1> BZPOPMIN z 0; 2> BZPOPMAX z 0; 3> BZMPOP 0 2 y z MIN COUNT 10; ZADD z 1 a 2 b 3 c 4 d; 1<; 2<; 3<; ZINCRBY z 5 e; ZRANGE z 0 -1",
	"zadd options":      "1> BZPOPMIN z 0; ZADD z XX 1 a; ZADD z NX 1 a; 1<; ZCARD z",
	"several of a list": "1> BLMPOP 0 2 j k LEFT COUNT 2; 2> BLMPOP 0 1 k RIGHT COUNT 9; RPUSH k a b c d e; 1<; 2<; EXISTS k",
	"errors":            "BLPOP k x; BLPOP k -1; BLPOP k 1e30; BLMPOP 0 0 k LEFT; BLMPOP 0 1 k UP; BLMOVE a b UP LEFT 0; BZMPOP 0 1 z MIN COUNT 0; XREAD BLOCK x STREAMS s $; XREAD BLOCK 0 STREAMS s; BLPOP",
	"timeouts":          "BLPOP k 0.01; BRPOP j k 0.01; BLMOVE a b LEFT LEFT 0.01; BRPOPLPUSH a b 0.01; BLMPOP 0.01 1 k LEFT; BZPOPMIN z 0.01; BZPOPMAX z 0.01; BZMPOP 0.01 1 z MAX; XREAD BLOCK 10 STREAMS s $",
	"pushes that fail":  "1> BLPOP k 0; SET k v; LPUSH k a; DEL k; LPUSHX k a; LPUSH k b; 1<",
	"pipeline":          "1>> BLPOP k 0 | INCR n | BLPOP k 0 | INCR n; GET n; RPUSH k a; 1<; 1<; GET n; RPUSH k b; 1<; 1<",
	"stream":            "1> XREAD BLOCK 0 STREAMS s $; 2> XREAD COUNT 1 BLOCK 0 STREAMS t s $ 0; XADD s 1-1 f v; 1<; 2<; XREAD BLOCK 0 STREAMS s 0; XREAD BLOCK 10 STREAMS s $",
	"stream of ids":     "XADD s 5-1 f v; XDEL s 5-1; 1> XREAD BLOCK 0 STREAMS s $; XADD s 6-1 f v; 1<; 1> XREAD BLOCK 0 STREAMS s 6-1; DEL s; XADD s 6-0 f v; XADD s 7-0 f v; 1<",
	"stream comes":      "XADD x 1-1 f v; 1> XREAD BLOCK 0 STREAMS s $; RENAME x s; 1<; 2> XREAD BLOCK 0 STREAMS q 0; MULTI; XADD q 1-1 a b; XADD q 1-2 a b; EXEC; 2<",
	"stream wrong type": "SET s v; XREAD BLOCK 0 STREAMS s $; XREAD BLOCK 0 STREAMS s 0; DEL s; 1> XREAD BLOCK 0 STREAMS s $; RPUSH s x; DEL s; XADD s 1-1 f v; 1<; 1> XREAD BLOCK 0 STREAMS u t $ $; RPUSH u x; XADD t 1-1 f v; 1<",
	"expired":           "1> BLPOP k 0; SET k v PX 1; 2> BLPOP nokey 0.05; 2<; 2> BLPOP k 0.05; 2<; LPUSH k x; 1<; LLEN k",
}

// TestBlockingIsTheServers has the same conversations with a plain redis-server and with Nexus.
func TestBlockingIsTheServers(t *testing.T) {
	plain, node := startRedis(t), ""
	node, _ = startNode(t)
	for name, script := range blockingScripts {
		t.Run(name, func(t *testing.T) {
			want, got := converse(t, plain, script), converse(t, node, script)
			if got != want {
				t.Errorf("%s\nNexus %s\nRedis %s", script, got, want)
			}
		})
	}
}

func converse(t *testing.T, addr, script string) string {
	clients := make(map[string]*client)
	control := dial(t, addr)
	control.do("FLUSHALL")
	control.awaitBlocked(0)
	var shown []string
	for _, step := range strings.Split(script, ";") {
		step = strings.TrimSpace(step)
		who, line := "0", step
		if len(step) > 1 && strings.ContainsAny(step[1:2], "<>") {
			who, line = step[:1], step[1:]
		}
		c := clients[who]
		if c == nil {
			c = dial(t, addr)
			clients[who] = c
		}
		switch {
		case line == "<":
			shown = append(shown, fmt.Sprintf("%s: %q", who, c.reply()))
		case strings.HasPrefix(line, ">"):
			var request []byte
			for _, cmd := range strings.Split(strings.TrimLeft(line, ">"), "|") {
				request = appendRequest(request, strings.Fields(cmd)...)
			}
			c.send(request)
			control.awaitParked(c)
		default:
			shown = append(shown, fmt.Sprintf("%q", c.cmd(line)))
		}
	}
	for _, c := range clients {
		c.conn.Close()
	}
	return strings.Join(shown, "\n      ")
}

// awaitParked waits until c is blocked, or has an answer.
func (c *client) awaitParked(other *client) {
	c.tb.Helper()
	addr := other.conn.LocalAddr().String()
	deadline := time.Now().Add(40 * time.Second)
	for time.Now().Before(deadline) {
		for line := range strings.Lines(c.cmd("CLIENT LIST")) {
			if strings.Contains(line, " addr="+addr+" ") && strings.Contains(line, " flags=b ") {
				return
			}
		}
		if other.r.Buffered() > 0 || other.hasReply() {
			return
		}
	}
	c.tb.Fatal("a client is neither blocked nor answered")
}

// hasReply reports whether something has arrived.
func (c *client) hasReply() bool {
	_ = c.conn.SetReadDeadline(time.Now().Add(time.Millisecond))
	_, err := c.r.Peek(1)
	_ = c.conn.SetReadDeadline(time.Time{})
	return err == nil
}

// For how long a client was blocked is no time that a command took.
func TestBlockedIsNotSlow(t *testing.T) {
	addr, srv := startNode(t)
	c := dial(t, addr)
	c.cmd("SET warm up")
	c.cmd("CONFIG SET slowlog-log-slower-than 1800000")
	c.cmd("SLOWLOG RESET")
	c.cmd("SET w x")
	for _, line := range []string{"BLPOP k 2", "XREAD BLOCK 2000 STREAMS s $", "WAIT 5 2000", "XREAD BLOCK 2000 STREAMS w 0"} {
		c.cmd(line)
	}
	want(t, c.cmd("SLOWLOG GET"), "*0\r\n")
	for name, n := range map[string]uint64{"blpop": 1, "xread": 2} {
		h := series(t, srv, "nexus_redis_commands_seconds")[name].GetHistogram()
		if h.GetSampleCount() != n || h.GetSampleSum() >= 1.8 {
			t.Errorf("%s: timed %d times, %v s in all", name, h.GetSampleCount(), h.GetSampleSum())
		}
	}
	if errs := series(t, srv, "nexus_redis_command_errors_total"); len(errs) != 1 || errs["xread"].GetCounter().GetValue() != 1 {
		t.Errorf("errors counted: %v, want one of XREAD", errs)
	}
}

// A client that went away is forgotten, and gets nothing popped.
func TestBlockedClientLeaves(t *testing.T) {
	addr, _ := startNode(t)
	c, gone := dial(t, addr), dial(t, addr)
	for _, line := range []string{"BLPOP k 0", "BZPOPMIN k 0", "XREAD BLOCK 0 STREAMS k $"} {
		gone.send(appendRequest(nil, strings.Fields(line)...))
		c.awaitBlocked(1)
		gone.conn.Close()
		c.awaitBlocked(0)
		want(t, c.cmd("RPUSH k a"), ":1\r\n")
		want(t, c.cmd("LPOP k"), "$1\r\na\r\n")
		gone = dial(t, addr)
	}
}

func TestClientUnblock(t *testing.T) {
	addr, _ := startNode(t)
	c, other := dial(t, addr), dial(t, addr)
	id := strings.TrimSpace(other.cmd("CLIENT ID")[1:])
	want(t, c.cmd("CLIENT UNBLOCK "+id), ":0\r\n")
	for _, line := range []string{"BLPOP k 0", "XREAD BLOCK 0 STREAMS s $", "WAIT 5 0"} {
		for reason, reply := range map[string]string{"": replyNoArray, " TIMEOUT": replyNoArray, " error": "-" + errTextUnblocked + "\r\n"} {
			if line[0] == 'W' && reply == replyNoArray {
				reply = ":0\r\n"
			}
			other.send(appendRequest(nil, strings.Fields(line)...))
			c.awaitBlocked(1)
			want(t, c.cmd("CLIENT UNBLOCK "+id+reason), ":1\r\n")
			want(t, other.reply(), reply)
			want(t, other.cmd("PING"), "+PONG\r\n")
		}
	}
	want(t, c.cmd("CLIENT UNBLOCK x"), "-"+errTextNotInt+"\r\n")
	want(t, c.cmd("CLIENT UNBLOCK 1 FOO"), "-ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR\r\n")
	want(t, c.cmd("WAIT x 0"), "-"+errTextNotInt+"\r\n")
	want(t, c.cmd("WAIT 0 -1"), "-ERR timeout is negative\r\n")
	want(t, c.cmd("WAIT 5 10"), ":0\r\n")
}

func TestCloseEndsBlockedClients(t *testing.T) {
	addr, srv := startNode(t)
	c := dial(t, addr)
	var blocked []*client
	for _, line := range []string{"BLPOP k 0", "XREAD BLOCK 0 STREAMS s $"} {
		b := dial(t, addr)
		b.send(appendRequest(nil, strings.Fields(line)...))
		blocked = append(blocked, b)
	}
	c.awaitBlocked(2)
	ctx, cancel := context.WithTimeout(context.Background(), 40*time.Second)
	defer cancel()
	if err := srv.Close(ctx); err != nil {
		t.Error(err)
	}
	for _, b := range blocked {
		if !b.eof() {
			t.Error("a blocked client got an answer")
		}
	}
}

// A client that sends more while it waits loses nothing of it.
func TestBlockedClientSendsMore(t *testing.T) {
	addr, _ := startNode(t)
	c, other := dial(t, addr), dial(t, addr)
	other.send(appendRequest(nil, "BLPOP", "k", "0"))
	c.awaitBlocked(1)
	other.send(append(appendRequest(nil, "ECHO", "a"), appendRequest(nil, "ECHO", "b")...))
	c.cmd("RPUSH k x")
	want(t, other.reply(), "*2\r\n$1\r\nk\r\n$1\r\nx\r\n")
	want(t, other.reply(), "$1\r\na\r\n")
	want(t, other.reply(), "$1\r\nb\r\n")
}

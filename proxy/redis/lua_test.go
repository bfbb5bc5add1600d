package redis

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	appliers "github.com/nexus-replication/nexus/appliers/redis"
	"github.com/nexus-replication/nexus/proxy/redis/script"
	"github.com/nexus-replication/nexus/raft"
)

// luaServer is a redis-server of the test's own with one connection to it.
type luaServer struct {
	conn net.Conn
	r    *bufio.Reader
	due  int64 // what NextDue answers
}

// startLuaServers starts n independent servers, whose hash tables have different seeds.
func startLuaServers(t *testing.T, n int, env ...string) []*luaServer {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		t.Fatal("redis-server is missing: apt-get install redis-server")
	}
	var servers []*luaServer
	for range n {
		socket := t.TempDir() + "/redis.sock"
		cmd := exec.Command(path, "--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no",
			"--enable-debug-command", "yes", "--dir", t.TempDir())
		cmd.Env = append(cmd.Environ(), env...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
		servers = append(servers, dialLua(t, socket))
	}
	return servers
}

func dialLua(t *testing.T, socket string) *luaServer {
	t.Helper()
	for deadline := time.Now().Add(40 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		conn, err := net.Dial("unix", socket)
		if err == nil {
			t.Cleanup(func() { _ = conn.Close() })
			return &luaServer{conn: conn, r: bufio.NewReader(conn)}
		}
		if time.Now().After(deadline) {
			t.Fatalf("redis-server does not listen: %v", err)
		}
	}
}

func (s *luaServer) raw(request []byte) ([]byte, error) {
	if err := s.conn.SetDeadline(time.Now().Add(40 * time.Second)); err != nil {
		return nil, err
	}
	if _, err := s.conn.Write(request); err != nil {
		return nil, err
	}
	return s.reply(nil)
}

func (s *luaServer) reply(dst []byte) ([]byte, error) {
	line, err := s.r.ReadBytes('\n')
	if err != nil {
		return dst, err
	}
	dst = append(dst, line...)
	n, _ := strconv.Atoi(strings.TrimSpace(string(line[1:])))
	switch {
	case line[0] == '$' && n >= 0:
		bulk := make([]byte, n+2)
		_, err = io.ReadFull(s.r, bulk)
		dst = append(dst, bulk...)
	case line[0] == '*':
		for range n {
			if dst, err = s.reply(dst); err != nil {
				return dst, err
			}
		}
	}
	return dst, err
}

func (s *luaServer) NextDue() (int64, bool) { return s.due, s.due != 0 }

// Read makes luaServer a backend.
func (s *luaServer) ReadAs(_ context.Context, _ appliers.Protocol, db int, request []byte, n int) ([]byte, int, error) {
	if _, err := s.raw(appendRequest(nil, "SELECT", strconv.Itoa(db))); err != nil {
		return nil, 0, err
	}
	reply, err := s.raw(request)
	return reply, n, err
}

// luaCluster applies what is proposed to every server, and fails when their replies differ.
type luaCluster struct {
	servers []*luaServer
	empty   int   // proposals without commands
	stamp   int64 // of the last proposal
}

func (c *luaCluster) Propose(ctx context.Context, cmds [][]byte) (raft.Outcome, error) {
	var out raft.Outcome
	if len(cmds) == 0 {
		c.empty++
		return out, nil
	}
	c.stamp += 1000
	seed := rand.Int32()
	for i, s := range c.servers {
		items, err := appliers.DecodeOp(cmds[0], nil)
		if err != nil {
			return out, err
		}
		if _, err := s.raw(appendRequest(nil, "SELECT", strconv.Itoa(items[0].DB))); err != nil {
			return out, err
		}
		cmd := items[0].Cmd
		if items[0].Flags&appliers.ItemTime != 0 {
			args, err := appliers.ParseCommand(cmd, nil)
			if err != nil {
				return out, err
			}
			cmd = script.Stamp(args, c.stamp, seed)
		}
		reply, err := s.raw(cmd)
		if err != nil {
			return out, err
		}
		if i == 0 {
			out.Replies = []raft.Reply{{Data: reply}}
		} else if string(reply) != string(out.Replies[0].Data) {
			return out, fmt.Errorf("DIVERGED: %q and %q", out.Replies[0].Data, reply)
		}
	}
	return out, nil
}

func (c *luaCluster) Read(ctx context.Context, fn func(context.Context) error) error { return fn(ctx) }

func newLuaScripts(t *testing.T, env ...string) (*Scripts, *luaCluster) {
	t.Helper()
	c := &luaCluster{servers: startLuaServers(t, 2, env...), stamp: 1_700_000_000_000}
	return NewScripts(c, c.servers[0], ScriptsConfig{Databases: 16, ReservedDB: 13}), c
}

// saveText is the text of the reply or of the error.
func saveText(s *Scripts, statement string) string {
	reply, err := s.Save(context.Background(), []byte(statement), nil)
	if err != nil {
		return "error: " + err.Error()
	}
	return string(reply)
}

// The five examples of the predecessor's README.
func TestScriptsSeed(t *testing.T) {
	s, _ := newLuaScripts(t)
	ctx, args := context.Background(), map[string]string{"db.index": "2"}
	for _, step := range []struct {
		call            func(context.Context, []byte, map[string]string) ([]byte, error)
		statement, want string
	}{
		{s.Save, "return redis.call('set', 'hello', 'world')", "OK"},
		{s.Save, "return redis.call('incr', 'ctr')", "1"},
		{s.Save, "return redis.call('incr', 'ctr')", "2"},
		{s.Load, "return redis.call('keys', '*')", "[ctr hello]"},
		{s.Load, "return redis.call('get', 'ctr')", "2"},
	} {
		got, err := step.call(ctx, []byte(step.statement), args)
		if err != nil || string(got) != step.want {
			t.Errorf("%s: %q, %v, want %q", step.statement, got, err, step.want)
		}
	}
	if _, err := s.Load(ctx, []byte("return redis.call('set', 'hello', 'again')"), args); err == nil {
		t.Error("a load wrote")
	}
}

func TestScriptsArguments(t *testing.T) {
	s := NewScripts(nil, nil, ScriptsConfig{Databases: 16, ReservedDB: 13})
	for _, tc := range []struct {
		statement string
		args      map[string]string
		want      string
	}{
		{"", nil, "the statement is empty"},
		{"return 1", map[string]string{"db.index": "x"}, `"x" is no database, want a number from 0 to 15`},
		{"return 1", map[string]string{"db.index": ""}, `"" is no database`},
		{"return 1", map[string]string{"db.index": "-1"}, `"-1" is no database`},
		{"return 1", map[string]string{"db.index": "16"}, `"16" is no database`},
		{"return 1", map[string]string{"db.index": "4294967296"}, `is no database`},
		{"return 1", map[string]string{"db.index": "13"}, "database 13 is reserved"},
		{"return 1", map[string]string{"db": "1"}, `"db" is not known, want db.index`},
	} {
		_, err := s.Save(context.Background(), []byte(tc.statement), tc.args)
		var se *ScriptError
		if !errors.As(err, &se) || !se.InvalidArgument() || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%q %v: %v, want %q", tc.statement, tc.args, err, tc.want)
		}
		if _, err := s.Load(context.Background(), []byte(tc.statement), tc.args); !errors.As(err, &se) {
			t.Errorf("load %q %v: %v", tc.statement, tc.args, err)
		}
	}
}

// What is allowed gives the reply that is wanted, which also two servers with different hash seeds agree on.
func TestScriptsReplies(t *testing.T) {
	s, _ := newLuaScripts(t)
	fill := "for i = 1, 600 do redis.call('sadd', 's', 'm' .. i) redis.call('hset', 'h', 'f' .. i, 'v' .. i) " +
		"redis.call('set', 'k:' .. i, i) end return 'filled'"
	if got := saveText(s, fill); got != "filled" {
		t.Fatal(got)
	}
	for _, tc := range []struct{ statement, want string }{
		{"return 1", "1"},
		{"return 'x'", "x"},
		{"return false", "<nil>"},
		{"return", "<nil>"},
		{"return {}", "[]"},
		{"return {1, {2, 'b', {}}, 'c'}", "[1 [2 b []] c]"},
		{"return {redis.call('get', 'none'), 2}", "[<nil> 2]"},
		{"return redis.status_reply('FINE')", "FINE"},
		{"return redis.error_reply('MY own')", "error: MY own"},
		{"return {redis.error_reply('MY own')}", "[MY own]"},
		{"return redis.call('scard', 's')", "600"},
		{"return redis.call('smembers', 's')[2]", "m10"},
		{"return redis.call('hkeys', 'h')[600]", "f99"},
		{"return redis.call('hvals', 'h')[2]", "v10"},
		{"local r = redis.call('HGETALL', 'h') return {#r, r[3], r[4]}", "[1200 f10 v10]"},
		{"return redis.call('keys', 'k:60*')", "[k:60 k:600]"},
		{"return #redis.call('sunion', 's', 's2')", "600"},
		{"return redis.call('sinter', 's', 's')[1]", "m1"},
		{"return redis.call('sdiff', 's', 's2')[600]", "m99"},
		{"return redis.pcall('hgetall', 's').err", "WRONGTYPE Operation against a key holding the wrong kind of value"},
		{"return redis.call('set', 'a', 'b', 'NX')", "OK"},
		{"return redis.call('set', 'a', 'c', 'nx', 'get')", "b"},
		{"return redis.call('set', 'a', 'c', 'XX', 'KEEPTTL')", "OK"},
		{"return redis.call('xadd', 'x', 'MAXLEN', '=', 5, '1-1', 'f', 'v')", "1-1"},
		{"return redis.call('xadd', 'x', 'NOMKSTREAM', 'MAXLEN', 5, '2', 'f', '*')", "2-0"},
		{"return redis.call('xgroup', 'create', 'x', 'g', '$')", "OK"},
		{"return redis.call('xread', 'count', 1, 'streams', 'x', '0')", "[[x [[1-1 [f v]]]]]"},
		{"return redis.sha1hex('')", "da39a3ee5e6b4b0d3255bfef95601890afd80709"},
		{"return cjson.encode({a = {1, 2}, b = cjson.null})", `{"a":[1,2],"b":null}`},
		{"return cjson.decode('[1,[2]]')", "[1 [2]]"},
		{"return cmsgpack.unpack(cmsgpack.pack({1, 'x'}))", "[1 x]"},
		{"return bit.band(7, 2) + struct.size('>I4')", "6"},
		{"local t = {} for k, v in pairs({a = 1, b = 2}) do t[#t + 1] = k .. v end table.sort(t) return t", "[a1 b2]"},
		{"local t = {'b', 'B', 'a', '_'} table.sort(t) return t", "[B _ a b]"},
		{"local t = {3, 1, 2} table.sort(t, function(a, b) return a > b end) return t", "[3 2 1]"},
		{"return tostring(next({})) .. next({7})", "nil1"},
		{"local n = 0 table.foreach({a = 1, b = 2}, function(k, v) n = n + v end) return n", "3"},
		{"local C = {} C.__index = C function C.hi(o) return o.n end local o = setmetatable({n = 4}, C) return {o:hi(), getmetatable(o) == C and 1 or 0}", "[4 1]"},
		{"return tostring(setmetatable({}, {__tostring = function() return 'mine' end}))", "mine"},
		{"local f = coroutine.wrap(function() coroutine.yield(1) return 2 end) return {f(), f()}", "[1 2]"},
		{"return {#KEYS, #ARGV}", "[0 0]"},
		{"return ('x'):rep(3)", "xxx"},
		{"return tostring(redis.replicate_commands())", "true"},
		{"local t = {a = 1, b = 2} for k in pairs(t) do t[k] = nil end return tostring(next(t))", "nil"},
		// Errors, with the line of the statement.
		{"\n\nreturn nil .. 'a'", "error: ERR user_script:3: attempt to concatenate a nil value"},
		{"return foo", "error: ERR user_script:1: Script attempted to access nonexistent global variable 'foo'"},
		{"return redis.call('incr', 'h')", "error: WRONGTYPE Operation against a key holding the wrong kind of value"},
		{"return redis.call('hget', 'h')", "error: ERR Wrong number of args calling Redis command from script"},
		{"return redis.call()", "error: ERR Please specify at least one argument for this redis lib call"},
	} {
		if got := saveText(s, tc.statement); got != tc.want {
			t.Errorf("%s\n got %q\nwant %q", tc.statement, got, tc.want)
		}
	}
}

// A load has what is due deleted before it looks.
func TestScriptsLoadExpires(t *testing.T) {
	s, cluster := newLuaScripts(t)
	for _, step := range []struct {
		due   int64
		empty int
	}{{0, 0}, {time.Now().Add(time.Hour).UnixMilli(), 0}, {1, 1}} {
		cluster.servers[0].due = step.due
		if _, err := s.Load(context.Background(), []byte("return 1"), nil); err != nil || cluster.empty != step.empty {
			t.Errorf("due at %d: %v, %d empty proposals, want %d", step.due, err, cluster.empty, step.empty)
		}
	}
}

func TestScriptsCompileErrorIsInvalid(t *testing.T) {
	s, _ := newLuaScripts(t)
	var se *ScriptError
	if _, err := s.Save(context.Background(), []byte("return ("), nil); !errors.As(err, &se) || !se.Invalid {
		t.Errorf("got %v, want an invalid argument", err)
	}
	if _, err := s.Save(context.Background(), []byte("return redis.call('swapdb', 0, 1)"), nil); !errors.As(err, &se) || se.Invalid {
		t.Errorf("got %v, want a refusal", err)
	}
}

func TestReplyTextMalformed(t *testing.T) {
	for _, reply := range []string{"", "x\r\n", "$5\r\nabc\r\n", "*2\r\n:1\r\n", ":1\r\n:2\r\n", "*9223372036854775807\r\n", "$9223372036854775807\r\nx\r\n"} {
		if _, err := replyText([]byte(reply)); !errors.Is(err, errBadReply) {
			t.Errorf("%q: %v, want errBadReply", reply, err)
		}
	}
	if _, err := replyText([]byte("-LOADING Redis is loading\r\n")); !errors.Is(err, raft.ErrNotDone) {
		t.Errorf("LOADING: %v, want ErrNotDone", err)
	}
}

package redis

import (
	"context"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/nexus-replication/nexus/proxy/redis/script"
)

// TestScriptsDeterminism runs nasty scripts on two servers with other hash seeds and another history, of which one forgets
// all that it has compiled now and then. The cluster of the test says DIVERGED when their replies differ.
func TestScriptsDeterminism(t *testing.T) {
	text, err := os.ReadFile("testdata/nasty.lua")
	if err != nil {
		t.Fatal(err)
	}
	_, body, _ := strings.Cut(string(text), "\n-- data")
	_, body, _ = strings.Cut(body, "\n")
	scripts := strings.Split(body, "----\n")
	if len(scripts) < 100 {
		t.Fatalf("%d scripts", len(scripts))
	}
	s, cluster := newLuaScripts(t)
	s.host.lib = script.NewLibrary(16, 13, 1_000_000)
	for _, statement := range []string{
		"math.random() math.random() local t = {} for i = 1, 20000 do t[i] = {} end cjson.encode_max_depth(2) return 1",
		"error('x')",
	} {
		if _, err := cluster.servers[1].raw(appendRequest(nil, "EVAL", statement, "0")); err != nil {
			t.Fatal(err)
		}
	}
	for i, statement := range scripts {
		got := saveText(s, statement)
		if strings.Contains(got, "DIVERGED") || strings.Contains(got, "0x7f") {
			t.Errorf("%s\n %s", statement, got)
		}
		if _, err := s.Load(context.Background(), []byte(statement), nil); err != nil && i%3 == 0 {
			// Only for what it leaves in the first server.
			continue
		}
		if i%10 == 0 {
			want(t, must(cluster.servers[1].raw(appendRequest(nil, "DEBUG", "RELOAD")))(t), "+OK\r\n")
		}
		compareData(t, cluster, statement)
	}
	if kept := contents(t, cluster.servers[0]); !strings.Contains(kept, "after") {
		t.Errorf("the scripts have left %q", kept)
	}
}

func must(reply []byte, err error) func(t *testing.T) string {
	return func(t *testing.T) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return string(reply)
	}
}

func compareData(t *testing.T, cluster *luaCluster, after string) {
	t.Helper()
	a, b := contents(t, cluster.servers[0]), contents(t, cluster.servers[1])
	if a == b {
		return
	}
	at := 0
	for at < min(len(a), len(b)) && a[at] == b[at] {
		at++
	}
	t.Fatalf("the data differs after %s\n  %.300q\n  %.300q", after, a[max(0, at-100):], b[max(0, at-100):])
}

// contents is all that a server holds, in one order.
func contents(t *testing.T, s *luaServer) string {
	t.Helper()
	const dump = `
local out = {}
local function add(v)
  if type(v) == 'table' and v.ok then v = v.ok end
  if type(v) ~= 'table' then out[#out + 1] = tostring(v) return end
  for _, x in ipairs(v) do add(x) end
end
for db = 0, 15 do
  redis.call('select', db)
  local keys = redis.call('keys', '*')
  table.sort(keys)
  for _, k in ipairs(keys) do
    local kind = redis.call('type', k).ok
    add({db, k, kind, redis.call('pexpiretime', k)})
    if kind == 'string' then add(redis.call('get', k)) end
    if kind == 'list' then add(redis.call('lrange', k, 0, -1)) end
    if kind == 'zset' then add(redis.call('zrange', k, 0, -1, 'withscores')) end
    if kind == 'set' then local m = redis.call('smembers', k) table.sort(m) add(m) end
    if kind == 'hash' then
      local f = redis.call('hkeys', k)
      table.sort(f)
      for _, x in ipairs(f) do add({x, redis.call('hget', k, x)}) end
    end
    if kind == 'stream' then
      add(redis.call('xrange', k, '-', '+'))
      for _, g in ipairs(redis.call('xinfo', 'groups', k)) do
        for _, p in ipairs(redis.call('xpending', k, g[2], '-', '+', 10000)) do add({p[1], p[2], p[4]}) end
      end
      add(redis.call('xinfo', 'stream', k)[8])
    end
  end
end
return table.concat(out, ' ')`
	return must(s.raw(appendRequest(nil, "EVAL", dump, "0")))(t)
}

// The position of a script's calls in the log carries time: one replica that was given other numbers shows as such.
func TestScriptsDeterminismIsLookedAt(t *testing.T) {
	s, cluster := newLuaScripts(t)
	if got := saveText(s, "return redis.call('set', 'k', 'v')"); got != "OK" {
		t.Fatal(got)
	}
	if _, err := cluster.servers[1].raw(appendRequest(nil, "RPUSH", "l", strconv.Itoa(1))); err != nil {
		t.Fatal(err)
	}
	if contents(t, cluster.servers[0]) == contents(t, cluster.servers[1]) {
		t.Error("a difference was not seen")
	}
}

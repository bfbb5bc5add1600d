package redis

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"math"
	"strings"
	"testing"
)

// Replies of RESP3, each followed by bytes that are not its own.
func TestReplyReaderRESP3(t *testing.T) {
	for _, reply := range []string{
		"_\r\n", ",1.5\r\n", ",inf\r\n", "#t\r\n", "(123456789012345678901234567890\r\n", "=8\r\ntxt:a\r\nb\r\n", "!5\r\nERR x\r\n",
		"*2\r\n_\r\n:1\r\n", "~2\r\n:1\r\n:2\r\n", "~0\r\n", "%0\r\n", "%1\r\n$1\r\na\r\n%1\r\n:1\r\n_\r\n", ">2\r\n+a\r\n+b\r\n",
		"|1\r\n+ttl\r\n:3\r\n$1\r\na\r\n", "*2\r\n|1\r\n+a\r\n*1\r\n_\r\n:1\r\n:2\r\n", "$-1\r\n", "*-1\r\n",
		strings.Repeat("*1\r\n", 100_000) + "_\r\n", strings.Repeat("%1\r\n:1\r\n", 100_000) + "_\r\n",
	} {
		in := reply + "+next\r\n"
		r := newReplyReader(strings.NewReader(in), 16)
		got, kept, err := r.keep(nil, math.MaxInt)
		if err != nil || !kept || string(got) != reply {
			t.Errorf("%.40q: kept %.40q, %v, %v", reply, got, kept, err)
		}
		if line, err := r.line(); err != nil || string(line) != "+next\r\n" {
			t.Errorf("%.40q: then %.40q, %v", reply, line, err)
		}
		r = newReplyReader(strings.NewReader(in), 16)
		if err := r.skip(); err != nil {
			t.Errorf("%.40q: skip: %v", reply, err)
		}
		if line, err := r.line(); err != nil || string(line) != "+next\r\n" {
			t.Errorf("%.40q: after skip %.40q, %v", reply, line, err)
		}
		var out bytes.Buffer
		w := bufio.NewWriter(&out)
		if err := newReplyReader(strings.NewReader(in), 16).copyTo(w); err != nil || w.Flush() != nil || out.String() != reply {
			t.Errorf("%.40q: copied %.40q, %v", reply, out.String(), err)
		}
	}
	for _, bad := range []string{
		"x\r\n", "%\r\n", "~a\r\n", "*1099511627777\r\n", "%999999999999999999\r\n", "|999999999999999999\r\n", "*-2\r\n", "$?\r\n", "*?\r\n",
		"=1\r\n",
	} {
		if err := newReplyReader(strings.NewReader(bad), 16).skip(); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

// The commands of one transaction get their replies each in its protocol, whoever stands beside them.
func TestApplyRESP3(t *testing.T) {
	s := startServer(t)
	b := openBackend(t, testConfig(s.addr))
	three := func(db int, args ...string) Item { return Item{DB: db, Flags: ItemRESP3, Cmd: command(args...)} }
	two := func(db int, args ...string) Item { return Item{DB: db, Cmd: command(args...)} }
	e := entry(1,
		op("HSET", "h", "f", "v"),
		op("HGETALL", "h"),
		op("HGETALL", "h"),
		op("HGETALL", "h"),
		op("HGETALL", "h"),
		op("GET", "nokey"),
		op("GET", "nokey"),
		op("PING"),
	)
	e.Commands[2].Data = AppendOp(nil, three(0, "HGETALL", "h"))
	e.Commands[3].Data = AppendOp(nil, three(0, "HGETALL", "h"), three(2, "ZADD", "z", "1.5", "m"), two(0, "HGETALL", "h"), three(2, "ZSCORE", "z", "m"), three(0, "INCR", "h"))
	e.Commands[4].Data = AppendOp(nil, three(0, "HGETALL", "h"))
	e.Commands[4].Wanted = false
	e.Commands[6].Data = AppendOp(nil, three(0, "GET", "nokey"))
	e.Commands[7].Data = AppendOp(nil, three(0, "EVAL", "redis.setresp(3) return {map={a={1,false}}}", "0"))
	mustApply(t, b, e)
	const flat, pairs = "*2\r\n$1\r\nf\r\n$1\r\nv\r\n", "%1\r\n$1\r\nf\r\n$1\r\nv\r\n"
	const wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"
	for i, want := range []string{
		":1\r\n", flat, pairs, pairs + ":1\r\n" + flat + ",1.5\r\n" + wrong, "", "$-1\r\n", "_\r\n", "%1\r\n$1\r\na\r\n*2\r\n:1\r\n#f\r\n",
	} {
		if c := e.Commands[i]; string(c.Reply) != want || c.Err != nil {
			t.Errorf("command %d: %q %v, want %q", i, c.Reply, c.Err, want)
		}
	}
	// The connection is one of RESP2 again, also after the next transaction.
	e = entry(2, op("HGETALL", "h"))
	mustApply(t, b, e)
	if got := string(e.Commands[0].Reply); got != flat {
		t.Errorf("afterwards %q", got)
	}
	if err := b.Apply(context.Background(), nil); err != nil {
		t.Error(err)
	}
}

// Nesting as deep as a client can make it.
func TestApplyDeepRESP3(t *testing.T) {
	b := openBackend(t, testConfig(startServer(t).addr))
	script := "local t={} for i=1,5000 do t={t,{map={a=t and 1}}} end return t"
	for i, flags := range []ItemFlags{0, ItemRESP3} {
		e := entry(uint64(i+1), op("PING"), op("PING"))
		e.Commands[0].Data = AppendOp(nil, Item{Flags: flags, Cmd: command("EVAL", script, "0")})
		mustApply(t, b, e)
		if got := string(e.Commands[1].Reply); got != "+PONG\r\n" || len(e.Commands[0].Reply) < 1000 {
			t.Errorf("%d bytes, then %q", len(e.Commands[0].Reply), got)
		}
	}
}

func TestReadAsRESP3(t *testing.T) {
	s := startServer(t)
	b := openBackend(t, testConfig(s.addr))
	ctx := context.Background()
	s.do(3, "HSET", "h", "f", "v")
	request := append(command("HGETALL", "h"), command("GET", "nokey")...)
	for range 3 {
		for p, want := range map[Protocol]string{RESP2: "*2\r\n$1\r\nf\r\n$1\r\nv\r\n$-1\r\n", RESP3: "%1\r\n$1\r\nf\r\n$1\r\nv\r\n_\r\n"} {
			got, done, err := b.ReadAs(ctx, p, 3, request, 2)
			if err != nil || done != 2 || string(got) != want {
				t.Errorf("RESP%d: %q, %d, %v", p, got, done, err)
			}
			// One connection serves both protocols, one after the other.
			var out bytes.Buffer
			for _, n := range []int{3, 4} {
				if err := b.StreamAs(ctx, p, n, command("HGETALL", "h"), &out); err != nil {
					t.Errorf("RESP%d: %v", p, err)
				}
			}
			empty := fmt.Sprintf("%c0\r\n", want[0])
			if want := strings.TrimSuffix(strings.TrimSuffix(want, "$-1\r\n"), "_\r\n") + empty; out.String() != want {
				t.Errorf("RESP%d: streamed %q, want %q", p, out.String(), want)
			}
		}
	}
}

package policy

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/nexus-replication/nexus/proxy/redis/redistest"
)

func TestTTLReply(t *testing.T) {
	const now = 1700000000000
	for _, tc := range []struct {
		raw                                int64
		ttl, pttl, expiretime, pexpiretime int64
	}{
		{-1, -1, -1, -1, -1},
		{-2, -2, -2, -2, -2},
		{1, -2, -2, -2, -2},
		{Shift - 1, -2, -2, -2, -2},
		{Shift + now + 10_000, 10, 10_000, now/1000 + 10, now + 10_000},
		{Shift + now + 1499, 1, 1499, now/1000 + 1, now + 1499},
		{Shift + now + 1500, 2, 1500, now/1000 + 2, now + 1500},
		{Shift + now + 499, 0, 499, now / 1000, now + 499},
		{Shift + now + 1, 0, 1, now / 1000, now + 1},
		{Shift + now, 0, 0, now / 1000, now},
		{Shift + now - 5000, 0, 0, now/1000 - 5, now - 5000},
		{1<<63 - 1, 9223369237343148, maxDeadline - now, (maxDeadline + 500) / 1000, maxDeadline},
	} {
		for cmd, want := range map[string]int64{
			"ttl": tc.ttl, "pttl": tc.pttl, "expiretime": tc.expiretime, "pexpiretime": tc.pexpiretime,
		} {
			if got := TTLReply(cmd, tc.raw, now); got != want {
				t.Errorf("%s of %d: %d, want %d", cmd, tc.raw, got, want)
			}
		}
	}
}

// TestTTLRoundsLikeServer compares EXPIRETIME, which needs no clock.
func TestTTLRoundsLikeServer(t *testing.T) {
	c := redistest.Dial(t)
	for _, at := range []int64{9999999999000, 9999999999499, 9999999999500, 9999999999501, 9999999999999} {
		c.Do("SET", "k", "v", "PXAT", fmt.Sprint(at))
		for _, cmd := range []string{"expiretime", "pexpiretime"} {
			want := c.Do(cmd, "k")
			c.Do("SET", "s", "v", "PXAT", fmt.Sprint(at+Shift))
			raw := c.DoArgs(ReadTimeCommand(words(cmd, "s")))
			if got := TTLReply(cmd, raw.(int64), 0); any(got) != want {
				t.Errorf("%s of %d: %d, want %d", cmd, at, got, want)
			}
		}
	}
}

// FuzzRewriteTime: whatever the arguments, rewriting does not crash or change
// them, and what it returns carries no time that depends on a backend's clock.
func FuzzRewriteTime(f *testing.F) {
	for _, s := range []string{
		"SET k v EX 10 NX", "SET k v PXAT 1 GET", "SETEX k 10 v", "PSETEX k 10 v", "EXPIRE k 10 GT LT", "EXPIREAT k 1",
		"PEXPIREAT k 9223370937343148031", "GETEX k EX abc", "GETEX k PERSIST", "RESTORE k 10 p REPLACE ABSTTL FREQ 1",
		"XADD k NOMKSTREAM MAXLEN ~ 10 LIMIT 5 1-1 f v", "XTRIM k LIMIT 1 MINID ~ 5", "SET k v ex\x00 10", "GET k", "",
		"XADD k * f v", "XREADGROUP GROUP g c NOACK STREAMS a b > 0", "XCLAIM k g c 5 1-1 2-2 IDLE 5 FORCE", "XCLAIM k g c 0 1-1",
		"XAUTOCLAIM k g c 5 - COUNT 5 JUSTID", "SORT k BY w ALPHA STORE d",
	} {
		f.Add(s, int64(1700000000000))
	}
	table := NewTable()
	f.Fuzz(func(t *testing.T, command string, now int64) {
		if now < 0 || now > maxDeadline/2 {
			return
		}
		var args [][]byte
		for w := range strings.SplitSeq(command, " ") {
			args = append(args, []byte(w))
		}
		before := fmt.Sprintf("%q", args)
		d := table.Lookup(args, testContext)
		out, deadline, errText := RewriteTime(args, now)
		if after := fmt.Sprintf("%q", args); after != before {
			t.Fatalf("arguments changed from %s to %s", before, after)
		}
		if errText != "" {
			if out != nil || deadline != 0 || strings.ContainsAny(errText, "\r\n") {
				t.Fatalf("%s: error %q with %q, %d", before, errText, out, deadline)
			}
			return
		}
		if deadline != 0 && (deadline <= now || deadline > maxDeadline) {
			t.Fatalf("%s: deadline %d at %d", before, deadline, now)
		}
		if d.Policy != WriteTime {
			if d.Policy == Write && fmt.Sprintf("%q", out) != before && !bytes.EqualFold(args[0], []byte("restore")) {
				t.Fatalf("%s is a plain write, rewritten to %q", before, out)
			}
			return
		}
		checkRewritten(t, table, out, deadline)
	})
}

// checkRewritten checks a command of the log for relative or unshifted times.
func checkRewritten(t *testing.T, table *Table, out [][]byte, deadline int64) {
	if isOption(out[0], "eval") && ScriptName(out[1]) != "" {
		return
	}
	d := table.Lookup(out, testContext)
	if !d.Policy.Writes() || d.Err != "" {
		t.Fatalf("%q: %s %s", out, d.Policy, d.Err)
	}
	var at []byte
	switch d.Spec.Name {
	case "set", "getex":
		o, _ := parseStringOptions(out[map[string]int{"set": 3, "getex": 2}[d.Spec.Name]:], d.Spec.Name == "set")
		if o.expiry != expiryPXAT {
			t.Fatalf("%q: no absolute time", out)
		}
		at = o.value
	case "pexpireat":
		at = out[2]
	case "restore":
		at = out[2]
		if n, ok := parseInt(at); ok && n > 0 && !slices.ContainsFunc(out[4:], func(b []byte) bool { return isOption(b, "absttl") }) {
			t.Fatalf("%q: relative time", out)
		}
	case "xadd":
		if o, _ := parseTrim(out, true); o.clockID && len(out) <= maxScriptArgs {
			t.Fatalf("%q: an ID by the backend's clock", out)
		}
		return
	case "xclaim":
		if c, _ := parseXClaim(out); c.minIdle != 0 || !c.absolute {
			t.Fatalf("%q: a time by the backend's clock", out)
		}
		return
	case "xreadgroup", "sort": // not what Redis takes
		return
	default:
		t.Fatalf("%q: not a command of the log", out)
	}
	n, ok := parseInt(at)
	switch {
	case ok && n > 1 && n != deadline+Shift:
		t.Fatalf("%q: time %d for deadline %d", out, n, deadline)
	case (!ok || n <= 1) && deadline != 0:
		t.Fatalf("%q: no time for deadline %d", out, deadline)
	}
}

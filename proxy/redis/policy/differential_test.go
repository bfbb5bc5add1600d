package policy

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/proxy/redis/redistest"
)

// The differential tests run a command twice: as a client would send it to
// Redis in database native, and as Nexus sends it to a backend in database
// shiftedDB. Both must give the same reply and leave the same state, but for
// the shift and for what Nexus refuses on purpose.
const (
	nativeDB  = "1"
	shiftedDB = "2"
)

// differ runs one case at a time.
type differ struct {
	*redistest.Client
	t       *testing.T
	table   *Table
	payload string // of DUMP
}

func newDiffer(t *testing.T) *differ {
	d := &differ{Client: redistest.Dial(t), t: t, table: NewTable()}
	d.Do("FLUSHALL")
	d.Do("SET", "x", "restored")
	d.payload = d.Do("DUMP", "x").(string)
	return d
}

// keyStates are the states of key "k" before a case.
var keyStates = []string{"missing", "string", "deadline", "list", "stream"}

func (d *differ) prepare(state string, deadline int64) {
	d.Do("DEL", "k")
	switch state {
	case "string":
		d.Do("SET", "k", "10")
	case "deadline":
		d.Do("SET", "k", "10", "PXAT", fmt.Sprint(deadline))
	case "list":
		d.Do("RPUSH", "k", "3", "1", "2")
	case "stream":
		for _, id := range []string{"1-1", "2-1", "3-1"} {
			d.Do("XADD", "k", id, "f", "v")
		}
	}
}

// snapshot describes key "k" and its deadline.
func (d *differ) snapshot() (content string, deadline int64) {
	deadline = d.Do("PEXPIRETIME", "k").(int64)
	return fmt.Sprintf("%q", d.Do("DUMP", "k")), deadline
}

// run compares the two ways of a command. It reports whether the command was
// accepted.
func (d *differ) run(state string, args [][]byte) bool {
	d.t.Helper()
	for i, a := range args {
		if string(a) == "PAYLOAD" {
			args[i] = []byte(d.payload)
		}
	}
	now := time.Now().UnixMilli()
	stored := now + 1_000_000

	d.Do("SELECT", nativeDB)
	d.prepare(state, stored)
	want := d.DoArgs(args)
	wantContent, wantDeadline := d.snapshot()

	dec := d.table.Lookup(args, testContext)
	errText, out, deadline := dec.Err, args, int64(0)
	if errText == "" && dec.Policy == WriteTime {
		out, deadline, errText = RewriteTime(args, now)
	}
	switch {
	case strings.Contains(errText, "refused by Nexus"):
		return false
	case errText != "":
		if want != any(redistest.Error(errText)) && (!beyondShift(args, now) || !strings.Contains(errText, "invalid expire time")) {
			d.t.Errorf("%q on %s: Nexus says %q, Redis %q", args, state, errText, want)
		}
		return false
	}
	d.Do("SELECT", shiftedDB)
	d.prepare(state, stored+Shift)
	got := d.DoArgs(out)
	content, raw := d.snapshot()
	if approximate(args) {
		// Nexus trims all that may be trimmed; only errors must be the same.
		_, failed := got.(redistest.Error)
		if _, wantFailed := want.(redistest.Error); failed != wantFailed || (failed && got != want) {
			d.t.Errorf("%q on %s, as %q: reply %q, Redis has %q", args, state, out, got, want)
		}
		return true
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		if _, isErr := got.(redistest.Error); !isErr || !beyondShift(args, now) {
			d.t.Errorf("%q on %s, as %q: reply %q, Redis has %q", args, state, out, got, want)
		}
		return true
	}
	if content != wantContent {
		d.t.Errorf("%q on %s, as %q: content %s, Redis has %s", args, state, out, content, wantContent)
	}
	shownDeadline := TTLReply("pexpiretime", raw, now)
	if shownDeadline != wantDeadline && !beyondShift(args, now) && (shownDeadline < 0 || wantDeadline < 0 || abs(shownDeadline-wantDeadline) > 20_000) {
		d.t.Errorf("%q on %s, as %q: deadline %d, Redis has %d", args, state, out, shownDeadline, wantDeadline)
	}
	// The index of deadlines must learn every new one.
	if raw > 0 && raw != stored+Shift && shownDeadline != deadline {
		d.t.Errorf("%q on %s: sets deadline %d, announced %d", args, state, shownDeadline, deadline)
	}
	return true
}

func abs(n int64) int64 { return max(n, -n) }

// beyondShift reports whether args have a time that Redis can keep and Nexus
// keeps as an earlier one, as it leaves no room for the shift. RESTORE even lets
// it overflow.
func beyondShift(args [][]byte, now int64) bool {
	return slices.ContainsFunc(args, func(a []byte) bool {
		n, ok := parseInt(a)
		return ok && (n > maxDeadline-now || (n <= math.MaxInt64/1000 && n > (maxDeadline-now)/1000))
	})
}

func approximate(args [][]byte) bool {
	return slices.ContainsFunc(args, func(a []byte) bool { return isOption(a, "~") })
}

// times are arguments for a time: in and out of range, malformed, past, future.
func times(r *rand.Rand) string {
	now := time.Now().UnixMilli()
	list := []string{
		"100000", "500000", "100000", "500000", "0", "-1", "-0", "007", "+5", "abc", "", "1.5", " 5", "5 ", "500000\x00", "1e3",
		"9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809",
		"9223372036854775", "9223372036854776", "-9223372036854775", "-9223372036854776",
		"9223370937343148031", "9223370937343148032", "9223370937343148", "18446744073709551616",
		fmt.Sprint(now + 500_000), fmt.Sprint(now/1000 + 500), fmt.Sprint(now + 2_000_000), fmt.Sprint(now/1000 + 2000),
		fmt.Sprint(now - 500_000), fmt.Sprint(now/1000 - 500),
	}
	return list[r.IntN(len(list))]
}

func pick(r *rand.Rand, list ...string) string { return list[r.IntN(len(list))] }

// randomCase spells a word in some case.
func randomCase(r *rand.Rand, s string) string {
	switch r.IntN(4) {
	case 0:
		return strings.ToLower(s)
	case 1:
		return s + "\x00" + s // ends at the NUL for Redis
	}
	return s
}

// options returns up to n random options, times mixed in.
func options(r *rand.Rand, n int, names ...string) []string {
	var out []string
	for range r.IntN(n + 1) {
		if r.IntN(3) == 0 {
			out = append(out, times(r))
			continue
		}
		name := pick(r, names...)
		out = append(out, randomCase(r, name))
		if slices.Contains([]string{"EX", "PX", "EXAT", "PXAT", "IDLETIME", "FREQ", "MAXLEN", "LIMIT"}, name) && r.IntN(8) > 0 {
			out = append(out, times(r))
		}
	}
	return out
}

func differential(t *testing.T, rounds int, states []string, gen func(r *rand.Rand) []string) {
	d := newDiffer(t)
	r := rand.New(rand.NewPCG(7, 7))
	accepted := 0
	for range rounds {
		if d.run(states[r.IntN(len(states))], words(gen(r)...)) {
			accepted++
		}
		if t.Failed() {
			break
		}
	}
	t.Logf("%d of %d cases were accepted", accepted, rounds)
	if accepted == 0 {
		t.Error("the generator makes nothing but errors")
	}
}

func TestDifferentialSet(t *testing.T) {
	differential(t, 3000, keyStates[:4], func(r *rand.Rand) []string {
		return append([]string{pick(r, "SET", "set"), "k", "v"},
			options(r, 3, "EX", "PX", "EXAT", "PXAT", "NX", "XX", "GET", "KEEPTTL", "PERSIST", "FOO", "")...)
	})
}

func TestDifferentialSetex(t *testing.T) {
	differential(t, 600, keyStates[:4], func(r *rand.Rand) []string {
		return []string{pick(r, "SETEX", "psetex"), "k", times(r), "v"}
	})
}

func TestDifferentialExpire(t *testing.T) {
	differential(t, 3000, keyStates[:4], func(r *rand.Rand) []string {
		args := []string{pick(r, "EXPIRE", "PEXPIRE", "EXPIREAT", "PEXPIREAT"), "k", times(r)}
		for range r.IntN(3) {
			args = append(args, randomCase(r, pick(r, "NX", "XX", "GT", "LT", "GT", "LT", "FOO", "a\r\nb\n", "")))
		}
		return args
	})
}

func TestDifferentialGetex(t *testing.T) {
	differential(t, 3000, keyStates[:4], func(r *rand.Rand) []string {
		return append([]string{"GETEX", "k"}, options(r, 2, "EX", "PX", "EXAT", "PXAT", "PERSIST", "NX", "KEEPTTL", "FOO")...)
	})
}

func TestDifferentialRestore(t *testing.T) {
	differential(t, 3000, keyStates[:4], func(r *rand.Rand) []string {
		return append([]string{"RESTORE", "k", pick(r, "0", "0", times(r)), pick(r, "PAYLOAD", "PAYLOAD", "PAYLOAD", "bad")},
			options(r, 3, "REPLACE", "REPLACE", "ABSTTL", "ABSTTL", "IDLETIME", "FREQ", "FOO")...)
	})
}

func TestDifferentialStream(t *testing.T) {
	ids := []string{"5-1", "5", "1-1", "0-0", "+5", "07-01", "5- -3", " 6-1", "18446744073709551615-1", "18446744073709551616",
		"-", "+", "", "5-", "-5", "x", "5-x", "5-1-1", "5-1\x00x", "-05", "5--5", strings.Repeat("0", 130)}
	trim := func(r *rand.Rand) []string {
		var args []string
		for range 1 + r.IntN(2) {
			switch pick(r, "MAXLEN", "MAXLEN", "MINID", "LIMIT", "NOMKSTREAM", "FOO", "=") {
			case "MAXLEN":
				args = append(args, randomCase(r, "MAXLEN"))
				args = append(args, pick(r, "~", "=", ""))
				args = append(args, pick(r, "2", "0", times(r)))
			case "MINID":
				args = append(args, randomCase(r, "MINID"), pick(r, "~", "=", "~\x00", ""), pick(r, ids...))
			case "LIMIT":
				args = append(args, randomCase(r, "LIMIT"), pick(r, "2", "0", times(r)))
			default:
				args = append(args, pick(r, "NOMKSTREAM", "FOO", "="))
			}
		}
		// "" stands for no modifier, most of the time.
		return slices.DeleteFunc(args, func(s string) bool { return s == "" && r.IntN(20) > 0 })
	}
	states := []string{"missing", "list", "stream", "stream"}
	t.Run("XTRIM", func(t *testing.T) {
		differential(t, 3000, states, func(r *rand.Rand) []string {
			args := append([]string{"XTRIM", "k"}, trim(r)...)
			for len(args) < 4 {
				args = append(args, times(r))
			}
			return args
		})
	})
	t.Run("XADD", func(t *testing.T) {
		differential(t, 3000, states, func(r *rand.Rand) []string {
			args := []string{"XADD", "k"}
			if r.IntN(2) == 0 {
				args = append(args, trim(r)...)
			}
			args = append(args, pick(r, pick(r, ids...), "5-1", "5-*", "5-*\x00x"), "f", "v")
			return append(args, []string{"g"}[:r.IntN(8)/7]...)
		})
	})
}

func TestDifferentialSort(t *testing.T) {
	differential(t, 2000, []string{"missing", "list", "list", "string"}, func(r *rand.Rand) []string {
		args := []string{"SORT", "k"}
		for range r.IntN(4) {
			args = append(args, randomCase(r, pick(r, "ASC", "DESC", "ALPHA", "FOO", "STORE", "BY", "GET")))
			if r.IntN(2) == 0 {
				args = append(args, pick(r, "k", "d", "LIMIT", "w_*", "#"))
			}
			if r.IntN(3) == 0 {
				args = append(args, "LIMIT", pick(r, "0", "1", times(r)), pick(r, "2", times(r)))
			}
		}
		return args
	})
}

// TestDifferentialDatabases: the errors of commands that name databases. The
// reserved one does not exist for clients, so it is not among the cases.
func TestDifferentialDatabases(t *testing.T) {
	c, table := redistest.Dial(t), NewTable()
	dbs := []string{"5", "6", "15", "16", "-1", "x", "", "05", "99999999999", "-99999999999", "9223372036854775808", "2147483648"}
	var cases [][]string
	for _, a := range dbs {
		cases = append(cases, []string{"MOVE", "k", a}, []string{"COPY", "a", "b", "DB", a},
			[]string{"COPY", "a", "b", "REPLACE", "db", a, "replace"}, []string{"COPY", "a", "b", "DB", a, "FOO"},
			[]string{"COPY", "a", "b", "DB\x00x", a}, []string{"COPY", "a", "b", a})
		for _, b := range dbs {
			cases = append(cases, []string{"SWAPDB", a, b}, []string{"COPY", "a", "b", "DB", a, "DB", b})
		}
	}
	for _, args := range cases {
		got := table.Lookup(words(args...), testContext).Err
		want, _ := c.Do(args...).(redistest.Error)
		if got != string(want) {
			t.Errorf("%q: %q, Redis says %q", args, got, want)
		}
	}
	for _, args := range [][]string{{"MOVE", "k", "13"}, {"COPY", "a", "b", "DB", "13"}, {"SWAPDB", "13", "0"}, {"SWAPDB", "0", "13"}} {
		if got := table.Lookup(words(args...), testContext).Err; got != errDBRange {
			t.Errorf("%q: %q", args, got)
		}
	}
}

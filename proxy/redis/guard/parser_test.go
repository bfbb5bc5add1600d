package guard

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// small keeps the inputs that reach a limit short.
func small() Limits {
	l := DefaultLimits()
	l.MaxBulk, l.MaxArgs, l.MaxInline, l.MaxFrame = 1000, 20, 64, 1200
	l.UnauthMaxArgs, l.UnauthMaxBulk = 3, 100
	return l
}

type parseCase struct {
	name    string
	in      string
	want    string // handed on
	problem string // of the protocol error, if any
	err     error  // default io.EOF, or ErrProtocol with a problem
	unauth  bool
}

func parseCases() []parseCase {
	ping := encode([]string{"PING"})
	long := strings.Repeat("a", 65)
	return []parseCase{
		{name: "nothing"},
		{name: "one", in: ping, want: ping},
		{name: "pipeline", in: ping + ping + ping, want: ping + ping + ping},
		{name: "empty argument", in: "*2\r\n$3\r\nGET\r\n$0\r\n\r\n", want: encode([]string{"GET", ""})},
		{name: "binary argument", in: "*1\r\n$4\r\n\r\n\x00$\r\n", want: encode([]string{"\r\n\x00$"})},
		{name: "incomplete", in: ping + "*1\r\n$4\r\nPIN", want: ping},
		{name: "incomplete header", in: "*1"},
		{name: "incomplete header cr", in: "*1\r"},
		{name: "zero arguments", in: "*0\r\n" + ping + "*0\r\n*0\r\n" + ping, want: ping + ping},
		{name: "null array", in: "*-1\r\n" + ping, want: ping},
		{name: "any negative count", in: "*-77\r\n" + ping, want: ping},
		{name: "cr without lf", in: "*1\rX$4\rYPINGab", want: ping},
		{name: "no crlf behind argument", in: "*2\r\n$4\r\nPING??$1\r\nx!!" + ping, want: encode([]string{"PING", "x"}) + ping},

		{name: "count not a number", in: "*a\r\n", problem: problemMultibulk},
		{name: "count missing", in: "*\r\n", problem: problemMultibulk},
		{name: "count with plus", in: "*+1\r\n", problem: problemMultibulk},
		{name: "count with zero", in: "*01\r\n", problem: problemMultibulk},
		{name: "count minus zero", in: "*-0\r\n", problem: problemMultibulk},
		{name: "count minus", in: "*-\r\n", problem: problemMultibulk},
		{name: "count with space", in: "* 1\r\n", problem: problemMultibulk},
		{name: "count too large", in: "*21\r\n", problem: problemMultibulk},
		{name: "count largest", in: "*9223372036854775807\r\n", problem: problemMultibulk},
		{name: "count overflow", in: "*9223372036854775808\r\n", problem: problemMultibulk},
		{name: "count smallest", in: "*-9223372036854775808\r\n" + ping, want: ping},
		{name: "count underflow", in: "*-9223372036854775809\r\n", problem: problemMultibulk},
		{name: "count line too long", in: "*" + strings.Repeat("1", 64), problem: problemMultibulkLine},
		{name: "count line long", in: "*" + strings.Repeat("1", 63)},
		{name: "count line with nul waits", in: "*1\x00\r\n" + ping},
		{name: "count line with nul too long", in: "*1\x00\r\n" + long, problem: problemMultibulkLine},

		{name: "good ones first", in: ping + "*1\r\n!4\r\n" + ping, want: ping, problem: "expected '$', got '!'"},
		{name: "not a bulk", in: "*1\r\nPING\r\n", problem: "expected '$', got 'P'"},
		{name: "not a bulk but no line", in: "*1\r\nPING"},
		{name: "not a bulk cr", in: "*1\r\n\r\n", problem: "expected '$', got ' '"},
		{name: "not a bulk lf", in: "*1\r\n\nx\r\n", problem: "expected '$', got ' '"},
		{name: "not a bulk high", in: "*1\r\n\xfe\r\n", problem: "expected '$', got '\xfe'"},
		{name: "length not a number", in: "*1\r\n$x\r\n", problem: problemBulk},
		{name: "length missing", in: "*1\r\n$\r\n", problem: problemBulk},
		{name: "length negative", in: "*1\r\n$-1\r\n", problem: problemBulk},
		{name: "length with plus", in: "*1\r\n$+4\r\nPING\r\n", problem: problemBulk},
		{name: "length with zero", in: "*1\r\n$04\r\nPING\r\n", problem: problemBulk},
		{name: "length too large", in: "*1\r\n$1001\r\n", problem: problemBulk},
		{name: "length largest", in: "*1\r\n$9223372036854775807\r\nx", problem: problemBulk},
		{name: "length line too long", in: "*1\r\n$" + strings.Repeat("1", 64), problem: problemBulkLine},
		{name: "length line with nul too long", in: "*1\r\n$\x00\r\n" + long, problem: problemBulkLine},
		{name: "frame too large", in: "*3\r\n$1\r\nx\r\n$900\r\n" + strings.Repeat("y", 900) + "\r\n$900\r\n",
			problem: "too big request, the limit is 1200 bytes"},

		{name: "unauth count", unauth: true, in: "*4\r\n", problem: problemMultibulkUnauth},
		{name: "unauth count too large", unauth: true, in: "*21\r\n", problem: problemMultibulk},
		{name: "unauth count ok", unauth: true, in: "*3\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n" + ping,
			want: encode([]string{"a", "b", "c"}) + ping},
		{name: "unauth length", unauth: true, in: ping + "*1\r\n$101\r\n", want: ping, problem: problemBulkUnauth},
		{name: "unauth length too large", unauth: true, in: "*1\r\n$1001\r\n", problem: problemBulk},

		{name: "inline", in: "PING\r\n", want: ping},
		{name: "inline lf", in: "PING\nPING\r\n" + ping, want: ping + ping + ping},
		{name: "inline between", in: ping + "set a b\r\n" + ping, want: ping + encode([]string{"set", "a", "b"}) + ping},
		{name: "inline empty lines", in: "\r\n\n \r\n\t\n\r\n" + ping + "\r\n", want: ping},
		{name: "inline spaces", in: "  a \t b\v\f c\rd  \r\n", want: encode([]string{"a", "b\v\f", "c", "d"})},
		{name: "inline dollar", in: "$4\r\nPING\r\n", want: encode([]string{"$4"}, []string{"PING"})},
		{name: "inline escapes", in: `a "\n\r\t\b\a\x41\xfF\"\\\q\x4"` + "\r\n",
			want: encode([]string{"a", "\n\r\t\b\aA\xff\"\\qx4"})},
		{name: "inline single quotes", in: `a 'b\'c\n"d' ''` + "\r\n", want: encode([]string{"a", `b'c\n"d`, ""})},
		{name: "inline quote in word", in: `foo"bar" a'b'` + "\r\n", want: encode([]string{"foobar", "ab"})},
		{name: "inline quoted then vertical tab", in: "\"a\"\vb\r\n", want: encode([]string{"a", "b"})},
		{name: "inline open quote", in: ping + "a \"b\r\n" + ping, want: ping, problem: problemQuotes},
		{name: "inline open single", in: "a 'b\r\n", problem: problemQuotes},
		{name: "inline escape at end", in: "a \"b\\\r\n", problem: problemQuotes},
		{name: "inline text behind quote", in: "a \"b\"c\r\n", problem: problemQuotes},
		{name: "inline text behind single", in: "a 'b''c'\r\n", problem: problemQuotes},
		{name: "inline too long", in: long, problem: problemInline},
		{name: "inline too long with end", in: long + "\r\n", problem: problemInline},
		{name: "inline longest", in: long[:64] + "\n", want: encode([]string{long[:64]})},
		{name: "inline nul waits", in: "PING\x00\r\n"},
		{name: "inline nul too long", in: "PING\x00\r\n" + long, problem: problemInline},
		{name: "inline too many", in: strings.Repeat("a ", 21) + "\r\n", problem: problemMultibulk},

		{name: "post", in: ping + "POST / HTTP/1.1\r\nX: y\r\n\r\nFLUSHALL\r\n", want: ping, err: ErrCrossProtocol},
		{name: "host", in: "x y\r\nhOsT: localhost\r\nFLUSHALL\r\n", want: encode([]string{"x", "y"}), err: ErrCrossProtocol},
		{name: "post as multibulk", in: "*1\r\n$4\r\npost\r\n" + ping, err: ErrCrossProtocol},
		{name: "post with nul", in: "*1\r\n$8\r\npost\x00abc\r\n" + ping, err: ErrCrossProtocol},
		{name: "host with nul", in: "*1\r\n$7\r\nHOST:\x00a\r\n" + ping, err: ErrCrossProtocol},
		{name: "not quite post", in: "posts host post: poſt\r\nhost x\r\nPOS\r\n",
			want: encode([]string{"posts", "host", "post:", "poſt"}, []string{"host", "x"}, []string{"POS"})},
		{name: "nothing behind quit", in: ping + "*1\r\n$4\r\nQuIt\r\n" + ping + "*x\r\n", want: ping + encode([]string{"QuIt"})},
		{name: "nothing behind inline quit", in: "QUIT\r\nPING\r\n", want: encode([]string{"QUIT"})},
	}
}

func (tc parseCase) check(t *testing.T, got outcome) {
	t.Helper()
	wantErr, wantReply := tc.err, ""
	switch {
	case tc.problem != "":
		wantErr, wantReply = ErrProtocol, "-ERR Protocol error: "+tc.problem+"\r\n"
	case wantErr == nil:
		wantErr = io.EOF
	}
	if got.handed != tc.want {
		t.Errorf("handed on %q, want %q", got.handed, tc.want)
	}
	if got.reply != wantReply {
		t.Errorf("reply %q, want %q", got.reply, wantReply)
	}
	if !errors.Is(got.err, wantErr) {
		t.Errorf("error %v, want %v", got.err, wantErr)
	}
}

func TestParse(t *testing.T) {
	for _, tc := range parseCases() {
		t.Run(tc.name, func(t *testing.T) {
			for _, p := range []int{1, 3, 7, 4096} {
				tc.check(t, run(small(), !tc.unauth, p, []byte(tc.in)))
			}
		})
	}
}

// However the bytes are cut, the outcome is the same.
func TestParseSplit(t *testing.T) {
	for _, tc := range parseCases() {
		t.Run(tc.name, func(t *testing.T) {
			for i := 1; i < len(tc.in); i++ {
				tc.check(t, run(small(), !tc.unauth, 4096, []byte(tc.in[:i]), []byte(tc.in[i:])))
			}
			drip := make([][]byte, len(tc.in))
			for i := range drip {
				drip[i] = []byte{tc.in[i]}
			}
			tc.check(t, run(small(), !tc.unauth, 4096, drip...))
		})
	}
}

// Sequences of valid commands, in both encodings, arrive whole and in order.
func TestParseRapid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limits := DefaultLimits()
		var in []byte
		var want string
		for range rapid.IntRange(0, 6).Draw(t, "commands") {
			args := rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 0, 12), 1, 5).Draw(t, "args")
			args[0] = append([]byte("c"), args[0]...)
			if rapid.IntRange(0, 9).Draw(t, "large") == 0 {
				args = append(args, bytes.Repeat([]byte("0123\r\n$"), 2000))
			}
			in = appendFrame(in, args)
			want += string(appendFrame(nil, args))
			if rapid.Bool().Draw(t, "inline") {
				in = append(in, "\r\n*0\r\n echo  'x y'\n"...)
				want += encode([]string{"echo", "x y"})
			}
		}
		var pieces [][]byte
		for rest := in; len(rest) > 0; {
			n := min(len(rest), rapid.IntRange(1, 9000).Draw(t, "piece"))
			pieces, rest = append(pieces, rest[:n:n]), rest[n:]
		}
		got := run(limits, rapid.Bool().Draw(t, "auth"), rapid.IntRange(1, 5000).Draw(t, "p"), pieces...)
		if got.handed != want || got.reply != "" || !errors.Is(got.err, io.EOF) {
			t.Fatalf("handed on %.500q, want %.500q (reply %q, error %v)", got.handed, want, got.reply, got.err)
		}
	})
}

func TestParseNumber(t *testing.T) {
	for in, want := range map[string]int64{
		"0": 0, "1": 1, "-1": -1, "10": 10, "9223372036854775807": 1<<63 - 1, "-9223372036854775808": -1 << 63,
	} {
		if got, ok := parseNumber([]byte(in)); !ok || got != want {
			t.Errorf("%q: %d %v", in, got, ok)
		}
	}
	for _, in := range []string{
		"", "-", "+1", "-0", "00", "01", "1 ", " 1", "1a", "0x1", "9223372036854775808", "-9223372036854775809",
		"18446744073709551616", "99999999999999999999", "100000000000000000000", "-01",
	} {
		if got, ok := parseNumber([]byte(in)); ok {
			t.Errorf("%q: accepted as %d", in, got)
		}
	}
}

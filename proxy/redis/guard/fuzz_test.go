package guard

import (
	"bytes"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tidwall/redcon"
)

// refResult is what the reference says about a whole input.
type refResult struct {
	cmds    [][]string
	problem string
	post    bool
}

// reference judges a complete input at once, written as plainly as possible
// after redis-server's networking.c.
func reference(in string, l Limits, authenticated bool) refResult {
	var r refResult
	for in != "" {
		var cmd []string
		if in[0] != '*' {
			i, state := refLine(in, '\n', l)
			if state != "" {
				return r.end(state, problemInline)
			}
			args, ok := refSplit(strings.TrimSuffix(in[:i], "\r"))
			if !ok {
				return r.end("too long", problemQuotes)
			}
			if len(args) > l.MaxArgs {
				return r.end("too long", problemMultibulk)
			}
			cmd, in = args, in[i+1:]
		} else {
			total := len(in)
			i, state := refLine(in, '\r', l)
			if state != "" {
				return r.end(state, problemMultibulkLine)
			}
			if i+1 >= len(in) {
				return r
			}
			n, ok := refNumber(in[1:i])
			if !ok || n > int64(l.MaxArgs) {
				return r.end("too long", problemMultibulk)
			}
			if !authenticated && n > int64(l.UnauthMaxArgs) {
				return r.end("too long", problemMultibulkUnauth)
			}
			in = in[i+2:]
			for ; n > 0; n-- {
				i, state := refLine(in, '\r', l)
				if state != "" {
					return r.end(state, problemBulkLine)
				}
				if i+1 >= len(in) {
					return r
				}
				if in[0] != '$' {
					got := in[:1]
					if got == "\r" || got == "\n" {
						got = " "
					}
					return r.end("too long", "expected '$', got '"+got+"'")
				}
				size, ok := refNumber(in[1:i])
				if !ok || size < 0 || size > l.MaxBulk {
					return r.end("too long", problemBulk)
				}
				if !authenticated && size > l.UnauthMaxBulk {
					return r.end("too long", problemBulkUnauth)
				}
				in = in[i+2:]
				if int64(total-len(in))+size+2 > l.MaxFrame {
					return r.end("too long", "too big request, the limit is "+strconv.FormatInt(l.MaxFrame, 10)+" bytes")
				}
				if int64(len(in)) < size+2 {
					return r
				}
				cmd, in = append(cmd, in[:size]), in[size+2:]
			}
		}
		if len(cmd) == 0 {
			continue
		}
		name, _, _ := strings.Cut(cmd[0], "\x00")
		name = strings.ToLower(strings.ReplaceAll(name, "ſ", "x"))
		if name == "post" || name == "host:" {
			r.post = true
			return r
		}
		r.cmds = append(r.cmds, cmd)
		if name == "quit" {
			return r
		}
	}
	return r
}

func (r refResult) end(state, problem string) refResult {
	if state == "too long" {
		r.problem = problem
	}
	return r
}

// refLine finds the end of a line, or says why there is none.
func refLine(in string, end byte, l Limits) (int, string) {
	i := strings.IndexAny(in, string([]byte{end, 0}))
	if i >= 0 && in[i] == end && i <= l.MaxInline {
		return i, ""
	}
	if len(in) > l.MaxInline {
		return 0, "too long"
	}
	return 0, "wait"
}

func refNumber(s string) (int64, bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil && strconv.FormatInt(n, 10) == s
}

// refSplit follows sdssplitargs of sds.c line by line.
func refSplit(s string) ([]string, bool) {
	at := func(i int) byte {
		if i < len(s) {
			return s[i]
		}
		return 0
	}
	space := func(c byte) bool { return c != 0 && strings.IndexByte(" \t\n\v\f\r", c) >= 0 }
	hex := func(c byte) bool { return c != 0 && strings.IndexByte("0123456789abcdefABCDEF", c) >= 0 }
	var args []string
	for p := 0; ; {
		for space(at(p)) {
			p++
		}
		if at(p) == 0 {
			return args, true
		}
		var cur []byte
		inq, insq, done := false, false, false
		for !done {
			c := at(p)
			switch {
			case inq && c == '\\' && at(p+1) == 'x' && hex(at(p+2)) && hex(at(p+3)):
				b, _ := strconv.ParseUint(s[p+2:p+4], 16, 8)
				cur = append(cur, byte(b))
				p += 3
			case inq && c == '\\' && at(p+1) != 0:
				p++
				if i := strings.IndexByte("nrtba", at(p)); i >= 0 {
					cur = append(cur, "\n\r\t\b\a"[i])
				} else {
					cur = append(cur, at(p))
				}
			case insq && c == '\\' && at(p+1) == '\'':
				p++
				cur = append(cur, '\'')
			case inq && c == '"', insq && c == '\'':
				if at(p+1) != 0 && !space(at(p+1)) {
					return nil, false
				}
				done = true
			case (inq || insq) && c == 0:
				return nil, false
			case inq || insq:
				cur = append(cur, c)
			case c == 0 || strings.IndexByte(" \n\r\t", c) >= 0:
				done = true
			case c == '"':
				inq = true
			case c == '\'':
				insq = true
			default:
				cur = append(cur, c)
			}
			if at(p) != 0 {
				p++
			}
		}
		args = append(args, string(cur))
	}
}

// cut splits data into pieces as splits says.
func cut(data, splits []byte) [][]byte {
	data = bytes.Clone(data)
	if len(splits) == 0 {
		splits = []byte{255}
	}
	var pieces [][]byte
	for i := 0; len(data) > 0; i++ {
		n := min(len(data), int(splits[i%len(splits)])+1)
		pieces, data = append(pieces, data[:n:n]), data[n:]
	}
	return pieces
}

func checkAgainstReference(t *testing.T, data, splits []byte, p int, authenticated bool) {
	limits := small()
	want := reference(string(data), limits, authenticated)
	wantReply := ""
	if want.problem != "" {
		wantReply = "-ERR Protocol error: " + want.problem + "\r\n"
	}

	got := run(limits, authenticated, p, cut(data, splits)...)
	if wantBytes := encode(want.cmds...); got.handed != wantBytes || got.reply != wantReply {
		t.Fatalf("%q in %v:\nhanded on %q, reply %q\nwant      %q, reply %q",
			data, splits, got.handed, got.reply, wantBytes, wantReply)
	}
	if errors.Is(got.err, ErrCrossProtocol) != want.post {
		t.Fatalf("%q: error %v, want POST %v", data, got.err, want.post)
	}

	c := guardOn(&scriptConn{pieces: cut(data, splits)}, limits)
	c.SetAuthenticated(authenticated)
	rd := redcon.NewReader(c)
	var cmds [][]string
	for {
		batch, err := rd.ReadCommands()
		if err != nil {
			break
		}
		for _, cmd := range batch {
			var args []string
			for _, a := range cmd.Args {
				args = append(args, string(a))
			}
			cmds = append(cmds, args)
		}
	}
	if !slices.EqualFunc(cmds, want.cmds, slices.Equal) {
		t.Fatalf("%q in %v: redcon read %q, want %q", data, splits, cmds, want.cmds)
	}
}

func FuzzConn(f *testing.F) {
	for i, tc := range parseCases() {
		f.Add([]byte(tc.in), []byte{byte(i), 3, 0}, uint16(i*7), !tc.unauth)
	}
	f.Fuzz(func(t *testing.T, data, splits []byte, p uint16, authenticated bool) {
		checkAgainstReference(t, data, splits, int(p%5000)+1, authenticated)
	})
}

// The same with inputs made of likely tokens, which a byte fuzzer is slow to
// find.
func FuzzTokens(f *testing.F) {
	tokens := []string{
		"*", "$", "\r\n", "\r", "\n", "0", "1", "2", "3", "4", "10", "-1", "21", "1001", "\x00", " ", "\"", "'", "\\",
		"x", "41", "PING", "QUIT", "POST", "host:", "*1\r\n$4\r\nPING\r\n", "*2\r\n", "$1\r\na\r\n", "$0\r\n\r\n",
		"*0\r\n", "*-1\r\n", strings.Repeat("y", 60), "$500\r\n" + strings.Repeat("z", 500) + "\r\n", "\t", "\v", "+",
	}
	f.Add([]byte{26, 27, 28, 2, 25, 21, 2, 26, 32, 32, 26, 32, 32}, []byte{1, 200}, true)
	f.Add([]byte{21, 15, 16, 18, 19, 20, 16, 2, 22, 4, 21, 4}, []byte{0}, false)
	f.Fuzz(func(t *testing.T, picks, splits []byte, authenticated bool) {
		var data []byte
		for _, b := range picks {
			data = append(data, tokens[int(b)%len(tokens)]...)
		}
		checkAgainstReference(t, data, splits, 4096, authenticated)
	})
}

// The reference and splitArgs must agree on every short line.
func TestSplitArgsExhaustive(t *testing.T) {
	const alphabet = "a \"'\\xn4\v"
	var walk func(prefix []byte, depth int)
	walk = func(prefix []byte, depth int) {
		want, wantOK := refSplit(string(prefix))
		got, ok := splitArgs(prefix)
		same := slices.EqualFunc(got, want, func(a []byte, b string) bool { return string(a) == b })
		if ok != wantOK || !same {
			t.Fatalf("%q: %q %v, want %q %v", prefix, got, ok, want, wantOK)
		}
		if depth == 0 {
			return
		}
		for i := range len(alphabet) {
			walk(append(prefix[:len(prefix):len(prefix)], alphabet[i]), depth-1)
		}
	}
	walk(nil, 6)
}

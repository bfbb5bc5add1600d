package script

import (
	"bytes"
	"strings"
	"testing"
)

func TestSplitArgs(t *testing.T) {
	for line, want := range map[string]string{
		"":                     "",
		"  a  b\tc ":           "a|b|c",
		`#!lua name="foo bar"`: "#!lua|name=foo bar",
		`a 'b\'c' d`:           "a|b'c|d",
		`"\x41\n\\\"" x`:       "A\n\\\"|x",
		`"a"b`:                 "-",
		`"a`:                   "-",
		`'a`:                   "-",
		`x"y" z`:               "xy|z",
	} {
		words, ok := splitArgs(line)
		if got := strings.Join(words, "|"); ok != (want != "-") || ok && got != want {
			t.Errorf("%q: %q %v", line, got, ok)
		}
	}
}

func TestIsReadOnly(t *testing.T) {
	for body, want := range map[string]bool{
		"return 1":                        false,
		"#!lua\nreturn 1":                 false,
		"#!lua flags=no-writes\nreturn 1": true,
		"#!lua flags=allow-stale,no-writes\nreturn 1": true,
		"#!lua flags=no-writes":                       false,
		"#!lua flags=no-writes,nosuch\nreturn 1":      false,
		"#!lua x=1 flags=no-writes\nreturn 1":         false,
		"#!luaflags=no-writes\nreturn 1":              false,
		"return 1 --[[#!lua flags=no-writes\n]]":      false,
		"#!lua flags=no-writes flags=\nreturn 1":      true,
		"#!lua flags=no-cluster,allow-oom\nreturn 1":  false,
		"#!lua flags=allow-cross-slot-keys\n":         false,
	} {
		if got := IsReadOnly([]byte(body)); got != want {
			t.Errorf("%q: %v", body, got)
		}
	}
}

func TestReadsNothing(t *testing.T) {
	neutral := func(name string) bool { return name == "set" || name == "ping" }
	for body, want := range map[string]bool{
		"":                                   true,
		"return KEYS[1]":                     true,
		"redis.call('set', KEYS[1], 1)":      true,
		`return redis.pcall ( "PING" )`:      true,
		"redis.call('set',1) redis.call('g'": false,
		"redis.call('get', KEYS[1])":         false,
		"redis.call('set',1)redis.call('get',redis.call('ping'))": false,
		"redis.call('s' .. 'et', KEYS[1])":                        false,
		"redis.call(ARGV[1], KEYS[1])":                            false,
		"redis.call('set'..x, KEYS[1])":                           false,
		"redis.call'ping'":                                        false,
		"redis.call{'ping'}":                                      false,
		`redis.call('s\101t', 1)`:                                 false,
		"local f = redis.call f('set')":                           false,
		"local r = redis r.call('set')":                           false,
		"redis['call']('get', KEYS[1])":                           false,
		"redis.--[[]]call('set')":                                 false,
		"_G['re' .. 'dis'].call('get', KEYS[1])":                  false,
		"getfenv()['re' .. 'dis'].call('get', KEYS[1])":           false,
		"loadstring('re' .. 'dis.call(...)')()":                   false,
		"server.call('get', KEYS[1])":                             false,
		"redis.call('set', \"redis.call('get', 1)\")":             false,
		"redis.call('":                                            false,
		"redis.call(":                                             false,
		"redis":                                                   false,
	} {
		if got := ReadsNothing([]byte(body), neutral); got != want {
			t.Errorf("%q: %v", body, got)
		}
	}
}

func TestNamesWrite(t *testing.T) {
	writes := func(name string) bool { return name == "set" || name == "zremrangebyrank" }
	for body, want := range map[string]bool{
		"":                           false,
		"return 1":                   false,
		`return redis.call("get")`:   false,
		`return redis.call("set",1)`: true,
		`redis.call('SeT')`:          true,
		`local set = "x"`:            false,
		`-- don't; redis.call('set'`: true,
		`"zremrangebyrank"`:          true,
		`"set`:                       false,
		`'set"`:                      false,
		`'abcdefghijklmnopqrstuvwxyzabcdefghijklmnop'`: false,
	} {
		if got := NamesWrite([]byte(body), writes); got != want {
			t.Errorf("%q: %v", body, got)
		}
	}
}

func TestDump(t *testing.T) {
	var codes [][]byte
	for _, n := range []int{0, 1, 63, 64, 16383, 16384, 100000} {
		codes = append(codes, bytes.Repeat([]byte("x"), n))
	}
	dump := appendDump(nil, codes)
	got, errText := decodeDump(dump)
	if errText != "" || len(got) != len(codes) {
		t.Fatalf("%d %q", len(got), errText)
	}
	for i := range codes {
		if !bytes.Equal(got[i], codes[i]) {
			t.Errorf("%d: %d bytes of %d", i, len(got[i]), len(codes[i]))
		}
	}
	for i := range dump[:200] {
		if i < 100 {
			bad := bytes.Clone(dump)
			bad[i] ^= 1
			if _, errText := decodeDump(bad); errText == "" {
				t.Errorf("a changed byte %d was not noticed", i)
			}
		}
	}
}

// Whatever the bytes, with a right checksum, decoding ends without a panic and without much memory.
func FuzzDecodeDump(f *testing.F) {
	f.Add(appendDump(nil, [][]byte{[]byte("#!lua name=a\n")})[:14])
	f.Add([]byte("\xf5\xc3@\x80@\x90\x1f#!lua name=lib4\nredis.register_f\aunction{\xc0\b\x00"))
	f.Add([]byte{245, 0xc0, 5, 245, 0xc1, 5, 5, 245, 0xc2, 1, 2, 3, 4, 246})
	f.Fuzz(func(t *testing.T, body []byte) {
		b := append(bytes.Clone(body), dumpVersion, 0)
		sum := dumpSum(b)
		for i := range 8 {
			b = append(b, byte(sum>>(8*i)))
		}
		codes, errText := decodeDump(b)
		if errText != "" {
			return
		}
		total := 0
		for _, c := range codes {
			total += len(c)
		}
		if total > 300*len(body) {
			t.Errorf("%d bytes became %d", len(body), total)
		}
	})
}

func TestMetadata(t *testing.T) {
	for code, want := range map[string]string{
		"#!lua name=a\n":        "a",
		"#!LUA NAME=a\n":        "a",
		"#!lua name=\"a\"\n":    "a",
		"#!lua name=\"a\n":      "ERR Invalid library metadata",
		"#!\n":                  "ERR Library name was not given",
		"#! \n":                 "ERR Library name was not given",
		"x":                     "ERR Missing library metadata",
		"#!lua name=a":          "ERR Invalid library metadata",
		"#!lua name=a/b\n":      "ERR Library names can only contain letters, numbers, or underscores(_) and must be at least one character long",
		"#!lua name=a x=1\n":    "ERR Invalid metadata value given: x=1",
		"#!lua name=a name=b\n": "ERR Invalid metadata value, name argument was given multiple times",
		"#!python name=a\n":     "ERR Engine 'python' not found",
	} {
		m, errText := parseMetadata([]byte(code))
		if got := m.name; errText != "" && errText != want || errText == "" && got != want {
			t.Errorf("%q: %q %q, want %q", code, got, errText, want)
		}
	}
}

// The library is one text for one configuration, and another for another.
func TestLibraryName(t *testing.T) {
	a, b := NewLibrary(16, 13, Steps), NewLibrary(16, 13, Steps)
	if a.Name != b.Name || a.Code != b.Code {
		t.Error("two texts of one library")
	}
	for _, other := range []*Library{NewLibrary(17, 13, Steps), NewLibrary(16, 12, Steps), NewLibrary(16, 13, 1)} {
		if other.Name == a.Name {
			t.Error("two libraries of one name")
		}
	}
	if strings.Contains(a.Code, "$") && strings.Contains(a.Code, "$prefix") {
		t.Error("a placeholder is left")
	}
}

// Each replica reads a script at some microseconds for each byte.
func TestLargeSource(t *testing.T) {
	l := NewLibrary(16, 13, Steps)
	code := append([]byte("#!lua name=a\n--"), bytes.Repeat([]byte("x"), maxSource)...)
	for name, args := range map[string][]string{
		"eval": {"EVAL", "CODE", "0"}, "eval_ro": {"EVAL_RO", "CODE", "0"}, "script|load": {"SCRIPT", "LOAD", "CODE"},
		"function|load": {"FUNCTION", "LOAD", "REPLACE", "CODE"}, "function|restore": {"FUNCTION", "RESTORE", "DUMP"},
	} {
		build := func(code []byte) (errText string) {
			var words [][]byte
			for _, arg := range args {
				switch arg {
				case "CODE":
					words = append(words, code)
				case "DUMP":
					words = append(words, appendDump(nil, [][]byte{code}))
				default:
					words = append(words, []byte(arg))
				}
			}
			_, errText = l.Build(name, words, Caller{})
			return errText
		}
		if errText := build(code[:maxSource]); errText != "" {
			t.Errorf("%s: %s", name, errText)
		}
		if errText := build(code); !strings.Contains(errText, "is too large, the limit is 1048576") {
			t.Errorf("%s: %q", name, errText)
		}
	}
}

func TestReplyMalformed(t *testing.T) {
	c := &Call{reply: replyList}
	for _, raw := range []string{"", "*1\r\n", "*1\r\n*3\r\n$1\r\na\r\n", "$5\r\nab\r\n", "*99999999999\r\n", "+OK\r\n", "*1\r\n*0\r\n", "*0\r\nx"} {
		if out, err := c.Reply(nil, []byte(raw), false); err == nil {
			t.Errorf("%q: %q", raw, out)
		}
	}
}

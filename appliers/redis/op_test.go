package redis

import (
	"bytes"
	"math"
	"strings"
	"testing"
)

func TestOpRoundTrip(t *testing.T) {
	items := []Item{
		{DB: 0, Cmd: command("GET", "k")}, {DB: 15, Flags: ItemDeadline, Cmd: command("SET", "", strings.Repeat("x", 300))},
		{DB: math.MaxInt32, Flags: allItemFlags, Cmd: []byte{}},
	}
	data := AppendOp([]byte{}, items...)
	got, err := DecodeOp(data, make([]Item, 5))
	if err != nil || len(got) != len(items) {
		t.Fatalf("%v %v", got, err)
	}
	for i := range items {
		if got[i].DB != items[i].DB || got[i].Flags != items[i].Flags || !bytes.Equal(got[i].Cmd, items[i].Cmd) {
			t.Errorf("item %d: %v", i, got[i])
		}
	}
	for n := range data {
		if _, err := DecodeOp(data[:n], nil); err == nil {
			t.Errorf("cut to %d bytes: no error", n)
		}
	}
	if _, err := DecodeOp(append(data, 0), nil); err == nil {
		t.Error("a byte too many: no error")
	}
	for _, bad := range []string{"\x02\x00", "\x01\x01\x00\x80\x00", "\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "\x01\x01\xff\xff\xff\xff\xff\x01\x00\x00"} {
		if _, err := DecodeOp([]byte(bad), nil); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

// What a newer version has put into the log is refused with the way out.
func TestNewerOpsAreRefused(t *testing.T) {
	op := AppendOp(nil, Item{Cmd: AppendCommand(nil, []byte("PING"))})
	for at, problem := range map[int]string{0: "has version 255: ", 3: "has flags 0xff: "} {
		newer := append([]byte(nil), op...)
		newer[at] = 255
		_, err := DecodeOp(newer, nil)
		if err == nil || !strings.Contains(err.Error(), problem+"it was written by a newer version") || !strings.HasSuffix(err.Error(), "start the newer one again, or replace this node") {
			t.Errorf("%v", err)
		}
	}
}

func TestParseCommand(t *testing.T) {
	args, err := ParseCommand(AppendCommand(nil, []byte("SET"), []byte(""), []byte("a\r\nb")), nil)
	if err != nil || len(args) != 3 || string(args[2]) != "a\r\nb" || len(args[1]) != 0 {
		t.Errorf("%q %v", args, err)
	}
	for _, bad := range []string{
		"", "*", "*1", "*1\r", "*1\r\n", "*0\r\n", "*-1\r\n", "*1\r\n$-1\r\n", "*1\r\n$1\r\nab\r\n", "*1\r\n$1\r\na\r\n ", "*2\r\n$1\r\na\r\n",
		"*1\r\n$9999999999\r\na\r\n", "*1\r\n+a\r\n", "PING\r\n", "*1\n$1\na\n", "*1\r\n$1\r\na\r", "*+1\r\n$1\r\na\r\n", "*99999999999999999999\r\n",
	} {
		if args, err := ParseCommand([]byte(bad), nil); err == nil {
			t.Errorf("%q: %q", bad, args)
		}
		if _, err := checkCommand([]byte(bad)); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

func FuzzDecodeOp(f *testing.F) {
	f.Add(AppendOp(nil, Item{DB: 3, Flags: ItemDeadline, Cmd: command("SET", "k", "v", "PXAT", "2094967296000")}))
	f.Add(AppendOp(nil, ExpireItem(5, 0, []string{"a", "b"}), Item{Cmd: command("SWAPDB", "0", "1")}))
	f.Fuzz(func(t *testing.T, data []byte) {
		items, err := DecodeOp(data, nil)
		if err != nil {
			return
		}
		d := newDeadlines()
		for _, it := range items {
			args, err := ParseCommand(it.Cmd, nil)
			name, err2 := checkCommand(it.Cmd)
			if (err == nil) != (err2 == nil) || (err == nil && !bytes.Equal(name, args[0])) {
				t.Fatalf("%q: %v, %v", it.Cmd, err, err2)
			}
			if err != nil {
				continue
			}
			if again := AppendCommand(nil, args...); len(again) > len(it.Cmd) {
				t.Fatalf("%q became %q", it.Cmd, again)
			}
			d.command(it.DB, args, outcomeDone)
			d.command(it.DB, args, outcomeUnknown)
			_ = d.expired(it.DB, args, it.Cmd)
		}
		if got, err := DecodeOp(AppendOp(nil, items...), nil); err != nil || len(got) != len(items) {
			t.Fatal(err)
		}
	})
}

func FuzzReplyReader(f *testing.F) {
	f.Add([]byte("*3\r\n:1\r\n$3\r\nabc\r\n*-1\r\n+OK\r\n-ERR x\r\n$-1\r\n"))
	f.Add([]byte("*2\r\n%1\r\n+a\r\n_\r\n=5\r\ntxt:a\r\n|1\r\n+a\r\n,1\r\n~1\r\n#t\r\n>1\r\n(1\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		keep := newReplyReader(bytes.NewReader(data), 16)
		skip := newReplyReader(bytes.NewReader(data), 16)
		at := 0
		for {
			raw, kept, err := keep.keep(nil, len(data))
			skipErr := skip.skip()
			if (err == nil) != (skipErr == nil) {
				t.Fatalf("keep %v, skip %v", err, skipErr)
			}
			if err != nil {
				return
			}
			if !kept || !bytes.HasPrefix(data[at:], raw) || len(raw) == 0 {
				t.Fatalf("%q is not at %d of %q", raw, at, data)
			}
			at += len(raw)
		}
	})
}

package redis

import (
	"fmt"
	"strings"
	"testing"
)

var frameCases = []struct{ in, kind, first string }{
	{"+OK\r\n", "+", ""},
	{"-ERR no\r\n", "-", ""},
	{":12\r\n", ":", ""},
	{"$-1\r\n", "$", ""},
	{"*-1\r\n", "*", ""},
	{"*0\r\n", "*", ""},
	{"_\r\n", "_", ""},
	{"*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n", "*", "subscribe"},
	{"*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n", "*", "unsubscribe"},
	{">3\r\n$11\r\nunsubscribe\r\n_\r\n:0\r\n", ">", "unsubscribe"},
	{"*3\r\n$7\r\nmessage\r\n$9\r\nsubscribe\r\n$6\r\n:7\r\n\r\n\r\n", "*", "message"},
	{"*2\r\n$4\r\npong\r\n$0\r\n\r\n", "*", "pong"},
	{">2\r\n$10\r\ninvalidate\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n", ">", "invalidate"},
	{"%2\r\n+a\r\n:1\r\n$1\r\nb\r\n*1\r\n#t\r\n", "%", ""},
	{"|1\r\n+a\r\n:1\r\n~2\r\n,1.5\r\n(12345678901234567890\r\n", "|", ""},
	{"=6\r\ntxt:ab\r\n", "=", ""},
	{"*2\r\n$20\r\n01234567890123456789\r\n$3\r\nabc\r\n", "*", ""},
	{"-" + strings.Repeat("x", 100) + "\r\n", "-", ""},
}

// However the bytes are cut, each reply ends where it ends.
func TestFramesInPieces(t *testing.T) {
	var all strings.Builder
	for _, c := range frameCases {
		all.WriteString(c.in)
	}
	for size := 1; size < 40; size++ {
		var f frames
		at, from := 0, 0
		for rest := all.String(); rest != ""; {
			piece := []byte(rest[:min(size, len(rest))])
			n, ended, err := f.next(piece)
			if err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
			from += n
			if !ended {
				continue
			}
			c := frameCases[at]
			if from != len(c.in) || string(f.kind) != c.kind || string(f.first) != c.first || f.inside() {
				t.Errorf("pieces of %d: %q ends after %d bytes as %c %q", size, c.in, from, f.kind, f.first)
			}
			if strings.HasSuffix(c.first, "subscribe") && fmt.Sprintf(":%d\r\n", f.number) != c.in[len(c.in)-4:] {
				t.Errorf("%q has the number %d", c.in, f.number)
			}
			at, from = at+1, 0
		}
		if at != len(frameCases) {
			t.Fatalf("pieces of %d: %d replies of %d", size, at, len(frameCases))
		}
	}
}

func TestFramesRefuseNoise(t *testing.T) {
	for _, in := range []string{"\r\n", "x\r\n", "$a\r\n", "*1\r\n\n", "$99999999999\r\n"} {
		var f frames
		var err error
		for b := []byte(in); len(b) > 0 && err == nil; {
			var n int
			n, _, err = f.next(b)
			b = b[n:]
		}
		if err == nil {
			t.Errorf("%q passes", in)
		}
	}
}

// FuzzFrames: what a reply is does not depend on how it was cut.
func FuzzFrames(f *testing.F) {
	for _, c := range frameCases {
		f.Add([]byte(c.in+c.in), 3)
	}
	f.Fuzz(func(t *testing.T, in []byte, size int) {
		if size < 1 {
			t.Skip()
		}
		ends := func(size int) (ends []int, bad bool) {
			var s frames
			for at := 0; at < len(in); {
				n, ended, err := s.next(in[at:min(at+size, len(in))])
				if err != nil {
					return ends, true
				}
				if at += n; ended {
					ends = append(ends, at)
				}
			}
			return ends, false
		}
		whole, badWhole := ends(len(in) + 1)
		pieces, badPieces := ends(min(size, 1<<16))
		if fmt.Sprint(whole, badWhole) != fmt.Sprint(pieces, badPieces) {
			t.Errorf("whole %v %v, in pieces of %d %v %v", whole, badWhole, size, pieces, badPieces)
		}
	})
}

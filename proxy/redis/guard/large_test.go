package guard

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"pgregory.net/rapid"
)

// Requests that are set aside arrive whole and at their place, each in a Read of its own, and are left alone afterwards.
func TestSetAside(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var in []byte
		var want [][]byte
		for range rapid.IntRange(1, 8).Draw(t, "commands") {
			args := [][]byte{[]byte("c"), rapid.SliceOfN(rapid.Byte(), 0, 12).Draw(t, "arg")}
			if rapid.Bool().Draw(t, "large") {
				args = append(args, bytes.Repeat([]byte("0123\r\n$"), rapid.IntRange(4000, 30_000).Draw(t, "size")))
			}
			frame := appendFrame(nil, args)
			in = append(in, frame...)
			want = append(want, frame)
			if rapid.IntRange(0, 4).Draw(t, "inline") == 0 {
				word := bytes.Repeat([]byte("w"), rapid.IntRange(1, 60_000).Draw(t, "word"))
				in = append(append(append(in, "echo "...), word...), '\n')
				want = append(want, appendFrame(nil, [][]byte{[]byte("echo"), word}))
			}
		}
		var pieces [][]byte
		for rest := in; len(rest) > 0; {
			n := min(len(rest), rapid.IntRange(1, 90_000).Draw(t, "piece"))
			pieces, rest = append(pieces, bytes.Clone(rest[:n])), rest[n:]
		}
		c := guardOn(&scriptConn{pieces: pieces}, DefaultLimits())
		c.SetAside()
		var got [][]byte
		buf := make([]byte, rapid.IntRange(len(standIn), 9000).Draw(t, "p"))
		for {
			n, err := c.Read(buf)
			frame := c.TakeLarge()
			switch {
			case frame != nil && string(buf[:n]) != standIn:
				t.Fatalf("handed on %.100q with a request aside", buf[:n])
			case frame != nil:
				got = append(got, frame)
			case n > 0:
				got = append(got, bytes.Clone(buf[:n]))
			}
			if err != nil {
				if !errors.Is(err, io.EOF) {
					t.Fatal(err)
				}
				break
			}
		}
		if !bytes.Equal(bytes.Join(got, nil), bytes.Join(want, nil)) {
			t.Fatalf("%d requests came out changed", len(want))
		}
	})
}

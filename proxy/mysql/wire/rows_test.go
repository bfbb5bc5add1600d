package wire

import (
	"bytes"
	"errors"
	"net"
	"testing"

	"pgregory.net/rapid"
)

// pieces is a connection on which bytes come in pieces of given sizes, and which keeps what is written.
type pieces struct {
	net.Conn
	said    []byte
	sizes   []int
	written bytes.Buffer
}

func (c *pieces) Read(p []byte) (int, error) {
	n := len(c.said)
	if len(c.sizes) > 0 {
		n, c.sizes = min(n, c.sizes[0]), c.sizes[1:]
	}
	n = copy(p, c.said[:n])
	c.said = c.said[n:]
	return n, nil
}

func (c *pieces) Write(p []byte) (int, error) { return c.written.Write(p) }

// Rows that are passed on together, as they happen to arrive, are what they are one by one, numbers and marks included.
func TestPassRows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		deprecateEOF := rapid.Bool().Draw(t, "deprecateEOF")
		first := rapid.Byte().Draw(t, "number of the first")
		from := NewConn(&pieces{}, 1<<20)
		from.Hold, from.Seq = true, first
		for range rapid.IntRange(0, 300).Draw(t, "rows") {
			row := bytes.Repeat([]byte{'r'}, rapid.IntRange(0, 700).Draw(t, "size"))
			if len(row) > 0 {
				row[0] = rapid.SampledFrom([]byte{0, 3, 0xfb, 0xfc, 0xfd}).Draw(t, "begins with")
			}
			check(t, from.WritePacket(row))
		}
		end := rapid.SampledFrom([][]byte{{HeaderEOF, 0, 0, 2, 0}, {HeaderError, 1, 2, '#', '4', '2', '0', '0', '0', 'x'}}).Draw(t, "end")
		check(t, from.WritePacket(end))
		check(t, from.WritePacket([]byte("of another response")))

		relay := func(pass func(server, client *Conn) error) (client *Conn, written []byte) {
			sizes := rapid.SliceOfN(rapid.IntRange(1, 5000), 0, 40).Draw(t, "pieces")
			to := &pieces{}
			server, client := NewConn(&pieces{said: from.out, sizes: sizes}, 1<<20), NewConn(to, 1<<20)
			client.Seq = 77
			for {
				check(t, pass(server, client))
				p, err := server.ReadPacket()
				check(t, err)
				check(t, client.WritePacket(p))
				if len(p) > 0 && p[0] == HeaderError || IsEnd(p, deprecateEOF) {
					break
				}
			}
			last := client.LastPacket()
			if got := client.out[last.at+headerSize:]; !bytes.Equal(got, end) || client.out[last.at+3] != last.seq {
				t.Fatalf("the last packet is %q with number %d", got, last.seq)
			}
			check(t, client.Flush())
			return client, to.written.Bytes()
		}
		alone, want := relay(func(_, _ *Conn) error { return nil })
		together, got := relay(func(server, client *Conn) error { return server.PassRows(client, deprecateEOF) })
		if !bytes.Equal(got, want) || alone.Seq != together.Seq {
			t.Fatalf("%d bytes up to number %d, one by one %d up to %d", len(got), together.Seq, len(want), alone.Seq)
		}
	})
}

// Rows may be the last that is written: their mark is where the last one begins.
func TestPassRowsMarksTheLast(t *testing.T) {
	for _, seq := range []byte{1, 200} {
		server, client := NewConn(&pieces{said: []byte("\x02\x00\x00\x01ab\x01\x00\x00\x02c\x01\x00\x00\x03d")}, 100), NewConn(&pieces{}, 100)
		if _, err := server.ReadPacket(); err != nil {
			t.Fatal(err)
		}
		client.Seq = seq
		if err := server.PassRows(client, true); err != nil {
			t.Fatal(err)
		}
		if want := []byte{1, 0, 0, seq, 'c', 1, 0, 0, seq + 1, 'd'}; !bytes.Equal(client.out, want) {
			t.Errorf("got %q, want %q", client.out, want)
		}
		client.Rewind(client.LastPacket())
		if client.Seq != seq+1 || len(client.out) != 5 {
			t.Errorf("without the last one: number %d is next behind %d bytes", client.Seq, len(client.out))
		}
	}
}

// What went ahead is answered before what was sent with it.
func TestQueryAhead(t *testing.T) {
	var taken []byte
	to := &pieces{said: []byte("\x01\x00\x00\x01a\x01\x00\x00\x01b\x01\x00\x00\x02c")}
	c := NewConn(to, 100)
	refusal := errors.New("no")
	for _, want := range []error{nil, refusal} {
		check := func(p []byte) error { taken = append(taken, p...); return want }
		if err := c.CommandAhead(Query("first"), check); err != nil {
			t.Fatal(err)
		}
		if to.written.Len() > 0 {
			t.Errorf("%q is written before there is anything else", to.written.Bytes())
		}
		if c.CommandAhead(Query("second"), check) == nil {
			t.Error("two go ahead")
		}
		if err := errors.Join(c.Query("x"), c.Flush()); err != nil {
			t.Fatal(err)
		}
		if got, want := to.written.String(), "\x06\x00\x00\x00\x03first\x02\x00\x00\x00\x03x"; got != want {
			t.Errorf("written is %q, want %q", got, want)
		}
		to.written.Reset()
		got, err := c.ReadPacket()
		if !errors.Is(err, want) || want == nil && string(got) != "b" {
			t.Errorf("got %q, %v, want the answer to what was sent, %v", got, err, want)
		}
	}
	if string(taken) != "ac" {
		t.Errorf("%q was taken", taken)
	}
}

func check(t interface {
	Helper()
	Fatal(...any)
}, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

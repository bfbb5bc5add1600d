package wire

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
)

const (
	// MaxPayload of one packet; what is longer goes in several.
	MaxPayload = 1<<24 - 1
	headerSize = 4
	// flushAt is how much is collected before it is written without being asked to.
	flushAt    = 64 << 10
	readBuffer = 32 << 10
	// keepBuffer is how much room for packets an idle connection may hold on to.
	keepBuffer = 1 << 20
)

// ErrTooLong means that a command or a row is longer than Conn.Limit.
var ErrTooLong = errors.New("packet is too long")

// Conn reads and writes packets. What is written is collected; see Flush. It is for one goroutine.
type Conn struct {
	net.Conn
	// Seq is the number of the next packet to be written.
	Seq byte
	// Limit of one payload in bytes.
	Limit int
	// Hold keeps what is collected from being written before Flush.
	Hold bool
	// BeforeFlush is asked, once, before anything of what was collected is written. Its error is Flush's.
	BeforeFlush func() error

	ahead func(p []byte) error // takes the answer that is to be read first; nil where none is

	raw     net.Conn        // below TLS
	control syscall.RawConn // of raw; nil before the first Await
	awaits  int             // bytes for which the next read waits, where more than one
	in      *bufio.Reader
	buf     []byte
	out     []byte
	last    Mark
}

// NewConn returns a Conn over c, which it owns.
func NewConn(c net.Conn, limit int) *Conn {
	conn := &Conn{Conn: c, Limit: limit, raw: c}
	conn.in = bufio.NewReaderSize((*source)(conn), readBuffer)
	return conn
}

// source is what a Conn reads from before it goes over to anything else.
type source Conn

func (s *source) Read(p []byte) (int, error) {
	n, err := s.raw.Read(p)
	if s.awaits > 1 {
		(*Conn)(s).least(1) // what was awaited may have come in part
	}
	return n, err
}

// Reader returns what is to be read next, packets or not.
func (c *Conn) Reader() io.Reader { return c.in }

// Close closes the connection at once: the farewell of TLS would wait for an end that does not read.
func (c *Conn) Close() error { return c.raw.Close() }

// ReadPacket returns the payload of the next packet, joined where it came in several. It is valid until the next call.
func (c *Conn) ReadPacket() ([]byte, error) {
	if take := c.ahead; take != nil {
		c.ahead = nil
		p, err := c.readPacket()
		if err != nil {
			return nil, err
		}
		if err := take(p); err != nil {
			return nil, err
		}
	}
	return c.readPacket()
}

func (c *Conn) readPacket() ([]byte, error) {
	if c.buf = c.buf[:0]; cap(c.buf) > keepBuffer {
		c.buf = nil // or one large packet would cost its room for as long as the connection lasts
	}
	for {
		header, err := c.in.Peek(headerSize)
		if err != nil {
			if errors.Is(err, io.EOF) && len(header) > 0 {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
		size := payloadSize(header)
		c.Seq = header[3] + 1
		if _, err := c.in.Discard(headerSize); err != nil {
			return nil, err
		}
		if len(c.buf)+size > c.Limit {
			return nil, fmt.Errorf("%w: more than %d bytes", ErrTooLong, c.Limit)
		}
		if err := c.fill(size); err != nil {
			return nil, err
		}
		if size < MaxPayload {
			return c.buf, nil
		}
	}
}

func payloadSize(header []byte) int { return int(header[0]) | int(header[1])<<8 | int(header[2])<<16 }

// fill appends size bytes to buf, which grows with what arrives: a length may lie.
func (c *Conn) fill(size int) error {
	for size > 0 {
		n := min(size, 1<<20)
		at := len(c.buf)
		if cap(c.buf)-at < n {
			grown := make([]byte, at, max(at+n, 2*cap(c.buf)))
			copy(grown, c.buf)
			c.buf = grown
		}
		c.buf = c.buf[:at+n]
		if _, err := io.ReadFull(c.in, c.buf[at:]); err != nil {
			return err
		}
		size -= n
	}
	return nil
}

// WritePacket collects a packet, in several where it is too long for one.
func (c *Conn) WritePacket(payload []byte) error {
	c.last = c.Mark()
	for {
		n := min(len(payload), MaxPayload)
		c.out = append(c.out, byte(n), byte(n>>8), byte(n>>16), c.Seq)
		c.Seq++
		c.out = append(c.out, payload[:n]...)
		payload = payload[n:]
		if n < MaxPayload {
			break
		}
	}
	if len(c.out) >= flushAt && !c.Hold {
		return c.Flush()
	}
	return nil
}

// Command collects the first packet of a command.
func (c *Conn) Command(payload []byte) error {
	c.Seq = 0
	return c.WritePacket(payload)
}

// Query collects a statement of this node's own.
func (c *Conn) Query(text string) error { return c.Command(Query(text)) }

// Query is the command that executes text.
func Query(text string) []byte {
	payload := make([]byte, 0, len(text)+1)
	payload = append(payload, ComQuery)
	return append(payload, text...)
}

// CommandAhead collects a command of this node's own that goes with whatever is sent next. Its answer, of one packet, is given to take
// before the next packet is read, whose reader gets the error that take returns.
func (c *Conn) CommandAhead(payload []byte, take func(p []byte) error) error {
	if c.ahead != nil {
		return errors.New("a statement that goes ahead of another one is behind one already")
	}
	c.ahead = take
	return c.Command(payload)
}

// Mark is a place in what was collected.
type Mark struct {
	at  int
	seq byte
}

// Mark returns the present place. It stays good for as long as nothing is flushed.
func (c *Conn) Mark() Mark { return Mark{len(c.out), c.Seq} }

// LastPacket returns the place before the packet that was collected last.
func (c *Conn) LastPacket() Mark { return c.last }

// Rewind forgets what was collected after m.
func (c *Conn) Rewind(m Mark) { c.out, c.Seq = c.out[:min(m.at, len(c.out))], m.seq }

// Flush writes what was collected.
func (c *Conn) Flush() error {
	if len(c.out) == 0 {
		return nil
	}
	if ask := c.BeforeFlush; ask != nil {
		c.BeforeFlush = nil
		if err := ask(); err != nil {
			return err
		}
	}
	_, err := c.Write(c.out)
	c.out = c.out[:0]
	if cap(c.out) > 4*flushAt {
		c.out = nil
	}
	return err
}

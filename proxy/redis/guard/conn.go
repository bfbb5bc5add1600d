package guard

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// maxEmptyReads is how often the inner connection may return nothing and no
// error before it is given up, as in bufio.
const maxEmptyReads = 100

const (
	// After a protocol error the rest of what the client sends is read and
	// thrown away, within these bounds: closing a socket with unread bytes
	// makes the kernel send a reset that can overtake the error reply.
	lingerTime  = 200 * time.Millisecond
	lingerBytes = 1 << 20
)

// Conn is a client connection whose Read yields only complete requests.
// It is made by Listener.Accept.
type Conn struct {
	inner   net.Conn
	stamper stamper // inner, or what it reads from; nil if nobody tells when bytes have arrived
	ln      *Listener
	id      uint64
	opened  time.Time

	unauthenticated atomic.Bool
	closed          atomic.Bool

	// Owned by the reading goroutine.
	in      buffer
	parser  parser
	out     []byte  // complete request being handed on; aliases in or encoded
	encoded []byte  // inline command as multibulk, reused
	fat     bool    // out is large enough for redcon's buffer to matter
	ballast ballast // what makes redcon let go of that buffer
	aside   bool    // large requests are handed on by TakeLarge
	large   []byte  // the one for TakeLarge
	ahead   []byte  // read by a watcher, before anything the socket has
	readErr error   // the inner connection's last word
	fail    error   // no further request is handed on, and why
	reply   string  // goes out before fail is returned

	writeMu sync.Mutex
	sizes   sizes

	deadlineMu    sync.Mutex
	readDeadline  time.Time
	writeDeadline time.Time
	armed         time.Time // the progress deadline that is set, if no other is
	watching      bool
}

func newConn(inner net.Conn, ln *Listener, id uint64) *Conn {
	c := &Conn{
		ln:     ln,
		id:     id,
		opened: time.Now(),
		parser: newParser(&ln.limits),
	}
	c.inner, c.stamper = stamped(inner)
	return c
}

// ID returns a number that no other connection of the listener has had.
func (c *Conn) ID() uint64 { return c.id }

// Opened returns when the connection was accepted.
func (c *Conn) Opened() time.Time { return c.opened }

// Closed reports whether Close was called: CLIENT KILL, a slow client.
func (c *Conn) Closed() bool { return c.closed.Load() }

// LocalAddr returns the local address.
func (c *Conn) LocalAddr() net.Addr { return c.inner.LocalAddr() }

// RemoteAddr returns the client's address.
func (c *Conn) RemoteAddr() net.Addr { return c.inner.RemoteAddr() }

// SetAuthenticated says whether the client has authenticated; a new connection
// counts as authenticated. While it has not, the Unauth limits apply and Read
// hands on one request at a time: what stands behind an AUTH in the same packet
// is judged only after AUTH was run, as in Redis.
func (c *Conn) SetAuthenticated(yes bool) { c.unauthenticated.Store(!yes) }

// Close closes the connection. Only the first call has an effect.
func (c *Conn) Close() error {
	if c.closed.Swap(true) {
		return nil
	}
	c.ln.live.Add(-1)
	return c.inner.Close()
}

// Read hands on as many complete requests as fit in p, and cuts one only if it
// is the first and larger than p; the rest of it follows at once in the next
// calls. Inline commands become multibulk, requests without arguments vanish.
//
// After a request that is not valid, Read hands on those before it. Only when
// the caller comes back, and so has answered them, it writes the error reply,
// closes the connection and returns an error that wraps ErrProtocol. POST and
// Host: close without a reply (ErrCrossProtocol). Nothing behind QUIT is handed
// on: the next Read closes and returns io.EOF.
func (c *Conn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if c.closed.Load() {
		// What has arrived is not run any more: CLIENT KILL, a slow client.
		if c.fail != nil {
			return 0, c.fail
		}
		return 0, net.ErrClosed
	}
	if n := c.ballast.fill(p); n > 0 {
		return n, nil
	}
	for {
		if n := c.takeFrames(p); n > 0 {
			return n, nil
		}
		if c.fail != nil {
			return 0, c.finish()
		}
		c.sizes.note(len(c.in.data)+cap(c.ahead), len(c.in.unread())+len(c.ahead))
		if err := c.fill(); err != nil {
			return 0, err
		}
	}
}

// takeFrames copies complete requests to p and returns their size.
func (c *Conn) takeFrames(p []byte) int {
	n := 0
	for n < len(p) {
		if len(c.out) == 0 && !c.parse() {
			break
		}
		if n > 0 && (len(c.out) > len(p)-n || c.fat && c.aside) {
			break
		}
		if c.fat && c.aside && len(p) >= len(standIn) {
			c.setAside()
			return copy(p, standIn)
		}
		m := copy(p[n:], c.out)
		n += m
		if m < len(c.out) {
			c.out = c.out[m:]
			break
		}
		// Let go now, not at the next read: the handler may run for long.
		c.out = nil
		c.in.trim()
		if cap(c.encoded) > keepBuffer {
			c.encoded = nil
		}
		if c.fat {
			c.fat = false
			c.ballast.load()
			break
		}
		if c.unauthenticated.Load() {
			break
		}
	}
	return n
}

// parse sets out to the next complete request. It reports false when there is
// none yet, or there will be none (fail).
func (c *Conn) parse() bool {
	for c.fail == nil {
		b := c.in.unread()
		v, n := c.parser.next(b, !c.unauthenticated.Load())
		switch v {
		case needMore:
			return false
		case broken:
			c.refuse(c.parser.problem)
			return false
		case frame:
			c.in.take(n)
			if !c.admit(b[c.parser.nameFrom:c.parser.nameTo]) {
				return false
			}
			c.out = b[:n]
		case line:
			c.in.take(n)
			if !c.parseInline(b[:n-1]) {
				continue
			}
			c.out = c.encoded
		case blank:
			c.in.take(n)
			continue
		}
		c.fat = len(c.out) > fatFrame
		return true
	}
	return false
}

// parseInline encodes an inline command. It reports false if there is nothing
// to hand on.
func (c *Conn) parseInline(s []byte) bool {
	if len(s) > 0 && s[len(s)-1] == '\r' {
		s = s[:len(s)-1]
	}
	args, ok := splitArgs(s)
	if !ok {
		c.refuse(problemQuotes)
		return false
	}
	if len(args) > c.ln.limits.MaxArgs {
		c.refuse(problemMultibulk)
		return false
	}
	if len(args) == 0 || !c.admit(args[0]) {
		return false
	}
	c.encoded = appendFrame(c.encoded[:0], args)
	return true
}

// admit looks at a command's name. It reports false if the command must not be
// run, and lets none behind it be run if it ends the connection.
func (c *Conn) admit(name []byte) bool {
	switch len(name) {
	case 4, 5: // the fast way out for nearly all commands
	default:
		if len(name) < 4 || name[4] != 0 && (len(name) < 6 || name[5] != 0) {
			return true
		}
	}
	if isCommand(name, "post") || isCommand(name, "host:") {
		c.fail = ErrCrossProtocol
		return false
	}
	if isCommand(name, "quit") {
		// redcon would run what follows in the same packet.
		c.fail = io.EOF
	}
	return true
}

// refuse ends the stream with a protocol error.
func (c *Conn) refuse(problem string) {
	c.fail = fmt.Errorf("%w: %s", ErrProtocol, problem)
	c.reply = "-ERR Protocol error: " + problem + "\r\n"
}

// finish closes a connection whose last request has been answered.
func (c *Conn) finish() error {
	c.in, c.ahead, c.encoded = buffer{}, nil, nil
	c.sizes.note(0, 0)
	if c.reply != "" {
		// The client may be gone; there is nobody to tell.
		if _, err := io.WriteString(c, c.reply); err == nil {
			c.linger()
		}
	}
	_ = c.Close()
	return c.fail
}

// linger tells the client that nothing more will come and drops what it sends.
func (c *Conn) linger() {
	half, ok := c.inner.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	if c.inner.SetReadDeadline(time.Now().Add(lingerTime)) != nil {
		return
	}
	scrap := make([]byte, minBuffer)
	for dropped := 0; dropped < lingerBytes; {
		n, err := c.inner.Read(scrap)
		if err != nil {
			return
		}
		dropped += max(n, 1)
	}
}

// fill adds at least one byte to the buffer.
func (c *Conn) fill() error {
	room := c.in.room(c.parser.need(len(c.in.unread())))
	if len(c.ahead) > 0 {
		n := copy(room, c.ahead)
		c.in.added(n)
		if c.ahead = c.ahead[n:]; len(c.ahead) == 0 {
			c.ahead = nil
		}
		return nil
	}
	for range maxEmptyReads {
		if c.readErr != nil {
			return c.readErr
		}
		n, err := c.inner.Read(room)
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			c.readErr = err
		}
		if n > 0 {
			c.in.added(n)
			return nil
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}

var _ net.Conn = (*Conn)(nil)

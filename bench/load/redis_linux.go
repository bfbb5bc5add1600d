package load

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// Redis drives the server at addr for d, waits for the last replies, and closes its connections.
//
// All is done in one thread that sleeps in epoll, as in redis-benchmark: with a goroutine for each connection, the load
// would take more of the machine than a redis-server does.
func Redis(ctx context.Context, addr string, s Spec, d time.Duration) (result *Result, err error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	e, err := newEngine(addr, s)
	if err != nil {
		return nil, fmt.Errorf("load on %s: %w", addr, err)
	}
	defer func() { err = errors.Join(err, e.close()) }()
	if err := e.drive(ctx, d, e.draw); err != nil {
		return nil, fmt.Errorf("load on %s: %w", addr, err)
	}
	return &e.result, nil
}

// fillLimit is how long filling may take.
const fillLimit = time.Minute

// FillRedis stores each key once.
func FillRedis(ctx context.Context, addr string, keys, size int) (err error) {
	s := Spec{Clients: min(8, keys), Pipeline: max(1, min(64, 1<<20/size)), Keys: keys, Size: size}
	if err := s.Validate(); err != nil {
		return err
	}
	e, err := newEngine(addr, s)
	if err != nil {
		return fmt.Errorf("fill %s: %w", addr, err)
	}
	defer func() { err = errors.Join(err, e.close()) }()
	next := 0
	each := func(dst []byte) ([]byte, int) {
		n := 0
		for ; n < s.Pipeline && next < keys; n++ {
			dst = e.requests.appendSet(dst, next)
			next++
		}
		return dst, n
	}
	if err := e.drive(ctx, fillLimit, each); err != nil {
		return fmt.Errorf("fill %s: %w", addr, err)
	}
	if e.result.Errors > 0 {
		return fmt.Errorf("fill %s: %s", addr, e.result.First)
	}
	if next < keys {
		return fmt.Errorf("fill %s: %d of %d keys in %v", addr, next, keys, fillLimit)
	}
	return nil
}

// engine has the connections of one load.
type engine struct {
	epoll    int
	spec     Spec
	choose   *Chooser
	requests *requests
	clients  []*client // by what epoll calls them
	busy     int       // clients that wait for replies
	in       []byte
	result   Result
}

// client is one connection.
type client struct {
	fd      int
	out     []byte // what was to be sent
	sent    int    // of it
	waiting int    // replies that are to come
	begin   time.Time
	replies replies
	full    bool // the socket takes no more for now
}

func newEngine(addr string, s Spec) (*engine, error) {
	at, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, err
	}
	if !at.Addr().Is4() {
		return nil, fmt.Errorf("%s is no IPv4 address", addr)
	}
	e := &engine{spec: s, choose: NewChooser(s), requests: newRequests(s.Size), in: make([]byte, 256<<10)}
	if e.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	for range s.Clients {
		if err := e.connect(at); err != nil {
			return nil, errors.Join(err, e.close())
		}
	}
	return e, nil
}

func (e *engine) connect(at netip.AddrPort) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	e.clients = append(e.clients, &client{fd: fd})
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()}); err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return err
	}
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return err
	}
	event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(len(e.clients) - 1)}
	return unix.EpollCtl(e.epoll, unix.EPOLL_CTL_ADD, fd, &event)
}

func (e *engine) close() error {
	errs := []error{unix.Close(e.epoll)}
	for _, c := range e.clients {
		errs = append(errs, unix.Close(c.fd))
	}
	return errors.Join(errs...)
}

// draw appends the next pipeline of commands of the load.
func (e *engine) draw(dst []byte) ([]byte, int) {
	for range e.spec.Pipeline {
		if e.choose.Read() {
			dst = e.requests.appendGet(dst, e.choose.Key())
		} else {
			dst = e.requests.appendSet(dst, e.choose.Key())
		}
	}
	return dst, e.spec.Pipeline
}

// drive has each client send what next gives it, and again when all is answered, until d has passed or next gives none.
func (e *engine) drive(ctx context.Context, d time.Duration, next func([]byte) ([]byte, int)) error {
	begin := time.Now()
	for i := range e.clients {
		if err := e.begin(i, begin, next); err != nil {
			return err
		}
	}
	events := make([]unix.EpollEvent, 256)
	for e.busy > 0 {
		n, err := unix.EpollWait(e.epoll, events, 100)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("epoll: %w", err)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		now := time.Now()
		if now.Sub(begin) > d+patience {
			return fmt.Errorf("%w to %d clients for %v", errNoReply, e.busy, patience)
		}
		for _, event := range events[:max(n, 0)] {
			if err := e.handle(event, now, now.Sub(begin) < d, next); err != nil {
				return err
			}
		}
	}
	e.result.Elapsed = time.Since(begin)
	for _, c := range e.clients {
		if c.replies.errors > 0 && e.result.Errors == 0 {
			e.result.First = c.replies.first
		}
		e.result.Errors += c.replies.errors
	}
	return nil
}

// begin sends the next commands of a client, as much as its socket takes.
func (e *engine) begin(i int, now time.Time, next func([]byte) ([]byte, int)) error {
	c := e.clients[i]
	c.out, c.waiting = next(c.out[:0])
	c.sent, c.begin = 0, now
	if c.waiting == 0 {
		return nil
	}
	e.busy++
	return e.send(i)
}

func (e *engine) send(i int) error {
	c := e.clients[i]
	for c.sent < len(c.out) {
		n, err := unix.Write(c.fd, c.out[c.sent:])
		if errors.Is(err, unix.EAGAIN) {
			return e.await(i, true)
		}
		if err != nil {
			return fmt.Errorf("send: %w", err)
		}
		c.sent += n
	}
	return e.await(i, false)
}

// await asks to be told when the socket takes more, or no longer.
func (e *engine) await(i int, full bool) error {
	c := e.clients[i]
	if c.full == full {
		return nil
	}
	c.full = full
	event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(i)}
	if full {
		event.Events |= unix.EPOLLOUT
	}
	return unix.EpollCtl(e.epoll, unix.EPOLL_CTL_MOD, c.fd, &event)
}

func (e *engine) handle(event unix.EpollEvent, now time.Time, more bool, next func([]byte) ([]byte, int)) error {
	i := int(event.Fd)
	c := e.clients[i]
	if event.Events&unix.EPOLLOUT != 0 {
		if err := e.send(i); err != nil {
			return err
		}
	}
	if event.Events&^unix.EPOLLOUT == 0 {
		return nil
	}
	n, err := unix.Read(c.fd, e.in)
	if errors.Is(err, unix.EAGAIN) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("receive: %w", err)
	}
	if n == 0 {
		return fmt.Errorf("the server closed the connection with %d replies to come", c.waiting)
	}
	ended, err := c.replies.feed(e.in[:n])
	if err != nil {
		return err
	}
	if ended > c.waiting {
		return fmt.Errorf("%d replies where %d were to come", ended, c.waiting)
	}
	c.waiting -= ended
	e.result.Ops += uint64(ended)
	e.result.Latency.Add(now.Sub(c.begin), uint64(ended))
	if c.waiting > 0 || ended == 0 {
		return nil
	}
	e.busy--
	if !more {
		return nil
	}
	return e.begin(i, time.Now(), next)
}

package guard

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	firstAcceptDelay = 5 * time.Millisecond
	lastAcceptDelay  = time.Second

	refuseReply   = "-ERR max number of clients reached\r\n"
	refuseTimeout = time.Second
	refuseAtOnce  = 16
)

// Listener accepts connections whose requests are checked before they are
// handed on.
type Listener struct {
	inner  net.Listener
	limits Limits

	live         atomic.Int64
	lastID       atomic.Uint64
	refused      atomic.Uint64
	acceptErrors atomic.Uint64

	refusing  chan struct{} // holds one token per refusal being written
	done      chan struct{}
	closeOnce sync.Once
	closeErr  error
}

// NewListener puts a guard in front of what inner accepts. The limits must be
// valid.
func NewListener(inner net.Listener, limits Limits) *Listener {
	keepStamping(inner)
	return &Listener{
		inner:    inner,
		limits:   limits,
		refusing: make(chan struct{}, refuseAtOnce),
		done:     make(chan struct{}),
	}
}

// Accept returns the next client, as a *Conn. Surplus clients are told so and
// closed. When the process or the machine is short of something, Accept waits
// and tries again. Any other error is returned after a pause, because redcon
// calls again at once whatever the error was.
func (l *Listener) Accept() (net.Conn, error) {
	delay := firstAcceptDelay
	for {
		inner, err := l.inner.Accept()
		if err == nil {
			if c := l.admit(inner); c != nil {
				return c, nil
			}
			delay = firstAcceptDelay
			continue
		}
		if errors.Is(err, net.ErrClosed) {
			return nil, err
		}
		l.acceptErrors.Add(1)
		if !shortage(err) {
			l.pause(lastAcceptDelay)
			return nil, fmt.Errorf("guard: accept: %w", err)
		}
		if !l.pause(delay) {
			return nil, fmt.Errorf("guard: accept: %w", net.ErrClosed)
		}
		delay = min(2*delay, lastAcceptDelay)
	}
}

// admit makes a Conn, or refuses and returns nil.
func (l *Listener) admit(inner net.Conn) *Conn {
	if l.live.Add(1) > int64(l.limits.MaxConns) {
		l.live.Add(-1)
		l.refused.Add(1)
		l.refuse(inner)
		return nil
	}
	return newConn(inner, l, l.lastID.Add(1))
}

// refuse tells a client that there is no room. Writing may take a TLS
// handshake, so it must not hold up Accept; in a flood most clients are closed
// without a word.
func (l *Listener) refuse(inner net.Conn) {
	select {
	case l.refusing <- struct{}{}:
	default:
		_ = inner.Close()
		return
	}
	go func() {
		defer func() { <-l.refusing }()
		defer func() { _ = inner.Close() }()
		if inner.SetDeadline(time.Now().Add(refuseTimeout)) != nil {
			return
		}
		_, _ = io.WriteString(inner, refuseReply)
	}()
}

// pause waits, and reports false if the listener was closed meanwhile.
func (l *Listener) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-l.done:
		return false
	}
}

// Close stops accepting. Connections live on.
func (l *Listener) Close() error {
	l.closeOnce.Do(func() {
		close(l.done)
		l.closeErr = l.inner.Close()
	})
	return l.closeErr
}

// Addr returns the address listened on.
func (l *Listener) Addr() net.Addr { return l.inner.Addr() }

// Conns returns the number of connections that are not closed.
func (l *Listener) Conns() int { return int(l.live.Load()) }

// Refused returns how many clients found no room.
func (l *Listener) Refused() uint64 { return l.refused.Load() }

// AcceptErrors returns how often the inner listener failed.
func (l *Listener) AcceptErrors() uint64 { return l.acceptErrors.Load() }

// shortage reports whether accepting may work again later.
func shortage(err error) bool {
	for _, e := range []syscall.Errno{
		syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM,
		syscall.ECONNABORTED, syscall.ECONNRESET, syscall.EINTR, syscall.EPERM,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

var _ net.Listener = (*Listener)(nil)

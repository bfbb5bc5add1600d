package redis

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// ErrNoSubscriber is wrapped by errors of Subscriber that say that there are as many as there may be.
var ErrNoSubscriber = errors.New("too many subscribers")

// reservedClients is how many clients of the backend Subscriber leaves room for. Without, subscribers could keep the
// connection that applies from being made again.
const reservedClients = 64

// Subscriber is a connection to the backend for one client that subscribes: what the backend sends on it is meant for
// that client, byte for byte. It ends when the backend closes it, and when the data of the backend is replaced: entries
// are applied again then, and would be heard twice.
//
// One goroutine may read while another writes. Close may be called by any.
type Subscriber struct {
	c   *conn
	set *subscribers
}

// subscribers are the connections that are open.
type subscribers struct {
	mu   sync.Mutex
	open map[*Subscriber]struct{}
	// making counts those that are being made; they have their place already.
	making int
	// era counts dropAll: a connection that was being made then is not used.
	era  int
	shut bool
}

// Subscriber makes a connection that speaks p. The errors are as with Read; see ErrNoSubscriber too.
func (b *Backend) Subscriber(ctx context.Context, p Protocol) (*Subscriber, error) {
	set := &b.subscribers
	era, err := set.reserve(b.cfg.MaxSubscribers)
	if err != nil {
		return nil, fmt.Errorf("connect for a subscriber: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(b.closing, cancel)()
	c, err := b.dialSubscriber(ctx, p)
	if err != nil {
		set.giveUp()
		return nil, fmt.Errorf("connect for a subscriber: %w", err)
	}
	return set.add(c, era)
}

func (b *Backend) dialSubscriber(ctx context.Context, p Protocol) (*conn, error) {
	c, err := b.dialRead(ctx, p, 0)
	if err != nil {
		return nil, err
	}
	err = prepareSubscriber(c)
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

func prepareSubscriber(c *conn) error {
	if s := &c.server; s.maxclients > 0 && s.clients+reservedClients > s.maxclients {
		return fmt.Errorf("%w: the backend has %d of %d clients", ErrNoSubscriber, s.clients, s.maxclients)
	}
	// From here on what is read is the client's, and its buffer the reader's own.
	c.r = nil
	return c.SetDeadline(time.Time{})
}

// reserve takes a place.
func (set *subscribers) reserve(limit int) (era int, err error) {
	set.mu.Lock()
	defer set.mu.Unlock()
	if set.shut {
		return 0, ErrClosed
	}
	if n := len(set.open) + set.making; n >= limit {
		return 0, fmt.Errorf("%w: this node has %d", ErrNoSubscriber, n)
	}
	set.making++
	return set.era, nil
}

func (set *subscribers) giveUp() {
	set.mu.Lock()
	defer set.mu.Unlock()
	set.making--
}

func (set *subscribers) add(c *conn, era int) (*Subscriber, error) {
	set.mu.Lock()
	defer set.mu.Unlock()
	set.making--
	if set.era != era {
		_ = c.Close()
		return nil, errDropped
	}
	s := &Subscriber{c: c, set: set}
	if set.open == nil {
		set.open = make(map[*Subscriber]struct{})
	}
	set.open[s] = struct{}{}
	return s, nil
}

// dropAll closes all connections, also those that are being made.
func (set *subscribers) dropAll() {
	set.mu.Lock()
	defer set.mu.Unlock()
	set.era++
	for s := range set.open {
		_ = s.c.Close()
	}
	clear(set.open)
}

// closeAll closes all connections for good. Who reads from them sees the end.
func (set *subscribers) closeAll() {
	set.mu.Lock()
	set.shut = true
	set.mu.Unlock()
	set.dropAll()
}

func (set *subscribers) count() int {
	set.mu.Lock()
	defer set.mu.Unlock()
	return len(set.open)
}

// Read waits for bytes as long as it takes.
func (s *Subscriber) Read(p []byte) (int, error) {
	if err := s.c.SetReadDeadline(time.Time{}); err != nil {
		return 0, err
	}
	return s.c.Conn.Read(p)
}

// ReadRest waits for bytes that must be on their way, for Config.ReplyTimeout.
func (s *Subscriber) ReadRest(p []byte) (int, error) { return s.c.Read(p) }

// Write sends a command.
func (s *Subscriber) Write(p []byte) (int, error) { return s.c.Write(p) }

// ID is what the backend's CLIENT ID says.
func (s *Subscriber) ID() int64 { return s.c.id }

// Close ends all subscriptions.
func (s *Subscriber) Close() error {
	s.set.mu.Lock()
	delete(s.set.open, s)
	s.set.mu.Unlock()
	return s.c.Close()
}

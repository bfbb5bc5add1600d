package redis

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
)

var errSubscriptionEnded = errors.New("the connection of a subscriber to the backend ended")

// subscription is the connection to the backend of a session that subscribes. A relay passes on what comes there, the
// replies to SUBSCRIBE and its kind as well as the messages, so that the client gets the backend's own bytes in the
// backend's own order.
type subscription struct {
	conn  SubscriberConn
	relay relay

	stopped atomic.Bool   // by the session itself
	wake    chan struct{} // gets a token when something below has changed
	done    chan struct{} // closed when the relay has ended

	mu       sync.Mutex
	answers  int // replies that have come
	refusals int // those of them that are errors
	count    subscriptionCount
}

// SubscriberConn is a connection to the backend for one client that subscribes: what it reads is for the client.
type SubscriberConn interface {
	io.ReadWriteCloser
	// ReadRest is Read for what must be on its way.
	ReadRest(p []byte) (int, error)
}

// subscriptionCount is what a client is subscribed to, as its replies say.
type subscriptionCount struct{ channels, patterns, shards int }

func (c subscriptionCount) none() bool { return c == subscriptionCount{} }

// newSubscription returns a subscription whose run is to be called.
func newSubscription(conn SubscriberConn, w io.Writer, sending *sync.Mutex, c *captured) *subscription {
	u := &subscription{conn: conn, wake: make(chan struct{}, 1), done: make(chan struct{})}
	u.relay = relay{from: conn, to: w, sending: sending, captured: c, heard: u.heard, buf: make([]byte, relayBuffer)}
	return u
}

// run relays until one of the connections ends.
func (u *subscription) run() error {
	defer close(u.done)
	for {
		if err := u.relay.step(); err != nil {
			return err
		}
	}
}

// heard takes in what a reply says. The relay holds the lock for sending then, so the session, which now goes on, cannot
// send anything before the reply.
func (u *subscription) heard(r subscriptionReply) {
	u.mu.Lock()
	u.answers++
	c := &u.count
	switch grown := int(r.number) - c.channels - c.patterns; r.name {
	case "subscribe", "unsubscribe":
		c.channels += grown
	case "psubscribe", "punsubscribe":
		c.patterns += grown
	case "ssubscribe", "sunsubscribe":
		c.shards = int(r.number)
	case "":
		u.refusals++
	}
	u.mu.Unlock()
	select {
	case u.wake <- struct{}{}:
	default:
	}
}

// ask sends a command and returns when its n replies have come, or an error in their place. They reach the client
// before what is sent after that.
func (u *subscription) ask(ctx context.Context, request []byte, n int) error {
	u.mu.Lock()
	answers, refusals := u.answers+n, u.refusals
	u.mu.Unlock()
	if _, err := u.conn.Write(request); err != nil {
		return fmt.Errorf("write to backend: %w", err)
	}
	for {
		u.mu.Lock()
		answered := u.answers >= answers || u.refusals > refusals
		u.mu.Unlock()
		if answered {
			return nil
		}
		select {
		case <-u.wake:
		case <-u.done:
			return errSubscriptionEnded
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// counts returns what the client is subscribed to. Any goroutine may call it; a nil subscription has none.
func (u *subscription) counts() subscriptionCount {
	if u == nil {
		return subscriptionCount{}
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.count
}

// stop ends all subscriptions. The relay ends soon after.
func (u *subscription) stop() {
	u.stopped.Store(true)
	_ = u.conn.Close()
}

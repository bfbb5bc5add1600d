package redis

import (
	"bytes"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	backend "github.com/nexus-replication/nexus/appliers/redis"
)

// trackingOptions are those of CLIENT TRACKING ON.
type trackingOptions struct {
	bcast, optin, optout, noloop bool
	prefixes                     []string // of bcast, one at least, sorted
	// redirect is the client that gets the messages; nil for the client itself.
	redirect *session
}

// tracked is a client that is told which of the keys that it has read have changed.
//
// A message must not come before a reply that it concerns: the client would forget the key first and keep the old value
// then. So nothing is sent while the session runs a batch, but for the time in which it waits.
type tracked struct {
	session *session

	// Of the session's goroutine: the next command, or the one that runs, is the one that CLIENT CACHING spoke of.
	caching, fresh bool

	// The session changes opts with tracker.mu held, and may look at it without. bcast is that of opts, which never changes.
	opts  trackingOptions
	bcast bool

	// With tracker.mu.
	keys    map[string]struct{} // what the table has of this client
	ownKeys bool                // a bcast client has read a key with a name that the bookkeeping has too
	wrote   []ownWrite          // of a noloop client

	brokenRedirect atomic.Bool

	wake chan struct{} // gets a token when there is something to send
	done chan struct{} // closed when the tracking is over

	mu      sync.Mutex
	held    bool
	replied bool // the replies to the batch that runs are on their way
	all     bool // all keys have to be forgotten, before those of pending
	named   bool // and before them those of read, by their names
	pending []invalidation
	bytes   int           // of what is pending
	read    []string      // what the last batch has read, or the one that runs
	size    int           // of that
	to      *session      // opts.redirect
	waits   chan struct{} // not nil while the client waits for its reply; closed when it has it
}

// invalidation is a message to come.
type invalidation struct {
	keys [][]byte
	// mine tells when it is sent, for a noloop client, which of the keys the client has changed itself.
	mine *runNames
	all  bool // in place of keys
}

// maxPendingBytes bounds what waits for a client. One that is further behind has to forget all.
const maxPendingBytes = 1 << 20

func newTracked(s *session, opts trackingOptions) *tracked {
	return &tracked{session: s, opts: opts, bcast: opts.bcast, to: opts.redirect, keys: make(map[string]struct{}), held: true,
		wake: make(chan struct{}, 1), done: make(chan struct{})}
}

// redirect returns the client that gets the messages in place of this one, or nil.
func (c *tracked) redirect() *session {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.to
}

// hold keeps what comes until release.
func (c *tracked) hold() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held, c.replied = true, false
	if !c.named {
		c.read, c.size = c.read[:0], 0
	}
	if c.waits != nil {
		close(c.waits)
		c.waits = nil
	}
}

// releaseWaiting is release for a client that waits.
func (c *tracked) releaseWaiting() {
	c.mu.Lock()
	if c.waits == nil {
		c.waits = make(chan struct{})
	}
	c.mu.Unlock()
	c.release()
}

// waitingPatience is how long a message to a client that waits is put off: what has woken the client, or its own command,
// may be what the message is about, and Redis sends the reply first.
const waitingPatience = 100 * time.Millisecond

// awaitReply returns when a client that waits has its reply, or soon.
func (c *tracked) awaitReply() {
	c.mu.Lock()
	waits := c.waits
	c.mu.Unlock()
	if waits == nil {
		return
	}
	timer := time.NewTimer(waitingPatience)
	defer timer.Stop()
	select {
	case <-waits:
	case <-timer.C:
	case <-c.done:
	}
}

// release lets what has come go to the client.
func (c *tracked) release() {
	c.mu.Lock()
	c.held = false
	waiting := c.all || len(c.pending) > 0
	c.mu.Unlock()
	if waiting {
		c.notify()
	}
}

func (c *tracked) notify() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// forget queues a message about keys.
func (c *tracked) forget(m invalidation) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, key := range m.keys {
		c.bytes += len(key) + trackingItemBytes
	}
	if c.bytes > maxPendingBytes {
		c.setAll()
	} else {
		c.pending = append(c.pending, m)
	}
	if !c.held {
		c.notify()
	}
}

// reads notes what is being read.
func (c *tracked) reads(keys [][]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, key := range keys {
		if c.size += len(key) + trackingItemBytes; c.size > maxPendingBytes {
			return
		}
		c.read = append(c.read, string(key))
	}
}

// forgetAll queues a message that all keys have to be forgotten. With lastRead, or if replies are on their way, those that were
// read last are named before it: there are clients that take a message about all keys for one about those that they have, and
// not for one about a value that arrives with it. Behind it a name would be one that they do not know any more.
func (c *tracked) forgetAll(lastRead bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.setAll()
	c.named = c.named || lastRead
	if !c.held {
		c.notify()
	}
}

func (c *tracked) setAll() {
	c.all, c.named, c.pending, c.bytes = true, c.named || c.held && !c.replied && c.to == nil, nil, 0
}

// take returns what may be sent now.
func (c *tracked) take() []invalidation {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held {
		return nil
	}
	return c.takeLocked()
}

func (c *tracked) takeLocked() []invalidation {
	messages := c.pending
	if c.all {
		messages = nil
		for i := 0; c.named && i < len(c.read); i++ {
			messages = append(messages, invalidation{keys: [][]byte{[]byte(c.read[i])}})
		}
		messages = append(append(messages, invalidation{all: true}), c.pending...)
	}
	c.pending, c.all, c.named, c.bytes = nil, false, false, 0
	return messages
}

// appendPending appends what waits for a client that gets its messages itself, to be sent together with the replies that
// they belong behind. What comes later is sent by itself.
func (c *tracked) appendPending(dst []byte) []byte {
	inline := len(dst) > 0 && !c.session.muted && c.session.protocol == backend.RESP3
	var messages []invalidation
	c.mu.Lock()
	c.replied = true
	if inline && c.to == nil {
		messages = c.takeLocked()
	}
	c.mu.Unlock()
	for _, m := range messages {
		if keys := c.keysOf(m); m.all || len(keys) > 0 {
			dst = appendInvalidated(appendBulk(append(dst, ">2\r\n"...), "invalidate"), keys, backend.RESP3)
		}
	}
	return dst
}

// keysOf returns the keys of a message that the client is to be told of.
func (c *tracked) keysOf(m invalidation) [][]byte {
	if m.mine == nil {
		return m.keys
	}
	return c.session.srv.tracker.others(c, m)
}

// push sends messages until the tracking is over.
func (c *tracked) push() {
	srv := c.session.srv
	defer srv.tasks.end()
	for {
		select {
		case <-c.wake:
		case <-c.done:
			return
		}
		c.awaitReply()
		for _, m := range c.take() {
			if keys := c.keysOf(m); m.all || len(keys) > 0 {
				c.send(keys)
			}
		}
	}
}

// send sends one message; nil keys are all keys. A client that does not read is closed by the guard.
func (c *tracked) send(keys [][]byte) {
	s := c.session
	to, redirected := s, false
	if other := c.redirect(); other != nil {
		to, redirected = other, true
		if !s.srv.connected(to) {
			c.brokenRedirect.Store(true)
			s.push(func() []byte {
				if s.shownProtocol() != backend.RESP3 {
					return nil
				}
				return appendInt(appendBulk([]byte(">2\r\n"), "tracking-redir-broken"), int64(to.conn.ID()))
			})
			return
		}
	}
	to.push(func() []byte {
		switch {
		case to.shownProtocol() == backend.RESP3:
			return appendInvalidated(appendBulk([]byte(">2\r\n"), "invalidate"), keys, s.shownProtocol())
		case redirected && to.clientType() == pubsubClient:
			message := appendBulk(appendBulk([]byte("*3\r\n"), "message"), trackingChannel)
			return appendInvalidated(message, keys, s.shownProtocol())
		}
		return nil
	})
}

// trackingChannel is the channel on which clients that speak RESP2 get the messages for others.
const trackingChannel = "__redis__:invalidate"

// appendInvalidated appends the keys of a message. Null has the form of the protocol of the client that is tracked.
func appendInvalidated(dst []byte, keys [][]byte, p backend.Protocol) []byte {
	switch {
	case keys == nil && p == backend.RESP3:
		return append(dst, "_\r\n"...)
	case keys == nil:
		return append(dst, "$-1\r\n"...)
	}
	dst = appendArray(dst, len(keys))
	for _, key := range keys {
		dst = appendBulk(dst, key)
	}
	return dst
}

// push sends a message to the client between two replies, which is made when nothing can come before it: the reply to RESET or
// HELLO, for instance, behind which the client would not understand it. CLIENT REPLY does not concern it.
func (s *session) push(message func() []byte) {
	s.sending.Lock()
	defer s.sending.Unlock()
	if m := message(); m != nil {
		_, _ = s.conn.Write(m) // the session notices by itself that the connection is gone
	}
}

// shownProtocol may be called by any goroutine.
func (s *session) shownProtocol() backend.Protocol {
	s.shown.Lock()
	defer s.shown.Unlock()
	return s.shown.protocol
}

// connected reports whether a session is one of a client that is there.
func (s *Server) connected(c *session) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.sessions[c]
	return ok && c.state.Load() != stateClosed
}

// wants reports whether keys that are read now are to be remembered.
func (c *tracked) wants() bool {
	switch {
	case c.opts.optin:
		return c.caching
	case c.opts.optout:
		return !c.caching
	}
	return true
}

// split returns, of keys, those that a bcast client wants: for each of its prefixes one list, which is one message.
func (o *trackingOptions) split(keys [][]byte) [][][]byte {
	var lists [][][]byte
	for _, prefix := range o.prefixes {
		var list [][]byte
		if prefix == "" {
			list = keys
		} else {
			for _, key := range keys {
				if bytes.HasPrefix(key, []byte(prefix)) {
					list = append(list, key)
				}
			}
		}
		if len(list) > 0 {
			lists = append(lists, list)
		}
	}
	return lists
}

// collision returns the error for prefixes of which one begins with another: a new one with one that the client has, or with
// another new one.
func collision(has, given []string) (errText string) {
	for i, p := range given {
		for _, with := range []struct {
			whose    string
			prefixes []string
		}{{"an existing", has}, {"another provided", given[i+1:]}} {
			for _, q := range with.prefixes {
				if strings.HasPrefix(p, q) || strings.HasPrefix(q, p) {
					return "ERR Prefix '" + printable([]byte(p)) + "' overlaps with " + with.whose + " prefix '" + printable([]byte(q)) +
						"'. Prefixes for a single client must not overlap."
				}
			}
		}
	}
	return ""
}

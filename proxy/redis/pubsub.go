package redis

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"

	backend "github.com/nexus-replication/nexus/appliers/redis"
	"github.com/nexus-replication/nexus/proxy/redis/policy"
	"github.com/nexus-replication/nexus/raft"
)

// subscriptionCommands are those whose replies come through the subscription.
var subscriptionCommands = map[string]bool{
	"subscribe": true, "psubscribe": true, "ssubscribe": true,
	"unsubscribe": true, "punsubscribe": true, "sunsubscribe": true,
}

// subscribed reports whether the client may only use what allowedSubscribed allows: while it is subscribed, and speaks a
// protocol in which a message looks like any reply.
func (s *session) subscribed() bool { return s.sub != nil && s.protocol == backend.RESP2 }

// allowedSubscribed reports whether a subscribed client may use the command.
func allowedSubscribed(spec *policy.Spec) bool {
	switch spec.Name {
	case "ping", "quit", "reset":
		return true
	}
	return subscriptionCommands[spec.Name]
}

func errTextSubscribed(spec *policy.Spec) string {
	return "ERR Can't execute '" + spec.Name + "': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context"
}

// cmdSubscribe is SUBSCRIBE, PSUBSCRIBE and SSUBSCRIBE.
//
// It waits for a barrier: a message whose PUBLISH was answered before, by any node, is applied to the backend then, and
// will not be heard. One whose PUBLISH begins after the reply is applied after it, and will be.
func (s *session) cmdSubscribe(dst []byte, args [][]byte) []byte {
	if s.failed {
		return appendError(dst, readErrorText(errEarlier))
	}
	if err := s.prepareSubscription(); err != nil {
		s.failed = true
		s.srv.metrics.failed(err)
		return appendError(dst, subscribeErrorText(err))
	}
	if s.userChanged() {
		return appendError(dst, readErrorText(errUsersChanged))
	}
	return s.askSubscription(dst, args, len(args)-1)
}

func subscribeErrorText(err error) string {
	if errors.Is(err, backend.ErrNoSubscriber) {
		return wordTooBig + reason(err)
	}
	return readErrorText(err)
}

// prepareSubscription passes the barrier and makes the subscription if there is none.
func (s *session) prepareSubscription() error {
	ctx := s.phaseContext()
	defer s.clock.stop()
	if err := s.srv.rep.Read(ctx, func(context.Context) error { return nil }); err != nil {
		return err
	}
	if s.sub != nil {
		return nil
	}
	conn, err := s.srv.backend.Subscriber(ctx, s.protocol)
	if err != nil {
		return err
	}
	u := newSubscription(conn, s.conn, &s.sending, s.captured)
	if !s.srv.tasks.start() {
		return errors.Join(errDraining, conn.Close())
	}
	s.setSubscription(u)
	go s.runRelay(u)
	return nil
}

var errDraining = errors.New("the node is stopping")

// runRelay ends when the subscription does, and then closes the client, unless it is the session that ended it: a client
// that went on would miss messages without knowing.
func (s *session) runRelay(u *subscription) {
	defer s.srv.tasks.end()
	err := u.run()
	if u.stopped.Load() {
		return
	}
	if errors.Is(err, errSubscriptionEnded) {
		s.srv.log.Warn("closing a subscriber", "client", s.conn.RemoteAddr().String(), "error", err)
	}
	_ = s.conn.Close()
	u.stop()
}

// cmdUnsubscribe is UNSUBSCRIBE, PUNSUBSCRIBE and SUNSUBSCRIBE. It needs no barrier.
func (s *session) cmdUnsubscribe(dst []byte, args [][]byte) []byte {
	n := len(args) - 1
	if s.sub == nil {
		return s.unsubscribed(dst, args)
	}
	if n == 0 {
		count := s.sub.counts()
		switch {
		case isWord(args[0], "unsubscribe"):
			n = count.channels
		case isWord(args[0], "punsubscribe"):
			n = count.patterns
		default:
			n = count.shards
		}
	}
	return s.askSubscription(dst, args, max(n, 1))
}

// unsubscribed answers a client that is not subscribed to anything. CLIENT REPLY does not concern what clients of pub/sub
// get, the replies included.
func (s *session) unsubscribed(dst []byte, args [][]byte) []byte {
	if !s.muted {
		return s.appendUnsubscribed(dst, args)
	}
	s.sending.Lock()
	defer s.sending.Unlock()
	if _, err := s.conn.Write(s.appendUnsubscribed(nil, args)); err != nil {
		s.ended = true
	}
	return dst
}

// appendUnsubscribed appends the reply of unsubscribed to dst.
func (s *session) appendUnsubscribed(dst []byte, args [][]byte) []byte {
	name := strings.ToLower(string(args[0]))
	kind, null := byte('*'), "$-1\r\n"
	if s.protocol != backend.RESP2 {
		kind, null = '>', "_\r\n"
	}
	if len(args) == 1 {
		return appendInt(append(appendBulk(append(dst, kind, '3', '\r', '\n'), name), null...), 0)
	}
	for _, channel := range args[1:] {
		dst = appendBulk(appendBulk(append(dst, kind, '3', '\r', '\n'), name), channel)
		dst = appendInt(dst, 0)
	}
	return dst
}

// askSubscription has the backend answer a command that has n replies. They go to the client behind dst, which is empty
// afterwards, or to the reply of the transaction that runs.
func (s *session) askSubscription(dst []byte, args [][]byte, n int) []byte {
	if s.captured == nil {
		s.out = dst
		s.flush()
		dst = s.out
		if s.ended {
			return dst
		}
	}
	// The replies come behind the messages that the client has not read yet.
	patience := s.srv.cfg.Timeout + s.srv.cfg.Limits.WriteTimeout
	ctx, cancel := context.WithTimeoutCause(s.srv.ctx, patience, &raft.NoAnswerError{After: patience})
	defer cancel()
	if err := s.sub.ask(ctx, appendRequest(nil, args...), n); err != nil {
		s.broken("its subscription failed", "error", err)
		return dst
	}
	if s.captured != nil {
		dst = append(dst, s.captured.takeReplies(&s.sending)...)
	}
	if s.sub.counts().none() {
		s.endSubscription()
	}
	return dst
}

// greetSubscribed answers a client that changes its protocol while it is subscribed. The backend changes that of the
// subscription, and the client has its answer at the place where it does: what comes before is in the old one, what comes
// behind in the new one.
func (s *session) greetSubscribed(dst []byte, p backend.Protocol, version string) []byte {
	u, old := s.sub, s.protocol
	s.protocol = p
	reply := s.appendHello(nil, version)
	s.protocol = old
	if s.muted {
		reply = nil
	}
	s.sending.Lock()
	u.relay.greeting = func() []byte {
		s.shown.Lock()
		s.shown.protocol = p
		s.shown.Unlock()
		return reply
	}
	s.sending.Unlock()
	dst = s.askSubscription(dst, [][]byte{[]byte("HELLO"), strconv.AppendInt(nil, int64(p), 10)}, 1)
	s.sending.Lock()
	greeted := u.relay.greeting == nil
	s.sending.Unlock()
	if greeted {
		s.setProtocol(p)
	}
	return dst
}

// takeReplies returns the replies that have come.
func (c *captured) takeReplies(sending sync.Locker) []byte {
	sending.Lock()
	defer sending.Unlock()
	replies := c.replies
	c.replies = nil
	return replies
}

// endSubscription gives the subscription up, if there is one, and waits until no more of it can reach the client.
func (s *session) endSubscription() {
	if s.sub == nil {
		return
	}
	s.sub.stop()
	<-s.sub.done
	s.setSubscription(nil)
}

func (s *session) setSubscription(u *subscription) {
	s.sub = u
	s.shown.Lock()
	s.shown.sub = u
	s.shown.Unlock()
}

// beginCapture makes what the subscription gets wait for endCapture: the replies are part of the reply to EXEC, and the
// messages come behind it.
func (s *session) beginCapture() {
	s.captured = &captured{}
	if s.sub == nil {
		return
	}
	s.sending.Lock()
	defer s.sending.Unlock()
	s.sub.relay.captured = s.captured
}

// endCapture sends the reply to EXEC and the messages that came meanwhile, which CLIENT REPLY does not concern.
func (s *session) endCapture() {
	c := s.captured
	s.captured = nil
	s.sending.Lock()
	defer s.sending.Unlock()
	out := append(s.out, c.messages...)
	if s.muted {
		out = c.messages
	}
	if len(out) > 0 {
		if _, err := s.conn.Write(out); err != nil {
			s.ended = true
		}
	}
	s.out = s.out[:0]
	if s.sub != nil {
		s.sub.relay.captured = nil
	}
}

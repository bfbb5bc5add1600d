package redis

import (
	"errors"
	"fmt"
	"io"
	"sync"
)

const (
	// relayBuffer is what a relay holds of what the backend sends. What the client does not take stays with the backend,
	// which closes the connection when it is too much (client-output-buffer-limit pubsub).
	relayBuffer = 16 << 10
	// maxHeldMessages bounds the messages that wait for the end of an EXEC, in bytes.
	maxHeldMessages = 32 << 20
)

var errTooManyHeld = errors.New("too many messages came while a transaction ran")

// relay copies what the backend sends to a client, replies and messages as wholes.
type relay struct {
	from SubscriberConn
	to   io.Writer
	// sending is held while bytes go to the client, from the beginning of a reply to its end.
	sending *sync.Mutex
	// captured gets the bytes in the client's place if it is set. It is changed while sending is held.
	captured *captured
	// heard is called for each reply, not for messages, with sending held. The reply may not have been sent yet.
	heard func(subscriptionReply)
	// greeting is called with sending held when the backend answers HELLO, and returns what the client gets in place of that.
	greeting func() []byte

	frames frames
	// buf[:end] has arrived and was not sent, buf[:scanned] of it has been looked at.
	buf          []byte
	scanned, end int
}

// subscriptionReply is a reply to a command of the SUBSCRIBE kind, or to PING, or an error, whose name is empty.
type subscriptionReply struct {
	name   string
	number int64
}

// captured keeps what comes while an EXEC collects its reply.
type captured struct {
	replies  []byte
	messages []byte
	frame    []byte // the reply or message in progress
}

// step waits for bytes and passes on what is complete.
func (r *relay) step() error {
	read := r.from.Read
	if r.end > 0 {
		read = r.from.ReadRest
	}
	n, err := read(r.buf[r.end:])
	if err != nil {
		return fmt.Errorf("%w: %w", errSubscriptionEnded, err)
	}
	r.end += n
	r.sending.Lock()
	defer r.sending.Unlock()
	if err := r.pass(); err != nil {
		return err
	}
	for r.end == len(r.buf) {
		if err := r.passLarge(); err != nil {
			return err
		}
		if err := r.pass(); err != nil {
			return err
		}
	}
	return nil
}

// pass sends the replies and messages that are complete, and moves the rest to the front of the buffer.
func (r *relay) pass() error {
	whole := 0
	for r.scanned < r.end {
		n, ended, err := r.frames.next(r.buf[r.scanned:r.end])
		if err != nil {
			return err
		}
		r.scanned += n
		if !ended {
			break
		}
		if r.greets() {
			if err := r.greet(whole); err != nil {
				return err
			}
			whole = 0
			continue
		}
		if r.captured != nil {
			if err := r.send(r.buf[whole:r.scanned]); err != nil {
				return err
			}
			whole = r.scanned
		}
		if err := r.ended(); err != nil {
			return err
		}
		if r.captured == nil {
			whole = r.scanned
		}
	}
	if r.captured == nil {
		if err := r.send(r.buf[:whole]); err != nil {
			return err
		}
	}
	r.end = copy(r.buf, r.buf[whole:r.end])
	r.scanned = r.end
	return nil
}

// passLarge sends what fills the buffer and is not complete, and then the rest of it as it comes.
func (r *relay) passLarge() error {
	for {
		if err := r.send(r.buf[:r.end]); err != nil {
			return err
		}
		n, err := r.from.ReadRest(r.buf)
		if err != nil {
			return fmt.Errorf("%w in the middle of a message: %w", errSubscriptionEnded, err)
		}
		r.end = n
		n, ended, err := r.frames.next(r.buf[:r.end])
		if err != nil {
			return err
		}
		if !ended {
			continue
		}
		if err := r.send(r.buf[:n]); err != nil {
			return err
		}
		if err := r.ended(); err != nil {
			return err
		}
		r.end = copy(r.buf, r.buf[n:r.end])
		r.scanned = 0
		return nil
	}
}

// greets reports whether the reply that is complete is the one to HELLO. It is far shorter than the buffer.
func (r *relay) greets() bool {
	return r.greeting != nil && r.frames.kind != '>' && string(r.frames.first) == "server"
}

// greet sends what stands before the reply to HELLO, at buf[:start], and what the client gets in place of that.
func (r *relay) greet(start int) error {
	reply := r.greeting()
	r.greeting = nil
	if c := r.captured; c != nil {
		c.replies = append(c.replies, reply...)
	} else {
		if err := r.send(r.buf[:start]); err != nil {
			return err
		}
		if err := r.send(reply); err != nil {
			return err
		}
	}
	r.heard(subscriptionReply{name: "hello"})
	r.end = copy(r.buf, r.buf[r.scanned:r.end])
	r.scanned = 0
	return nil
}

func (r *relay) send(p []byte) error {
	if r.captured != nil {
		r.captured.frame = append(r.captured.frame, p...)
		if len(r.captured.frame) > maxHeldMessages {
			return errTooManyHeld
		}
		return nil
	}
	_, err := r.to.Write(p)
	return err
}

// ended notes what a complete reply is, and where it belongs if it is captured.
func (r *relay) ended() error {
	f := &r.frames
	isReply := true
	switch name := string(f.first); {
	case f.kind == '-' || f.kind == '+':
		r.heard(subscriptionReply{})
	case repliesToSubscriber[name]:
		r.heard(subscriptionReply{name, f.number})
	default:
		isReply = false
	}
	c := r.captured
	if c == nil {
		return nil
	}
	if isReply {
		c.replies = append(c.replies, c.frame...)
	} else {
		c.messages = append(c.messages, c.frame...)
	}
	c.frame = c.frame[:0]
	if len(c.messages) > maxHeldMessages {
		return errTooManyHeld
	}
	return nil
}

// repliesToSubscriber are the first elements of what is a reply, and not a message.
var repliesToSubscriber = map[string]bool{
	"subscribe": true, "psubscribe": true, "ssubscribe": true,
	"unsubscribe": true, "punsubscribe": true, "sunsubscribe": true,
	"pong": true,
}

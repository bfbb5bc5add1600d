package mysql

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/nexus-replication/nexus/raft"
)

// A client that comes while there is no leader waits for one: nothing was said to it yet, so it may be served by whoever that
// becomes, this node too.

const (
	// placePause is how soon it is looked for a leader again. It doubles up to maxPlacePause: thousands may wait, and a leader that
	// has died refuses each at once.
	placePause    = 10 * time.Millisecond
	maxPlacePause = 80 * time.Millisecond
	// greetingPause is how often it is looked, while the greeting of a leader is waited for, whether it leads still.
	greetingPause = 50 * time.Millisecond
)

// place is where a client is served: here, in a term, or by the leader.
type place struct {
	epoch  uint64
	leader *leaderConn // nil for here
}

// awaitPlace waits for a leader that answers.
func (s *Server) awaitPlace(ctx context.Context) (*place, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, s.cfg.Timeout, &raft.NoAnswerError{After: s.cfg.Timeout})
	defer cancel()
	for pause := placePause; ; pause = min(2*pause, maxPlacePause) {
		if isRemoved(s.node.Status()) { // for good; it may know a leader still
			return nil, errRemoved
		}
		p, err := s.tryPlace(ctx)
		if err == nil {
			return p, nil
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, s.explain(err)
		}
	}
}

// errRemoved is what clients of a node are told that was removed from its cluster.
var errRemoved = errors.New("this node was removed from its cluster; connect to another node")

// errNoLeader is for who comes where nobody leads.
var errNoLeader = errors.New("no leader is known: a majority of the nodes must run and reach each other; try again")

// roleRemoved is how a node calls its role that was removed.
const roleRemoved = "removed"

func isRemoved(st raft.Status) bool { return st.Role == roleRemoved }

// explain says what keeps the leader from serving, where it leads and has to apply first what is left, or else why no place was found.
// Many clients may wait for the same: it is asked one time for all of them, and not again within a second.
func (s *Server) explain(err error) error {
	if st := s.node.Status(); st.Leader == 0 || st.Leader == st.ID {
		return err
	}
	s.news.mu.Lock()
	defer s.news.mu.Unlock()
	if time.Since(s.news.at) > newsLast {
		st, ok := s.node.AskLeader(s.ctx)
		s.news.at, s.news.why = time.Now(), nil
		if ok && st.Leader == st.ID && !st.Serving && st.Executing != nil {
			s.news.why = inArrears("the leader "+st.URL, st)
		}
	}
	if s.news.why != nil {
		return s.news.why
	}
	return err
}

// newsLast is for how long what the leader has said of itself is told.
const newsLast = time.Second

// news is what keeps the leader from serving, as it has said itself; nil for nothing that it knows of.
type news struct {
	mu  sync.Mutex
	at  time.Time
	why error
}

// inArrears is told to who waits for a node that leads and has yet to apply what is left. Nobody knows yet who that is: it has no names of
// clients' tables.
func inArrears(who string, st raft.Status) error {
	executing := ""
	if st.Executing != nil {
		executing = ", and has been executing " + st.Executing.String()
	}
	return fmt.Errorf("%s was elected just now, and its server has applied %d of %d entries of the log%s; try again", who, st.Applied, st.Commit, executing)
}

// tryPlace returns where a client is served now. A node that was elected just now has to apply first what is left.
func (s *Server) tryPlace(ctx context.Context) (*place, error) {
	if epoch, ok := s.node.Office(); ok {
		return &place{epoch: epoch}, nil
	}
	st := s.node.Status()
	if st.Leader == 0 {
		return nil, errNoLeader
	}
	if st.Leader == st.ID {
		return nil, inArrears("this node", st)
	}
	c, err := s.dialLeader(ctx, st)
	if err != nil {
		return nil, err
	}
	if err := s.awaitGreeting(ctx, c, st.Leader); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return &place{leader: c}, nil
}

// withoutAddress is what an error of the network says has happened.
func withoutAddress(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}

// leaderConn is a connection to the leader, which calls itself host.
type leaderConn struct {
	net.Conn
	id     uint64
	reader *bufio.Reader // has the beginning of the greeting
	host   string
}

func (c *leaderConn) Read(p []byte) (int, error) { return c.reader.Read(p) }

// CloseWrite ends what is sent, not what is received.
func (c *leaderConn) CloseWrite() error {
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok {
		return errors.ErrUnsupported
	}
	return half.CloseWrite()
}

func (s *Server) dialLeader(ctx context.Context, st raft.Status) (*leaderConn, error) {
	address := s.backend.Address(st.Leader)
	if address == "" {
		return nil, fmt.Errorf("it is not known where the leader %s serves clients, try again", st.LeaderURL())
	}
	d := net.Dialer{Timeout: time.Second}
	c, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("the leader at %s cannot be reached from this node: %w", address, withoutAddress(err))
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("address of the leader: %w", err), c.Close())
	}
	return &leaderConn{Conn: c, id: st.Leader, reader: bufio.NewReader(c), host: host}, nil
}

// awaitGreeting waits until a leader begins to answer: one that has died, or leads no more, may accept connections all the same.
func (s *Server) awaitGreeting(ctx context.Context, c *leaderConn, leader uint64) error {
	for {
		if err := c.SetReadDeadline(time.Now().Add(greetingPause)); err != nil {
			return err
		}
		_, err := c.reader.Peek(1)
		switch {
		case err == nil:
			return c.SetReadDeadline(time.Time{})
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return fmt.Errorf("the leader does not answer: %w", err)
		case ctx.Err() != nil:
			return fmt.Errorf("the leader does not answer: %w", context.Cause(ctx))
		case s.node.Status().Leader != leader:
			return errors.New("the leadership has just moved, try again")
		}
	}
}

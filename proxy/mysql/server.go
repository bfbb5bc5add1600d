package mysql

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nexus-replication/nexus/proxy/mysql/statement"
	"github.com/nexus-replication/nexus/proxy/mysql/wire"
)

// officePause is how often the leadership is looked at, to close the connections of an office that is over.
const officePause = 50 * time.Millisecond

// orphanPauses is after how many of these pauses the server's ends of connections are looked at.
const orphanPauses = 10

// Server serves clients on a listener.
type Server struct {
	cfg     Config
	node    Node
	backend Backend
	gate    *gate
	commits commitGroup
	// procedures are those that clients have called.
	procedures   procedures
	callables    callables
	eventsBarred atomic.Bool // it was said that no event is executed, for the account cannot log in
	accept       *tls.Config // nil without TLS
	stats        counters
	times        statementTimes
	news         news
	filled       atomic.Bool // the local server has held all that was acknowledged, once since the process started

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	tasks  sync.WaitGroup

	mu        sync.Mutex
	listeners []net.Listener
	conns     map[*connection]bool
	draining  bool
	left      []string // tables of schema changes that sessions have not finished
}

type counters struct {
	connections, refused, slowed, reads, commits, rollbacks, unknown, schema atomic.Uint64
	events, eventsFailed                                                     atomic.Uint64
}

// Stats counts what happened since the process started.
type Stats struct {
	Connections, Refused, Slowed, Reads, Commits, Rollbacks, Unknown, SchemaChanges uint64
	// Events were executed by this node; FailedEvents ended with an error.
	Events, FailedEvents uint64
	// Clients are connected now.
	Clients int
}

// connection is a client, served here or relayed.
type connection struct {
	client   net.Conn
	accepted net.Conn // client, without what is around it
	local    bool     // from within this process
	reader   bool     // of the port for reading, served here whoever leads
	epoch    uint64   // in which it is served here; 0 while it is relayed, and for readers
	placed   bool     // it is relayed or logged in, and not about to be told that it is not served
	close    func()
	session  *session // nil while it is relayed, or logs in
	relayed  relayed
	absent   int // how often in a row its end was found closed while a statement was executed
}

// New returns a Server that answers for node in front of backend.
func New(cfg Config, node Node, backend Backend) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, node: node, backend: backend, gate: newGate(), accept: acceptTLS(&cfg), conns: make(map[*connection]bool), times: newStatementTimes()}
	s.commits.propose, s.commits.patience = node.Propose, groupPatience
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s, nil
}

// Stats returns the counts of now.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	clients := len(s.conns)
	s.mu.Unlock()
	return Stats{
		Connections: s.stats.connections.Load(), Refused: s.stats.refused.Load(), Slowed: s.stats.slowed.Load(), Reads: s.stats.reads.Load(),
		Commits: s.stats.commits.Load(), Rollbacks: s.stats.rollbacks.Load(), Unknown: s.stats.unknown.Load(),
		SchemaChanges: s.stats.schema.Load(), Events: s.stats.events.Load(), FailedEvents: s.stats.eventsFailed.Load(), Clients: clients,
	}
}

// Serve answers on lis until Close. It closes lis.
func (s *Server) Serve(lis net.Listener) error {
	if !s.listen(lis) {
		return lis.Close()
	}
	s.tasks.Go(s.watchOffice)
	s.tasks.Go(s.watchClients)
	s.tasks.Go(s.watchOwed)
	if s.cfg.Account.User != "" {
		s.tasks.Go(s.watchEvents)
		s.tasks.Go(s.dropLeftovers)
	}
	s.tasks.Go(s.announce)
	return s.acceptAll(lis, false)
}

// ServeReading answers reads on lis from the local server, whoever leads, until Close. It closes lis.
func (s *Server) ServeReading(lis net.Listener) error {
	if !s.listen(lis) {
		return lis.Close()
	}
	return s.acceptAll(lis, true)
}

// listen notes what Close has to close; false if it was called already.
func (s *Server) listen(lis net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listeners = append(s.listeners, lis)
	return !s.draining
}

func (s *Server) acceptAll(lis net.Listener, reader bool) error {
	for {
		accepted, err := lis.Accept()
		if err != nil {
			if s.ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return nil
			}
			return fmt.Errorf("accept: %w", err)
		}
		c := net.Conn(&patient{Conn: accepted, patience: s.cfg.WriteTimeout})
		conn := &connection{client: c, accepted: accepted, reader: reader, close: func() { c.Close() }}
		if e := s.add(conn); e != nil {
			s.rejectAtOnce(c, e)
			c.Close()
			continue
		}
		s.stats.connections.Add(1)
		s.tasks.Go(func() {
			defer s.remove(conn)
			defer s.survive(conn)
			s.serve(conn)
		})
	}
}

// survive ends one session where a client made it panic, instead of every client's. What it had open is given up by then as
// that of a client who left.
func (s *Server) survive(c *connection) {
	if p := recover(); p != nil {
		s.cfg.Logger.Error("bug: a session panicked and is ended", "client", c.client.RemoteAddr(), "panic", p, "stack", string(debug.Stack()))
	}
}

// add returns what a client is told that is not taken in, or nil.
func (s *Server) add(c *connection) *wire.Error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.draining:
		return unserved("this node is being stopped; connect to another one")
	case len(s.conns) >= s.cfg.MaxConnections:
		return &wire.Error{Code: codeTooManyConns, State: "08004", Message: fmt.Sprintf("Too many connections: node %s serves %d clients (-maxConnections)", s.cfg.Advertise, s.cfg.MaxConnections)}
	}
	s.conns[c] = true
	return nil
}

func (s *Server) remove(c *connection) {
	c.client.Close()
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
}

// serve answers one client: here on the leader, through it elsewhere.
func (s *Server) serve(c *connection) {
	ctx, cancel := context.WithTimeout(s.ctx, s.cfg.HandshakeTimeout)
	defer cancel()
	var epoch uint64
	if !c.reader {
		place, err := s.awaitPlace(ctx)
		if err != nil {
			s.cfg.Logger.Debug("a client is turned away", "client", c.client.RemoteAddr(), "err", err)
			_ = s.turnAway(ctx, wire.NewConn(c.client, s.cfg.MaxPacket), c.local, unserved(reason(err))) // it is about to be closed
			return
		}
		if place.leader != nil {
			s.mu.Lock()
			c.placed = true
			s.mu.Unlock()
			s.relay(ctx, c, place.leader)
			return
		}
		epoch = place.epoch
	} else if err := s.awaitFilled(ctx); err != nil {
		s.cfg.Logger.Debug("a reader is turned away", "client", c.client.RemoteAddr(), "err", err)
		_ = s.turnAway(ctx, wire.NewConn(c.client, s.cfg.MaxPacket), c.local, unserved(s.whyUnread())) // it is about to be closed
		return
	}
	session := newSession(s, c, epoch)
	defer session.end()
	if err := session.handshake(ctx, c.local); err != nil {
		s.cfg.Logger.Debug("login", "client", c.client.RemoteAddr(), "err", err)
		return
	}
	cancel()
	s.mu.Lock()
	if s.draining { // the login has undone what Close has set
		s.mu.Unlock()
		return
	}
	c.epoch, c.placed, c.close, c.session = epoch, true, session.Disconnect, session
	s.mu.Unlock()
	if err := session.run(); err != nil {
		s.cfg.Logger.Debug("session ended", "client", c.client.RemoteAddr(), "err", err)
	}
}

// watchOffice closes the connections of an office that is over, as any failover does, and those that the server has
// closed: a client that is idle would notice only when its next statement fails. It ends relays to who leads no more; of a node
// that was removed, all are closed.
func (s *Server) watchOffice() {
	tick := time.NewTicker(officePause)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-tick.C:
		case <-s.ctx.Done():
			return
		}
		term, ok := s.node.Office()
		st := s.node.Status()
		removed := isRemoved(st)
		s.mu.Lock()
		var over []*connection
		var lost []*leaderConn
		for c := range s.conns {
			if removed && c.placed {
				over = append(over, c)
				continue
			}
			if c.relayed.isLost(st.Leader) {
				lost = append(lost, c.relayed.conn)
			}
			if c.epoch == 0 {
				continue
			}
			if !ok || c.epoch != term || n%orphanPauses == 0 && c.session.orphaned() {
				over = append(over, c)
			}
		}
		s.mu.Unlock()
		for _, c := range over {
			c.close()
		}
		for _, conn := range lost {
			conn.Close() // which ends the relay
		}
	}
}

// hangUp closes the session whose connection to the server is called id, if there is one. It may be idle in a transaction,
// and would not notice by itself that the server has ended its connection.
func (s *Server) hangUp(id uint64) {
	s.mu.Lock()
	var end func()
	for c := range s.conns {
		if c.session != nil && c.session.id == id {
			end = c.close
		}
	}
	s.mu.Unlock()
	if end != nil {
		end()
	}
}

// Close lets clients finish their transactions, until ctx is done, and then cuts them off.
func (s *Server) Close(ctx context.Context) error {
	s.mu.Lock()
	s.draining = true
	for _, lis := range s.listeners {
		lis.Close()
	}
	for c := range s.conns {
		// A session that waits for a command ends now; one that is busy when it looks for the next.
		_ = c.client.SetReadDeadline(time.Unix(1, 0))
	}
	s.mu.Unlock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			s.mu.Lock()
			left := len(s.conns)
			s.mu.Unlock()
			if left == 0 {
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
	}()
	<-done
	s.cancel()
	s.mu.Lock()
	left := len(s.conns)
	for c := range s.conns {
		c.close()
		c.client.Close()
	}
	s.mu.Unlock()
	s.tasks.Wait()
	if left > 0 {
		return fmt.Errorf("close proxy: %d clients were cut off", left)
	}
	return nil
}

// dialect is what statements are read by before a session has changed its sql_mode.
func (s *Server) dialect() statement.Dialect {
	d := statement.Dialect{MariaDB: true, Version: 101100}
	var major, minor, patch int
	if n, err := fmt.Sscanf(s.backend.Version(), "%d.%d.%d", &major, &minor, &patch); err == nil && n == 3 {
		d.Version = major*10000 + minor*100 + patch
	}
	return d
}

package redis

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidwall/redcon"

	backend "github.com/nexus-replication/nexus/appliers/redis"
	"github.com/nexus-replication/nexus/proxy/redis/acl"
	"github.com/nexus-replication/nexus/proxy/redis/guard"
	"github.com/nexus-replication/nexus/proxy/redis/policy"
	"github.com/nexus-replication/nexus/raft"
)

// Replicator is the log, as this package needs it. Its methods may be called from many goroutines. Errors wrap those of
// package raft.
type Replicator interface {
	// Propose returns when the entry with cmds, together and in order, is committed and applied here. Without cmds it
	// makes the leader's sequencer log what is due, and returns when that is applied here. It may hold on to cmds
	// after it returned an error.
	Propose(ctx context.Context, cmds [][]byte) (raft.Outcome, error)
	// ProposeArrived is Propose for commands that came at that time, if it is known: those of several clients that came
	// first are executed first, if they meet.
	ProposeArrived(ctx context.Context, arrived time.Time, cmds [][]byte) (raft.Outcome, error)
	// Wait is ProposeArrived for one command that may have to wait for others. It returns when cmd was served, or with
	// raft.ErrWaitEnded when ctx ended before that and cmd was not and will not be executed. parked is called, by this
	// goroutine, when cmd has to wait.
	Wait(ctx context.Context, arrived time.Time, cmd []byte, queued, parked func()) (raft.Outcome, error)
	// Read calls fn when the local backend holds everything that was committed when Read was called. It may call fn
	// again, and returns nil only if what the last call read is linearizable.
	Read(ctx context.Context, fn func(context.Context) error) error
	// Snapshot returns when a snapshot of all that was applied here is on the disk of this node.
	Snapshot(ctx context.Context) error
	Status() raft.Status
	// MembersWithout returns the members that are not known to read commands of version.
	MembersWithout(version int) []raft.Member
}

// DeadlineIndex knows the keys with deadlines. Deadlines are in milliseconds since the epoch, not shifted. It may name
// too many keys, never too few.
type DeadlineIndex interface {
	// NextDue returns the earliest deadline.
	NextDue() (deadlineMillis int64, ok bool)
	// Due returns up to max keys whose deadline is not after now.
	Due(now int64, max int) []backend.DueKey
	Deadline(db int, key []byte) (deadlineMillis int64, ok bool)
	// Pend notes a deadline that a proposed command may set.
	Pend(db int, key string, deadlineMillis int64)
}

// Backend is the local backend, as this package needs it.
type Backend interface {
	DeadlineIndex
	// Sample returns up to n keys that have a deadline, by chance.
	Sample(n int) []backend.DueKey
	// ReadAs runs the n commands of request and returns their raw replies. With done < n the replies to the others
	// would have been too large together. It keeps neither request nor replies.
	ReadAs(ctx context.Context, p backend.Protocol, db int, request []byte, n int) (replies []byte, done int, err error)
	// StreamAs runs one command and copies its raw reply to w as it arrives.
	StreamAs(ctx context.Context, p backend.Protocol, db int, request []byte, w io.Writer) error
	// Busy reports that the backend takes long for what it does, and is not one that hangs.
	Busy() bool
	// MemoryLimit returns what CONFIG SET maxmemory has set, 0 for no limit. It is the proxy that keeps it.
	MemoryLimit() int64
	// EvictionPolicy returns the maxmemory-policy, Evicted and Expired how many keys were evicted and have expired since the start
	// of the process.
	EvictionPolicy() string
	Evicted() uint64
	Expired() uint64
	// MarkerWrites returns how many changes of the backend were those of its position.
	MarkerWrites() uint64
	NewWatcher() *backend.Watcher
	// Subscriber makes a connection for one client that subscribes, which speaks the protocol. It ends when what was
	// heard on it may come again, or be left out.
	Subscriber(ctx context.Context, p backend.Protocol) (*backend.Subscriber, error)
	// Tracker makes a connection on which the backend tells of the keys that change, and in which of the transactions that
	// are announced to applying.
	Tracker(ctx context.Context, applying func(entries []raft.Entry)) (*backend.Tracker, error)
	// FollowUsers has fn called with the users of the log, now and when they change.
	FollowUsers(fn func(*backend.Users))
}

// Server serves Redis clients. Make it with New.
type Server struct {
	cfg           Config
	rep           Replicator
	backend       Backend
	log           *slog.Logger
	table         *policy.Table
	policyContext policy.Context
	locals        map[*policy.Spec]localCommand
	deadlines     map[*policy.Spec]deadlineEffect
	scripts       *scriptHost
	version       atomic.Pointer[string] // of the backend
	port          atomic.Int64
	metrics       metrics
	slow          *slowLog

	acl     *acl.Table
	users   atomic.Pointer[acl.Set]
	usersMu sync.Mutex  // held while they are replaced
	logged  loggedUsers // with usersMu
	// usersSure is logged.sure, or set where the default user does not depend on the log.
	usersSure atomic.Bool
	aclLog    aclLog

	// running are scripts that keep the backend busy; tries says which scripts are tried as reads.
	running  running
	tries    *tries
	settings *nodeSettings
	entrance entrance
	// attention is set while monitors, a pause or a busy backend make commands more than their own business.
	attention   atomic.Bool
	attentionMu sync.Mutex
	monitors    monitors
	pause       pause
	blocked     atomic.Int64 // clients that wait
	changes     changes
	tracker     *tracker
	memory      memoryUse
	evictor     *evictor
	saving      saving
	tasks       *tasks // goroutines that send to clients beside their sessions, or wait for scripts

	// ctx ends when running requests are to be given up.
	ctx    context.Context
	cancel context.CancelFunc
	// drained ends the accept loop, and with it redcon, which closes all connections then.
	drained   chan struct{}
	drainOnce sync.Once
	draining  atomic.Bool

	mu       sync.Mutex
	ln       *guard.Listener
	sessions map[*session]struct{}
	// gone is closed and replaced whenever a session ends while the server drains.
	gone chan struct{}
}

// New returns a Server that is not listening yet.
func New(cfg Config, rep Replicator, b Backend) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if rep == nil || b == nil {
		return nil, errors.New("redis proxy: Replicator or Backend is nil")
	}
	table := policy.NewTable()
	s := &Server{
		cfg:           cfg,
		rep:           rep,
		backend:       b,
		log:           cfg.Logger,
		table:         table,
		policyContext: policy.Context{Databases: cfg.Databases, ReservedDB: cfg.ReservedDB},
		locals:        make(map[*policy.Spec]localCommand),
		deadlines:     deadlineEffects(table),
		metrics:       newMetrics(len(table.Names())),
		saving:        saving{last: time.Now()},
		tasks:         newTasks(),
		scripts:       newScriptHost(rep, b, cfg.Databases, cfg.ReservedDB),
		slow:          newSlowLog(),
		tries:         newTries(table),
		settings:      newNodeSettings(),
		acl:           acl.NewTable(),
		drained:       make(chan struct{}),
		sessions:      make(map[*session]struct{}),
		gone:          make(chan struct{}),
	}
	for name, cmd := range localCommands() {
		spec := table.Spec(name)
		if spec == nil {
			return nil, fmt.Errorf("redis proxy: command %q is not in the policy table", name)
		}
		s.locals[spec] = cmd
	}
	s.tracker = newTracker(s)
	s.evictor = newEvictor(s)
	users, err := readUsers(s.acl, &s.cfg)
	if err != nil {
		return nil, err
	}
	s.users.Store(users)
	s.logged.told = &backend.Users{}
	s.usersSure.Store(!s.usersLogged() || s.givenDefault())
	b.FollowUsers(s.takeUsers)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s, nil
}

// Serve answers the clients of ln until Close, and returns nil then. It takes ownership of ln. It may be called once.
func (s *Server) Serve(ln net.Listener) error {
	guarded := guard.NewListener(ln, s.cfg.Limits)
	s.mu.Lock()
	if s.draining.Load() || s.ln != nil {
		s.mu.Unlock()
		return errors.Join(errors.New("redis proxy: already serving or closed"), ln.Close())
	}
	s.ln = guarded
	s.mu.Unlock()
	if tcp, ok := ln.Addr().(*net.TCPAddr); ok {
		s.port.Store(int64(tcp.Port))
	}
	stop, reaped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(reaped)
		s.reap(stop)
	}()
	evicting, endEvicting := context.WithCancel(s.ctx)
	go s.evictor.run(evicting)
	defer func() {
		close(stop)
		endEvicting()
		<-reaped
		<-s.evictor.done
	}()
	srv := redcon.NewServerNetwork(ln.Addr().Network(), ln.Addr().String(), s.handle, s.accept, s.closed)
	srv.AcceptError = func(err error) { s.log.Error("accept failed", "error", err) }
	if err := srv.Serve(&drainListener{Listener: guarded, drained: s.drained}); err != nil {
		return fmt.Errorf("redis proxy: %w", err)
	}
	return nil
}

// Close stops accepting, closes idle clients, and lets running batches finish until ctx ends. What still runs then is
// given up: its connection is closed without a reply, which tells the client that the outcome is unknown.
func (s *Server) Close(ctx context.Context) error {
	s.draining.Store(true)
	s.pause.end()
	defer s.drainOnce.Do(func() { close(s.drained) })
	defer s.cancel()
	s.mu.Lock()
	ln := s.ln
	s.mu.Unlock()
	var err error
	if ln != nil {
		err = ln.Close()
	}
	for {
		s.mu.Lock()
		gone := s.gone
		s.mu.Unlock()
		list := s.sessionList()
		for _, c := range list {
			c.unblock(errLeaving)
			c.closeIdle()
		}
		if len(list) == 0 {
			s.cancel()
			return errors.Join(err, s.awaitTasks(ctx))
		}
		select {
		case <-gone:
		case <-ctx.Done():
			for _, c := range s.sessionList() {
				_ = c.conn.Close()
			}
			return errors.Join(err, fmt.Errorf("redis proxy: close: %w with %d clients", ctx.Err(), len(list)))
		}
	}
}

// awaitTasks waits for what was sending to clients, all of which are gone, or waits for scripts that they have left.
func (s *Server) awaitTasks(ctx context.Context) error {
	select {
	case <-s.tasks.close():
		return nil
	case <-ctx.Done():
		return fmt.Errorf("redis proxy: close: %w, messages are still being sent", ctx.Err())
	}
}

// attend finds out whether commands are more than their own business. Whoever changes that calls it afterwards.
func (s *Server) attend() {
	s.attentionMu.Lock()
	defer s.attentionMu.Unlock()
	s.attention.Store(s.monitors.any() || s.pause.active() ||
		s.running.current() != nil || s.settings.lacksReplicas())
}

// Addr returns the address listened on, or nil before Serve.
func (s *Server) Addr() net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ln == nil {
		return nil
	}
	return s.ln.Addr()
}

// accept, handle and closed are called by redcon. closed runs under a lock of redcon's.
func (s *Server) accept(conn redcon.Conn) bool {
	c, ok := conn.NetConn().(*guard.Conn)
	if !ok {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining.Load() {
		return false
	}
	// With mu held: whoever changes the users looks for their clients afterwards.
	sess := newSession(s, c)
	s.sessions[sess] = struct{}{}
	conn.SetContext(sess)
	return true
}

func (s *Server) handle(conn redcon.Conn, cmd redcon.Command) {
	conn.Context().(*session).handle(conn, cmd)
}

func (s *Server) closed(conn redcon.Conn, _ error) {
	sess, ok := conn.Context().(*session)
	if !ok {
		return
	}
	sess.forgetWatch()
	sess.release()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, sess)
	if s.draining.Load() {
		close(s.gone)
		s.gone = make(chan struct{})
	}
}

// sessionList returns the sessions in the order of their ids.
func (s *Server) sessionList() []*session {
	s.mu.Lock()
	list := make([]*session, 0, len(s.sessions))
	for sess := range s.sessions {
		list = append(list, sess)
	}
	s.mu.Unlock()
	slices.SortFunc(list, func(a, b *session) int { return cmp.Compare(a.conn.ID(), b.conn.ID()) })
	return list
}

// drainListener keeps redcon in Accept after the listener was closed, because redcon closes all connections, also those
// with a request running, as soon as Accept fails.
type drainListener struct {
	*guard.Listener
	drained <-chan struct{}
}

func (l *drainListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if errors.Is(err, net.ErrClosed) {
		<-l.drained
	}
	return c, err
}

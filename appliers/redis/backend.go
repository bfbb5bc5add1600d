package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nexus-replication/nexus/raft"
)

// Backend is one redis-server as a raft.Store, with connections for reads beside it.
//
// Open, Apply, Snapshot, Restore and Close are called from one goroutine, or one after the other; everything else is safe for concurrent use.
type Backend struct {
	// Deadlines is the index of keys with deadlines, kept by Open and Apply.
	*Deadlines

	cfg   Config
	log   *slog.Logger
	id    atomic.Pointer[raft.Identity] // nil until Open
	stats counters

	// What follows up to fatal is touched by the goroutine that calls Open, Apply and so on only.
	conn   *conn         // nil while there is none that may be used
	last   lastConn      // the last connection that Apply wrote to
	held   raft.Position // what the backend holds
	marker []byte        // the same, as stored
	flight *flight       // a transaction whose outcome is not known
	run    run
	fatal  error
	lent   lentSettings
	// settings and users are what the backend has got from entries up to held.
	settings nodeSettings
	users    *Users
	// limit is the limit of memory among them, policy what is evicted beyond it, for others to read.
	limit  atomic.Int64
	policy atomic.Pointer[string]

	// high is the index of the highest position that was ever applied here. A connection to a server that holds less
	// is one to a server that lost data.
	high atomic.Uint64
	// busyUntil is up to when the server is taken to work on what it was asked, as the time since made. process is its own,
	// nil where it cannot be seen; scripted is set while a transaction with a script is under way.
	busyUntil atomic.Int64
	process   atomic.Pointer[process]
	scripted  atomic.Bool
	made      time.Time

	// behind is set by a read connection that met such a server; Apply looks for itself then.
	behind atomic.Bool

	// restoring is set while the data of the backend is replaced, and stays so until that has succeeded.
	restoring atomic.Bool

	// knownUsers are the newest users that the backend has had.
	usersMu        sync.Mutex
	knownUsers     *Users
	usersFollowers []func(*Users)

	problemMu sync.Mutex
	problem   error

	reads       readers
	streams     streams
	watchers    watchers
	subscribers subscribers
	tracking    atomic.Pointer[trackerHooks] // nil without a Tracker

	closing context.Context // ends with Close
	close   context.CancelFunc
}

var (
	_ raft.Store  = (*Backend)(nil)
	_ raft.Busier = (*Backend)(nil)
)

// lastConn is enough of a connection to kill it.
type lastConn struct {
	runID string
	id    int64
}

// ErrBehind is wrapped by errors of reads that were refused because the backend holds less than was applied to it.
var ErrBehind = errors.New("backend is behind")

// errDropped is returned by reads whose connection was given up because the data of the backend is not what it was.
var errDropped = errors.New("the connection was given up, because the backend holds other data now")

// ErrClosed is returned by reads after Close.
var ErrClosed = errors.New("backend is closed")

// New returns a Backend that has not connected yet.
func New(cfg Config) (*Backend, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	b := &Backend{
		Deadlines: newDeadlines(),
		cfg:       cfg,
		log:       cfg.Logger,
		made:      time.Now(),

		users:      &Users{},
		knownUsers: &Users{},
	}
	b.closing, b.close = context.WithCancel(context.Background())
	b.reads.b = b
	b.streams.init(b)
	b.watchers = watchers{b: b, busy: make(map[*conn]struct{})}
	return b, nil
}

// Open connects to the backend, claims it if it is empty, and rebuilds Deadlines from its data. See raft.Store.
func (b *Backend) Open(ctx context.Context, id raft.Identity) (raft.Position, error) {
	b.id.Store(&id)
	b.dropConn()
	b.flight, b.fatal = nil, nil
	err := b.open(ctx)
	b.report(err)
	if err != nil {
		return raft.Position{}, err
	}
	b.log.Info("backend opened", "addr", b.cfg.Addr, "version", b.conn.server.version, "term", b.held.Term, "index", b.held.Index,
		"deadlines", b.size.Load())
	return b.held, nil
}

func (b *Backend) open(ctx context.Context) error {
	if b.restoring.Load() {
		return errRestoring
	}
	c, release, err := b.dial(ctx)
	var login *loginError
	if errors.As(err, &login) {
		return &raft.FatalError{Err: err}
	}
	if err != nil {
		return err
	}
	defer release()
	if err := b.adopt(c); err != nil {
		_ = c.Close()
		return err
	}
	b.raise(b.held.Index)
	return nil
}

// adopt makes c, a verified connection in the metadata database, the one that Apply uses: it claims the backend if it
// is empty, takes over the position it holds and rebuilds Deadlines.
func (b *Backend) adopt(c *conn) error {
	if err := b.verifyCommands(c); err != nil {
		return err
	}
	_, found, err := b.getMarker(c, false)
	if err != nil {
		return err
	}
	if !found {
		if err := b.claim(c); err != nil {
			return err
		}
	}
	value, found, err := b.getMarker(c, true)
	if err != nil {
		return err
	}
	if !found {
		return fmt.Errorf("the position disappeared from backend %s while it was claimed", b.cfg.Addr)
	}
	held, err := b.checkMarker(value)
	if err != nil {
		return err
	}
	if err := b.rebuild(c, b.Deadlines); err != nil {
		return err
	}
	if err := b.configure(c); err != nil {
		return err
	}
	b.take(c, held, value)
	return nil
}

// take makes c the connection of Apply, on a backend that holds a position.
func (b *Backend) take(c *conn, held raft.Position, marker string) {
	c.busy = b.Busy // also one that was made to fill the backend
	b.conn = c
	b.process.Store(processOf(c))
	b.last = lastConn{runID: c.server.runID, id: c.id}
	b.held = held
	b.marker = append(b.marker[:0], marker...)
	b.flight = nil
	b.behind.Store(false)
}

// raise notes that index is applied.
func (b *Backend) raise(index uint64) {
	for {
		high := b.high.Load()
		if high >= index || b.high.CompareAndSwap(high, index) {
			return
		}
	}
}

// Position reads the position that the backend holds now, over a connection of its own.
func (b *Backend) Position(ctx context.Context) (raft.Position, error) {
	if b.id.Load() == nil {
		return raft.Position{}, errors.New("read position: the backend is not open")
	}
	if b.restoring.Load() {
		return raft.Position{}, fmt.Errorf("read position: %w", errRestoring)
	}
	c, release, err := b.dial(ctx)
	if err != nil {
		return raft.Position{}, err
	}
	defer release()
	defer c.Close()
	value, found, err := b.getMarker(c, false)
	if err != nil || !found {
		return raft.Position{}, err
	}
	return b.checkMarker(value)
}

// Healthy returns what keeps the backend from being used, as far as it was noticed, or nil. Only Apply, also one without
// entries, finds out that a problem is gone.
func (b *Backend) Healthy() error {
	b.problemMu.Lock()
	defer b.problemMu.Unlock()
	return b.problem
}

func (b *Backend) report(err error) {
	b.problemMu.Lock()
	defer b.problemMu.Unlock()
	b.problem = err
}

func (b *Backend) dropConn() {
	if b.conn != nil {
		_ = b.conn.Close()
		b.conn = nil
	}
}

// Close closes all connections and waits for what runs on them. The data of the backend stays as it is.
func (b *Backend) Close() error {
	b.close()
	b.dropConn()
	b.reads.closeAll()
	b.watchers.closeAll()
	b.streams.closeAll()
	b.subscribers.closeAll()
	return nil
}

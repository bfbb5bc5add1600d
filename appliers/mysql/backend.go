package mysql

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nexus-replication/nexus/raft"
)

// Backend is one MariaDB server as a raft.Store, with connections for the sessions of clients beside it.
//
// Open, Apply, Snapshot, Restore and Close are called from one goroutine, or one after the other; everything else is safe
// for concurrent use.
type Backend struct {
	cfg     Config
	log     *slog.Logger
	version atomic.Pointer[string]
	id      raft.Identity // set by Open

	transactions transactions
	capture      atomic.Pointer[capture]
	addresses    addresses
	sequences    sequences
	steered      steered
	left         leftProcedures
	connections  ownConnections
	stats        counters
	changing     atomic.Bool // a schema change is being executed
	amid         amid
	labour       labour
	owed         owed
	doubt        atomic.Pointer[error]

	// What follows is touched only by the goroutine that calls Open, Apply and so on.
	conn    *conn // nil while there is none that may be used
	applier *conn // executes row events; nil until the first
	held    raft.Position
	saved   raft.Position // what nexus.position says
	savedAt time.Time
	purged  time.Time
	binlog  quietBinlog
	known   known    // markers that are there; nil while that is to be read
	markers []marker // applied, whose rows can go once a position at or after theirs is saved
	epoch   uint64   // markers of earlier epochs are gone
	lost    []uint64 // connections of this node's own that were given up: what was said on them may still be executed
	fatal   error
	reading reading
	untaken map[string]bool // global variables of the log that the server does not take

	problemMu sync.Mutex
	problem   error
}

// marker is a row of nexus.applied and the index of the entry that it came with.
type marker struct {
	epoch, sequence uint64
	index           uint64
}

type counters struct {
	committed, applied, schema, restored, beside atomic.Uint64
	untaken, unreadable                          atomic.Int64
}

// Stats counts what happened since the process started.
type Stats struct {
	// Committed and Applied count transactions that this server executed, or took over as rows.
	Committed, Applied uint64
	// SchemaChanges counts statements.
	SchemaChanges uint64
	// Beside counts transactions in the binary log that did not come through the log of raft.
	Beside uint64
	// Untaken counts global variables of which the server does not have the value that clients have set.
	Untaken int
	// Unreadable counts views that the last snapshot does not have, because the server cannot read them.
	Unreadable int
	// Open counts transactions of sessions.
	Open int
	// Up is false while the server cannot be used, as far as was noticed.
	Up bool
}

// SchemaChanges counts those that were applied since the process started, and snapshots that came in the place of some.
func (b *Backend) SchemaChanges() uint64 { return b.stats.schema.Load() + b.stats.restored.Load() }

// Stats returns the counts of now.
func (b *Backend) Stats() Stats {
	return Stats{
		Committed: b.stats.committed.Load(), Applied: b.stats.applied.Load(), SchemaChanges: b.stats.schema.Load(),
		Beside: b.stats.beside.Load(), Untaken: int(b.stats.untaken.Load()), Unreadable: int(b.stats.unreadable.Load()), Open: b.transactions.count(), Up: b.Healthy() == nil,
	}
}

var (
	_ raft.Store     = (*Backend)(nil)
	_ raft.Busier    = (*Backend)(nil)
	_ raft.Explainer = (*Backend)(nil)
	_ raft.Doubter   = (*Backend)(nil)
)

// New returns a Backend that has not connected yet.
func New(cfg Config) (*Backend, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.TLS != nil && cfg.TLS.ServerName == "" {
		host, _, err := net.SplitHostPort(cfg.Addr)
		if err != nil {
			return nil, err
		}
		cfg.TLS = cfg.TLS.Clone()
		cfg.TLS.ServerName = host
	}
	b := &Backend{cfg: cfg, log: cfg.Logger, untaken: make(map[string]bool), owed: owed{limit: maxOwed, first: make(chan struct{}, 1)}}
	b.transactions.init()
	return b, nil
}

// Busy reports that a schema change is being executed, or rows are being applied and come along, which takes as long on every other
// member that has yet to. See raft.Busier.
func (b *Backend) Busy() bool { return b.changing.Load() || b.labour.comesAlong() }

// Version is what the server calls itself; "" before Open.
func (b *Backend) Version() string {
	if v := b.version.Load(); v != nil {
		return *v
	}
	return ""
}

// TLS is what a connection of Dial is to be protected with before somebody logs in; nil for nothing.
func (b *Backend) TLS() *tls.Config { return b.cfg.TLS }

// Dial returns a connection to the server on which nothing was said yet.
func (b *Backend) Dial(ctx context.Context) (net.Conn, error) {
	if err := b.Healthy(); err != nil {
		return nil, err
	}
	d := net.Dialer{Timeout: b.cfg.DialTimeout}
	c, err := d.DialContext(ctx, "tcp", b.cfg.Addr)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", b.cfg.Addr, err)
	}
	return c, nil
}

// Open connects to the server, checks it, claims it if it is empty, and ends whatever an earlier process left there. See
// raft.Store.
func (b *Backend) Open(ctx context.Context, id raft.Identity) (raft.Position, error) {
	b.id, b.fatal = id, nil
	b.drop()
	err := b.open(ctx)
	b.report(err)
	if err != nil {
		b.drop()
		return raft.Position{}, err
	}
	b.log.Info("backend opened", "addr", b.cfg.Addr, "version", b.Version(), "term", b.held.Term, "index", b.held.Index)
	return b.held, nil
}

func (b *Backend) open(ctx context.Context) error {
	if err := b.dialChecked(ctx); err != nil {
		return err
	}
	if err := b.endOthers(ctx); err != nil {
		return err
	}
	held, err := b.claim(ctx, b.conn)
	if err != nil {
		return err
	}
	if err := b.conn.run(ctx, rehearsalTable, answerTable, "DELETE FROM nexus.program_answer"); err != nil {
		return err
	}
	if err := b.dropLeftovers(ctx); err != nil {
		return err
	}
	if err := b.grant(ctx, b.conn); err != nil { // a crash may have come between a REVOKE and this
		return err
	}
	if err := b.rollBackPrepared(ctx, func(string) bool { return true }); err != nil {
		return err
	}
	if err := b.loadAddresses(ctx); err != nil {
		return err
	}
	b.take(held)
	if err := b.checkCommits(ctx); err != nil {
		return err
	}
	return b.captureAnew(ctx)
}

// dialChecked makes b.conn, on a server that is fit.
func (b *Backend) dialChecked(ctx context.Context) error {
	k, err := b.connect(ctx)
	if code := serverCode(err); code == 1045 || code == 1044 {
		return &raft.FatalError{Err: err}
	}
	if err != nil {
		return err
	}
	if err := b.checkServer(ctx, k); err != nil {
		k.close()
		return err
	}
	if err := b.setVariables(ctx, k); err != nil {
		k.close()
		return err
	}
	k.close() // max_allowed_packet is taken over when a connection begins
	b.conn, err = b.connect(ctx)
	return err
}

// take notes that the backend was found to hold a position.
func (b *Backend) take(held raft.Position) {
	b.held, b.saved, b.savedAt, b.purged = held, held, time.Now(), time.Now()
	b.markers = nil
	b.forgetKnown()
}

// ensure makes sure that there is a connection to a server that holds what was applied to it. A server that was restarted
// may have lost commits that were younger than its last write to disk.
func (b *Backend) ensure(ctx context.Context) error {
	if b.fatal != nil {
		return b.fatal
	}
	if b.conn != nil {
		if err := b.captureBroken(); err != nil {
			return b.readOn(ctx, err)
		}
		return nil
	}
	if err := b.dialChecked(ctx); err != nil {
		return err
	}
	if err := b.endLost(ctx); err != nil {
		return err
	}
	if err := b.dropLeft(ctx); err != nil {
		b.log.Warn("procedures of this node's own are left", "err", err)
	}
	row, err := b.marker(ctx, b.conn)
	if err != nil {
		return err
	}
	if row == nil {
		return b.reopen(ctx)
	}
	held, err := b.checkMarker(row)
	if err != nil {
		return err
	}
	if err := b.checkCommits(ctx); err != nil {
		return err
	}
	// A server that was restarted may have lost the end of its log with what else was younger than its last write to disk.
	if _, err := b.startCapture(ctx); err != nil {
		return err
	}
	if held != b.held {
		b.take(held)
		return &raft.BehindError{Position: held}
	}
	b.saved = held // also if the answer to that was lost
	return nil
}

// reopen claims a server that came back empty.
func (b *Backend) reopen(ctx context.Context) error {
	if err := b.open(ctx); err != nil {
		return err
	}
	return &raft.BehindError{Position: b.held}
}

// Position reads the position that the backend holds now.
func (b *Backend) Position(ctx context.Context) (raft.Position, error) {
	if err := b.ensure(ctx); err != nil {
		var behind *raft.BehindError
		if errors.As(err, &behind) {
			return behind.Position, nil
		}
		return raft.Position{}, err
	}
	return b.held, nil
}

// Healthy returns what keeps the backend from being used, as far as it was noticed, or nil.
func (b *Backend) Healthy() error {
	b.problemMu.Lock()
	defer b.problemMu.Unlock()
	return b.problem
}

func (b *Backend) report(err error) {
	var behind *raft.BehindError
	if errors.As(err, &behind) {
		err = nil
	}
	b.problemMu.Lock()
	defer b.problemMu.Unlock()
	b.problem = err
}

// drop closes the connections; the next call makes new ones.
func (b *Backend) drop() {
	for _, k := range []**conn{&b.conn, &b.applier} {
		if *k != nil {
			b.lose(*k)
			*k = nil
		}
	}
	b.stopCapture()
	b.forgetKnown()
}

// Close ends the transactions of sessions and closes all connections. The data stays as it is.
func (b *Backend) Close() error {
	b.transactions.closeSessions()
	b.drop()
	return nil
}

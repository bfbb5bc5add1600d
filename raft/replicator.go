package raft

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	etcdraft "go.etcd.io/etcd/raft/v3"
	"go.etcd.io/etcd/raft/v3/raftpb"

	"github.com/nexus-replication/nexus/raft/failpoint"
)

const (
	// raft's own limits, as etcd sets them.
	maxMessageBytes     = 1 << 20
	maxInflightMessages = 512
	maxUncommittedBytes = 256 << 20

	backendOpenPause = 500 * time.Millisecond
	handOverTimeout  = 500 * time.Millisecond
)

// Roles beyond raft's own, in Replicator.role.
const (
	roleStarting uint32 = 100 + iota
	roleJoining
)

// Replicator is one member of a cluster. Its methods may be called by any goroutine, at any time after New.
type Replicator struct {
	cfg      Config
	log      *slog.Logger
	mail     *mailbox
	observer Observer // or nil
	metrics  *metrics

	ctx      context.Context // ends when the node stops or fails
	cancel   context.CancelCauseFunc
	failOnce sync.Once
	failed   chan struct{}
	running  chan struct{} // closed when raft runs
	opened   chan struct{} // closed when the Store is open
	tasks    sync.WaitGroup
	stopOnce sync.Once

	identityMu sync.Mutex // until running is closed
	identity   identity
	lock       *os.File
	disk       *diskLog
	transport  *transport
	tls        peerTLS
	server     *http.Server
	client     *http.Client
	membership *memberSet
	dialects   *dialects
	changeTurn chan struct{}
	verifyTurn chan struct{}
	made       time.Time            // when arrivals begin
	wallClock  func() time.Time     // for the stamps of entries
	leaseClock func() time.Duration // for whatever must not outlast a pause
	wakeIn     func(time.Duration)  // wakes the loop; only the last call counts

	nextProposal atomic.Uint64
	pending      pendingSet
	pendingBytes atomic.Int64
	committed    *watermark // index up to which entries may be applied
	applyWaits   applyWaits
	awaited      awaited
	noAnswer     *NoAnswerError // within Config.Timeout
	snapshotTurn snapshotTurn
	pinning      sync.Mutex // held while snapshots are purged, or one is chosen that must not be
	pinned       uint64     // index of the snapshot that the applier restores; guarded by pinning

	// Published by the loop and the applier for everyone.
	role                 atomic.Uint32
	term, leader, commit atomic.Uint64
	applied, appliedTerm atomic.Uint64
	lagging              atomic.Bool
	noLeader             atomic.Bool // for longer than a fail-over takes, as of the last tick
	lease                lease
	logWrite             logWrite
	backendProblem       atomic.Pointer[error]
	applying             atomic.Int64           // bytes of the entries that the backend has been given, or 0
	call                 atomic.Uint64          // number of the call of Store.Apply that is under way, or 0
	callBegun            atomic.Int64           // on leaseClock, when it began, if it applies entries; 0 otherwise
	problem              atomic.Pointer[string] // while starting
	snapshotIndex        atomic.Uint64          // of the newest snapshot on disk
	snapshotAt           atomic.Int64           // when it was put there, in ns since the epoch; 0 for before the start
	snapshotWritten      atomic.Uint64          // bytes
	snapshotSentBytes    atomic.Uint64
	sending              sendings
	checkpoint           atomic.Pointer[checkpoint]
	quarantined          atomic.Pointer[quarantine]
	mustRestore          atomic.Uint64                     // index of the snapshot that a repair is to restore, or 0
	verified             atomic.Pointer[VerifyReport]      // as a leader
	restoring            atomic.Uint64                     // index of the snapshot under restoringFile, or 0
	progress             atomic.Pointer[map[uint64]uint64] // on a leader, as of the last tick

	// Owned by the loop.
	node          *etcdraft.RawNode
	started       time.Duration // on leaseClock
	leading       bool
	campaign      campaign
	leaderless    leaderless
	formerLeader  uint64
	handOvers     handOvers
	seeking       bool          // for a member that is through
	appliedBefore uint64        // as of the last tick
	appliedAt     time.Duration // on leaseClock, when applied last grew, or the backend was busy
	soughtAt      time.Duration // on leaseClock, when applied last grew, or a member was sought that is through
	callBefore    uint64        // as of the last tick
	callTicks     int           // for which that call is under way
	proposedAt    time.Duration // on leaseClock
	askServing    time.Duration // as the constant, but for tests
	transferTerm  uint64        // in which a leadership transfer was started: no lease
	gathering     gathering
	regrouping    regrouping
	queue         []*proposal
	batch         []*proposal
	groups        []group
	cmds          []Command
	forwards      *forwards
	held          bool     // an entry of the sequencer's own was proposed and has to be applied first
	holdIndex     uint64   // its index
	cutting       *cutting // an entry that goes into the log in pieces, before anything else, or nil
	wholeBytes    int      // as the constants, but for tests
	pieceBytes    int
	waits         *waitQueue
	links         map[string]*waitLink     // of the nodes whose clients wait here, by token
	link          *waitLink                // to the leader on which this node's clients wait
	orphaned      bool                     // some of them wait on a link that broke
	heard         map[uint64]time.Duration // on leaseClock, when a member was heard last
	round         *readRound
	readID        uint64
	answers       []raftpb.Message // to members that asked about reads
	changes       map[uint64]chan struct{}
	resends       map[uint64]resend // of snapshots, by member
	view          *logView          // nil unless the Sequencer is a LogReader
	uncommitted   uncommitted       // of a leader
}

// New checks cfg. Nothing is opened before Start.
func New(cfg Config) (*Replicator, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	var seed [8]byte
	if _, err := rand.Read(seed[:]); err != nil {
		return nil, fmt.Errorf("draw a random number: %w", err)
	}
	certificates, err := loadPeerTLS(cfg.TLS, cfg.Logger)
	if err != nil {
		return nil, err
	}
	came := newAwaited()
	r := &Replicator{
		cfg:        cfg,
		log:        cfg.Logger,
		tls:        certificates,
		mail:       newMailbox(),
		failed:     make(chan struct{}),
		running:    make(chan struct{}),
		opened:     make(chan struct{}),
		membership: newMemberSet(),
		dialects:   newDialects(),
		logWrite:   logWrite{made: time.Now()},
		changeTurn: make(chan struct{}, 1),
		verifyTurn: make(chan struct{}, 1),
		pending:    pendingSet{came: came, byID: make(map[uint64]*proposal)},
		applyWaits: applyWaits{came: came},
		awaited:    came,
		committed:  newWatermark(),
		noAnswer:   &NoAnswerError{After: cfg.Timeout},
		forwards:   new(forwards),
		changes:    make(map[uint64]chan struct{}),
		resends:    make(map[uint64]resend),
		links:      make(map[string]*waitLink),
		heard:      make(map[uint64]time.Duration),
		campaign:   campaign{draw: mathrand.IntN},
		wholeBytes: wholeBytes,
		pieceBytes: pieceBytes,
		askServing: askServing,
		wallClock:  failpoint.Now,
		made:       time.Now(),
		leaseClock: bootClock,
		lease:      lease{clock: bootClock},
		client: &http.Client{Transport: &http.Transport{
			DialContext:         (&net.Dialer{Timeout: time.Second}).DialContext,
			MaxIdleConnsPerHost: 2 * maxForwards,
			IdleConnTimeout:     time.Minute,
			DisableCompression:  true,
			TLSClientConfig:     certificates.client,
		}},
	}
	alarm := time.AfterFunc(time.Hour, r.mail.wake)
	alarm.Stop()
	r.wakeIn = func(d time.Duration) { alarm.Reset(d) }
	// Numbers of an earlier run of this node may still come out of the log.
	r.nextProposal.Store(binary.LittleEndian.Uint64(seed[:]))
	r.readID = r.nextProposal.Load()
	r.metrics = newMetrics(r)
	r.observer, _ = cfg.Sequencer.(Observer)
	rules, _ := cfg.Sequencer.(Waiting)
	r.waits = newWaitQueue(rules, cfg.MaxBatchCommands, &r.pendingBytes, r.isAbsent)
	r.role.Store(roleStarting)
	r.ctx, r.cancel = context.WithCancelCause(context.Background())
	if reader, ok := cfg.Sequencer.(LogReader); ok {
		r.view = &logView{r: r}
		reader.ReadLog(r.view)
	}
	return r, nil
}

func (r *Replicator) isRunning() bool { return isClosed(r.running) }

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// watchTransport notices that other members have removed this one, which it may not learn from its own log.
func (r *Replicator) watchTransport(ctx context.Context) {
	select {
	case err := <-r.transport.errors:
		r.fail(fmt.Errorf("%w: %w", ErrRemoved, r.confirmRemoval(ctx, err)))
		<-ctx.Done()
	case <-ctx.Done():
	}
	r.transport.stop() // nobody would take what it hears
}

// spawn runs f until it returns; Stop waits for it. f must end when its context does.
func (r *Replicator) spawn(f func(context.Context)) {
	r.tasks.Add(1)
	go func() {
		defer r.tasks.Done()
		f(r.ctx)
	}()
}

// Done is closed when the node stopped by itself; Err says why.
func (r *Replicator) Done() <-chan struct{} { return r.failed }

// Err returns why the node stopped by itself, or nil.
func (r *Replicator) Err() error {
	select {
	case <-r.failed:
		return context.Cause(r.ctx)
	default:
		return nil
	}
}

// Stop hands over leadership, ends everything and closes the Store. It returns when that is done; ctx bounds only the
// hand-over.
func (r *Replicator) Stop(ctx context.Context) error {
	if r.isRunning() && r.ctx.Err() == nil && r.leader.Load() == r.identity.ID && len(r.membership.list()) > 1 {
		ctx, cancel := context.WithTimeout(ctx, handOverTimeout)
		if err := r.transferAsLeader(ctx, 0); err != nil {
			r.log.Info("stopping without handing over leadership", "err", err)
		}
		cancel()
	}
	r.cancel(ErrStopped)
	return r.release()
}

// release ends the goroutines and closes what is open, in the order in which one uses the other.
func (r *Replicator) release() error {
	var errs []error
	r.stopOnce.Do(func() {
		if r.server != nil {
			errs = append(errs, r.server.Close())
		}
		if r.transport != nil {
			r.transport.stop()
		}
		r.tasks.Wait()
		r.client.CloseIdleConnections()
		r.checkpoint.Load().close()
		if r.disk != nil {
			errs = append(errs, r.disk.close())
		}
		errs = append(errs, r.cfg.Store.Close())
		if r.lock != nil {
			errs = append(errs, r.lock.Close())
		}
	})
	return errors.Join(errs...)
}

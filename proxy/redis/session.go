package redis

import (
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidwall/redcon"

	backend "github.com/nexus-replication/nexus/appliers/redis"
	"github.com/nexus-replication/nexus/proxy/rate"
	"github.com/nexus-replication/nexus/proxy/redis/acl"
	"github.com/nexus-replication/nexus/proxy/redis/guard"
	"github.com/nexus-replication/nexus/proxy/redis/policy"
)

const (
	// flushBytes is how many bytes of replies are collected before they are sent, in the middle of a batch too.
	flushBytes = 256 << 10
	// keepBytes is the largest buffer that an idle session holds on to.
	keepBytes = 64 << 10
)

// A session is idle while it waits for requests, busy while it runs a batch. Only an idle one may be closed at once when
// the server drains.
const (
	stateIdle int32 = iota
	stateBusy
	stateClosed
)

// session is one client. All fields belong to the goroutine of its connection, except where noted.
type session struct {
	srv   *Server
	conn  *guard.Conn
	state atomic.Int32
	clock phaseClock

	authenticated bool
	// mustLogIn is set for a client that is not authenticated if it was known, when its command came, that it has to be.
	mustLogIn bool
	// user is who the client is. Unless limited is set, it may do everything.
	user    *acl.User
	limited bool
	// seen are the users of the node that user was taken from. See noticeUsers.
	seen *acl.Set
	// unproven is set while the client is the default user without a password, and it is not sure that this was allowed
	// when it came.
	unproven bool
	// changing is set while the client changes users, dismissed if it must go then. Any goroutine may use them.
	changing, dismissed atomic.Bool

	db       int
	name     string
	protocol backend.Protocol
	multi    *transaction
	watch    *watch // nil while no key is watched
	// ended is set when nothing more may be executed: QUIT, a broken connection or invariant.
	ended bool
	// failed is set when a phase failed because of the machine. The rest of the batch is refused quickly, instead of
	// one timeout after the other, and in order, instead of around a write whose outcome is unknown.
	failed bool
	// arrived is when what is executed has come, or zero if that is not known, or there was something to wait for since.
	arrived time.Time
	// waited is for how long commands of the batch were blocked.
	waited time.Duration
	// planning is set while EXEC runs commands of the session itself: those do not wait.
	planning bool

	// sub is set while the client is subscribed to something, captured while an EXEC runs that asks it.
	sub      *subscription
	captured *captured
	monitor  *monitor // set while the client is in MONITOR
	tracked  *tracked // set while the client is told of what others change
	skipNext bool     // CLIENT REPLY SKIP: the next command gets no reply
	// CLIENT REPLY OFF. Nothing is sent while muted, which the command behind SKIP is, too.
	repliesOff bool

	// sending is held while bytes go to the client, from the beginning of a reply or message to its end.
	sending sync.Mutex
	// muted is set while the client wants no replies. Other goroutines read it with sending held.
	muted bool

	rate    *rate.Limit // nil without a limit
	out     []byte      // replies not sent yet
	flushes int         // how often they were
	phase   phase
	writes  writePhase
	growth  int64 // see noteGrowth
	reads   readPhase

	// shown is what CLIENT LIST of other sessions may see.
	shown struct {
		sync.Mutex
		clientFacts
	}
	// lastActive is when a batch has last begun or ended, in nanoseconds since the epoch.
	lastActive atomic.Int64
	// strangerSince is since when the client would have to log in, in nanoseconds since the epoch; 0 if it need not.
	strangerSince atomic.Int64
	lastCommand   atomic.Pointer[policy.Spec]
}

func newSession(srv *Server, conn *guard.Conn) *session {
	s := &session{srv: srv, conn: conn, protocol: backend.RESP2, rate: rate.New(srv.cfg.MaxClientRate)}
	s.reads.fn = s.readOnce
	s.clock.busy = srv.backend.Busy
	s.shown.queued, s.shown.protocol = -1, s.protocol
	s.lastActive.Store(conn.Opened().UnixNano())
	s.beDefault()
	conn.SetAside()
	return s
}

// handle runs the commands that have arrived together, and answers them. It is called by redcon, on the goroutine of the
// connection.
func (s *session) handle(conn redcon.Conn, first redcon.Command) {
	if !s.state.CompareAndSwap(stateIdle, stateBusy) {
		conn.ReadPipeline()
		return
	}
	defer s.finish(conn)
	start := time.Now()
	s.arrived = s.conn.Arrived(start, time.Unix(0, s.lastActive.Swap(start.UnixNano())))
	s.failed, s.waited = false, 0
	s.holdPushes()
	if frame := s.conn.TakeLarge(); frame != nil {
		args, err := backend.ParseCommand(frame, nil)
		if err != nil {
			s.broken("a large request is no command", "error", err)
			return
		}
		first = redcon.Command{Raw: frame, Args: args}
	}
	s.run(first)
	pipeline := conn.ReadPipeline()
	for _, cmd := range pipeline {
		if s.ended {
			return
		}
		s.run(cmd)
	}
	if !s.ended {
		s.endPhase()
	}
	took := time.Since(start) - s.waited
	if s.srv.slow.slow(took) {
		s.srv.slow.add(s, first.Args, start, took)
	}
	if limit := s.srv.cfg.LogSlower; limit > 0 && took >= limit {
		s.logSlow(first, len(pipeline), took)
	}
}

// takeArrived returns when what is proposed now has come. What follows in the same batch will have waited for that.
func (s *session) takeArrived() time.Time {
	arrived := s.arrived
	s.arrived = time.Time{}
	return arrived
}

// finish sends what is left and hands the connection back to redcon, or closes it. It also ends a panic: the process
// and the other sessions live on, and this client learns by the closed connection that its outcome is unknown.
func (s *session) finish(conn redcon.Conn) {
	if p := recover(); p != nil {
		s.srv.log.Error("session panicked, closing its connection; its writes in flight may or may not be executed",
			"client", s.conn.RemoteAddr().String(), "panic", p, "stack", string(debug.Stack()))
		s.srv.metrics.panics.Add(1)
		s.ended = true
		s.out = nil
	}
	if s.tracked != nil {
		s.out = s.tracked.appendPending(s.out)
	}
	s.flush()
	s.releasePushes()
	if cap(s.out) > keepBytes {
		s.out = nil
	}
	s.writes.trim()
	s.reads.trim()
	if s.ended {
		s.state.Store(stateClosed)
		_ = conn.Close()
		return
	}
	// Idle since now, however long the batch has taken.
	s.lastActive.Store(time.Now().UnixNano())
	s.state.Store(stateIdle)
	if s.srv.draining.Load() {
		s.closeIdle()
	}
}

// closeIdle closes the connection unless a batch is running; then finish will close it. Any goroutine may call it.
func (s *session) closeIdle() {
	if s.state.CompareAndSwap(stateIdle, stateClosed) {
		_ = s.conn.Close()
	}
}

// flush sends the collected replies. A client that does not read them is closed by the guard, and the session ends.
func (s *session) flush() {
	if len(s.out) == 0 {
		return
	}
	if s.send(s.out) != nil {
		s.ended = true
	}
	s.out = s.out[:0]
	s.flushes++
}

// send sends whole replies or messages. Any goroutine may call it.
func (s *session) send(p []byte) error {
	s.sending.Lock()
	defer s.sending.Unlock()
	return s.sendLocked(p)
}

// sendLocked is send for who holds sending.
func (s *session) sendLocked(p []byte) error {
	if s.muted || len(p) == 0 {
		return nil
	}
	_, err := s.conn.Write(p)
	return err
}

// flushLarge sends the collected replies when there are many. It must not be called inside of a phase.
func (s *session) flushLarge() {
	if len(s.out) >= flushBytes {
		s.flush()
		s.out = nil
	}
}

// release lets go of what works for the session beside its goroutine. It does not wait.
func (s *session) release() {
	s.clock.release()
	if s.sub != nil {
		s.sub.stop()
	}
	if s.monitor != nil {
		s.leaveMonitor()
	}
	s.endTracking()
}

// broken ends the session because something that cannot be was seen.
func (s *session) broken(what string, args ...any) {
	s.srv.log.Error("closing a session: "+what, append(args, "client", s.conn.RemoteAddr().String())...)
	s.ended = true
}

func (s *session) setDB(db int) {
	s.db = db
	s.shown.Lock()
	s.shown.db = db
	s.shown.Unlock()
}

func (s *session) setName(name string) {
	s.name = name
	s.shown.Lock()
	s.shown.name = name
	s.shown.Unlock()
}

func (s *session) setProtocol(p backend.Protocol) {
	s.protocol = p
	s.shown.Lock()
	s.shown.protocol = p
	s.shown.Unlock()
}

func (s *session) setMulti(t *transaction) {
	s.multi = t
	queued := -1
	if t != nil {
		queued = len(t.cmds)
	}
	s.shown.Lock()
	s.shown.queued = queued
	s.shown.Unlock()
}

// selectable reports whether clients may select the database.
func (s *session) selectable(db int64) bool {
	return db >= 0 && db < int64(s.srv.cfg.Databases) && db != int64(s.srv.cfg.ReservedDB)
}

// commandName is the name of a command as CLIENT LIST shows it.
func commandName(spec *policy.Spec) string {
	if spec == nil {
		return "NULL"
	}
	return strings.ToLower(spec.Name)
}

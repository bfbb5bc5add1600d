package mysql

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/nexus-replication/nexus/raft"
)

const (
	// groupPatience is for how long the commit that came first waits for those that are under way, or for as long as they take
	// as a rule, but no longer than mostPatience: that they are about to come is known, but not that they need not wait for a lock.
	groupPatience = 2 * time.Millisecond
	mostPatience  = 8 * time.Millisecond
	// groupBytes is enough for a proposal.
	groupBytes = 256 << 10
	// vainCommits do not wait after one for which nobody came. Those who are executed may be waiting for it: for a row that it
	// has locked.
	vainCommits = 32
)

// commitGroup gathers the commits of sessions into one proposal: each costs the disks, the network and the processors of all
// nodes about the same, however many transactions stand in it. A commit waits for those only of which it is known that they
// are about to come, so nobody who is alone waits.
type commitGroup struct {
	propose  func(ctx context.Context, commands [][]byte) (raft.Outcome, error)
	patience time.Duration // groupPatience

	mu     sync.Mutex
	coming int // transactions that are being executed and will be proposed at once, but for those that were waited for before
	round  int // of announcements: those of earlier rounds are not waited for again
	open   *gathering
	vain   int // commits left that do not wait, after one that did so in vain

	reunion reunion
}

// announcement is that of one transaction.
type announcement struct {
	round int
	at    time.Time
}

// gathering is a proposal that is being put together.
type gathering struct {
	ctx      context.Context // that of the member which waits the longest
	commands [][]byte
	bytes    int
	members  int
	patience time.Duration // of its first member
	timer    *time.Timer   // after which it is given up; nil where nobody was waited for
	until    time.Time     // for how long it may wait beyond the patience of its first member
	full     chan struct{} // closed when nobody is waited for any more
	done     chan struct{} // closed when outcome and err are there
	outcome  raft.Outcome
	err      error
}

// expect announces a transaction, which calls commit or forgo.
func (g *commitGroup) expect() announcement {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.coming++
	return announcement{g.round, time.Now()}
}

// forgo says that an announced transaction will not be proposed.
func (g *commitGroup) forgo(a announcement) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.come(a)
	g.closeIfFull()
}

// come takes an announcement back.
func (g *commitGroup) come(a announcement) {
	if a.round == g.round {
		g.coming--
	}
}

// commit proposes commands, together with those of others, and returns the replies to them. What they have in common is the
// fate of a proposal; see raft.Replicator.Propose for the errors. Each waits until its own ctx is done.
func (g *commitGroup) commit(ctx context.Context, a announcement, commands [][]byte) ([]raft.Reply, error) {
	size := 0
	for _, c := range commands {
		size += len(c)
	}
	took := time.Since(a.at)
	g.mu.Lock()
	g.reunion.came(took)
	g.come(a)
	if size >= groupBytes {
		g.closeIfFull()
		g.mu.Unlock()
		outcome, err := g.propose(ctx, commands) // it may be too large, which is nobody else's business
		return outcome.Replies, err
	}
	j := g.open
	if j == nil {
		j = &gathering{ctx: ctx, patience: g.patienceNow(), full: make(chan struct{}), done: make(chan struct{})}
		g.open = j
		if g.reunion.away > 0 {
			j.until = time.Now().Add(g.reunion.longFlight())
		}
	}
	first := len(j.commands)
	j.commands = append(j.commands, commands...)
	j.bytes += size
	j.members++
	j.ctx = later(j.ctx, ctx)
	leads := j.members == 1
	if leads && g.vain > 0 {
		g.vain--
		g.close()
	} else {
		g.closeIfFull()
	}
	if leads && g.open == j {
		j.timer = time.NewTimer(j.patience)
	}
	g.mu.Unlock()

	if leads {
		g.lead(j)
	} else {
		select {
		case <-j.done:
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", raft.ErrOutcomeUnknown, context.Cause(ctx))
		}
	}
	if j.err != nil {
		return nil, j.err
	}
	return j.outcome.Replies[first : first+len(commands)], nil
}

// patienceNow is that of a gathering that begins: where enough are under way, some of them come soon.
func (g *commitGroup) patienceNow() time.Duration {
	if g.coming >= enough {
		return g.patience
	}
	return max(g.patience, min(g.reunion.takes, mostPatience))
}

func (g *commitGroup) closeIfFull() {
	j := g.open
	if j == nil || j.bytes < groupBytes && (g.coming > 0 || g.reunion.awaits(j.members)) {
		return
	}
	g.close()
}

func (g *commitGroup) close() {
	close(g.open.full)
	g.open = nil
}

// later returns the context that ends later. It is the one that a proposal may be made in: its owner does not leave before.
func later(a, b context.Context) context.Context {
	endA, bounded := a.Deadline()
	endB, boundedB := b.Deadline()
	if bounded && (!boundedB || endB.After(endA)) {
		return b
	}
	return a
}

// lead proposes j when it is full, or has waited for long enough.
func (g *commitGroup) lead(j *gathering) {
	defer close(j.done)
	if j.timer != nil {
		g.awaitFull(j)
	}
	g.mu.Lock()
	g.reunion.leave(j.members)
	g.mu.Unlock()
	defer g.land(j, time.Now())
	j.err = raft.ErrOutcomeUnknown // should the session of this one come to an end in there
	j.outcome, j.err = g.propose(j.ctx, j.commands)
}

// awaitFull waits until j is full, for as long as it may.
func (g *commitGroup) awaitFull(j *gathering) {
	defer j.timer.Stop()
	for {
		select {
		case <-j.full:
			return
		case <-j.timer.C:
		}
		left := g.giveUp(j)
		if left <= 0 {
			return
		}
		j.timer.Reset(left)
	}
}

// land notes that the proposal of j, which was made at begun, has come to its end.
func (g *commitGroup) land(j *gathering, begun time.Time) {
	now := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	waiting := 0
	if g.open != nil {
		waiting = g.open.members
	}
	g.reunion.land(j.members, waiting, now.Sub(begun))
	g.closeIfFull()
	if next := g.open; next != nil { // for those who come back now
		next.until = now.Add(next.patience)
		next.timer.Reset(next.patience)
	}
}

// giveUp closes j without those that did not come, and lets nobody wait for them again: a statement that is executed for long
// would hold up every proposal. For who is on the way to the log j may have to wait longer.
func (g *commitGroup) giveUp(j *gathering) (left time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open != j {
		return 0
	}
	if j.members == 1 && g.coming > 0 {
		g.vain = vainCommits
	}
	if g.coming > 0 {
		g.coming, g.round = 0, g.round+1
	}
	if left = time.Until(j.until); left > 0 && g.reunion.awaits(j.members) {
		return left
	}
	g.open = nil
	g.reunion.miss(j.members)
	return 0
}

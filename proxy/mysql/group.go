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
	// lingerShare: where a crowd has transactions open, some of which end at any moment, a commit waits for a sixteenth of what its
	// own transaction has taken, up to mostPatience.
	lingerShare = 16
)

// commitGroup gathers the commits of sessions into one proposal: each costs the disks, the network and the processors of all
// nodes about the same, however many transactions stand in it. A commit waits for those of which it is known that they
// are about to come, and, in a crowd, for those that may be: nobody who is alone waits.
type commitGroup struct {
	propose  func(ctx context.Context, commands [][]byte) (raft.Outcome, error)
	inside   func() int    // how many transactions are open
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
	takes time.Duration // since the client began it; 0 for one of a single statement
}

// gathering is a proposal that is being put together.
type gathering struct {
	ctx      context.Context // that of the member which waits the longest
	commands [][]byte
	bytes    int
	members  int
	patience time.Duration // of its first member
	opened   time.Time
	timer    *time.Timer // after which it is given up; nil where nobody was waited for
	until    time.Time   // for how long it may wait beyond the patience of its first member
	// lingersUntil is for how long whoever may come is waited for: no longer than any member has patience for that.
	lingersUntil time.Time
	full         chan struct{} // closed when nobody is waited for any more
	done         chan struct{} // closed when outcome and err are there
	outcome      raft.Outcome
	err          error
}

// expect announces a transaction, which calls commit or forgo. Its client has begun it at that time, or it is a single statement.
func (g *commitGroup) expect(begun time.Time) announcement {
	a := announcement{at: time.Now()}
	if !begun.IsZero() {
		a.takes = a.at.Sub(begun)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.coming++
	a.round = g.round
	return a
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
	now := time.Now()
	took := now.Sub(a.at)
	lingersUntil := now.Add(g.mayLinger(a.takes))
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
		j = &gathering{ctx: ctx, patience: g.patienceNow(), opened: now, lingersUntil: lingersUntil, full: make(chan struct{}), done: make(chan struct{})}
		g.open = j
		if g.reunion.away > 0 {
			j.until = now.Add(g.reunion.longFlight())
		}
	}
	first := len(j.commands)
	j.commands = append(j.commands, commands...)
	j.bytes += size
	j.members++
	j.ctx = later(j.ctx, ctx)
	if lingersUntil.Before(j.lingersUntil) {
		j.lingersUntil = lingersUntil
	}
	leads := j.members == 1
	if leads && g.vain > 0 {
		g.vain--
		g.close()
	} else {
		g.closeIfFull()
	}
	if leads && g.open == j {
		j.timer = time.NewTimer(g.firstWait(j))
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

// mayLinger is for how long a transaction that took so long waits for whoever may come.
func (g *commitGroup) mayLinger(took time.Duration) time.Duration {
	if took == 0 || g.inside() < crowd {
		return 0
	}
	return min(took/lingerShare, mostPatience)
}

// awaits reports whether it is known of others that they come soon.
func (g *commitGroup) awaits(j *gathering) bool { return g.coming > 0 || g.reunion.awaits(j.members) }

// lingers is for how long whoever may come is waited for, from now on.
func (j *gathering) lingers() time.Duration {
	if j.members >= enough {
		return 0
	}
	return max(0, time.Until(j.lingersUntil))
}

// firstWait is after which time it is to be seen who has come.
func (g *commitGroup) firstWait(j *gathering) time.Duration {
	if g.awaits(j) {
		return j.patience
	}
	return j.lingers()
}

// closeIfFull leaves alone what is open and awaits others: its timer ends that.
func (g *commitGroup) closeIfFull() {
	j := g.open
	if j == nil {
		return
	}
	if j.bytes < groupBytes {
		if g.awaits(j) {
			return
		}
		if left := j.lingers(); left > 0 {
			if j.timer != nil {
				j.timer.Reset(left)
			}
			return
		}
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
	if left = j.patience - time.Since(j.opened); left > 0 && g.coming > 0 { // it has waited for whoever may come, and now somebody does
		return left
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

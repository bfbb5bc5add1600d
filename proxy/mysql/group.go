package mysql

import (
	"context"
	"sync"
	"time"

	"github.com/nexus-replication/nexus/raft"
)

const (
	// groupPatience is for how long the commit that came first waits for those that are under way.
	groupPatience = 2 * time.Millisecond
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
	propose func(ctx context.Context, commands [][]byte) (raft.Outcome, error)

	mu     sync.Mutex
	coming int // transactions that are being executed and will be proposed at once
	open   *gathering
	vain   int // commits left that do not wait, after one that did so in vain
}

// gathering is a proposal that is being put together.
type gathering struct {
	commands [][]byte
	bytes    int
	members  int
	full     chan struct{} // closed when nobody is waited for any more
	done     chan struct{} // closed when outcome and err are there
	outcome  raft.Outcome
	err      error
}

// expect announces a transaction, which calls commit or forgo.
func (g *commitGroup) expect() {
	g.mu.Lock()
	g.coming++
	g.mu.Unlock()
}

// forgo says that an announced transaction will not be proposed.
func (g *commitGroup) forgo() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.coming--
	g.closeIfFull()
}

// commit proposes commands, together with those of others, and returns the replies to them. What they have in common is the
// fate of a proposal; see raft.Replicator.Propose for the errors.
func (g *commitGroup) commit(ctx context.Context, commands [][]byte) ([]raft.Reply, error) {
	size := 0
	for _, c := range commands {
		size += len(c)
	}
	g.mu.Lock()
	g.coming--
	if size >= groupBytes {
		g.closeIfFull()
		g.mu.Unlock()
		outcome, err := g.propose(ctx, commands) // it may be too large, which is nobody else's business
		return outcome.Replies, err
	}
	j := g.open
	if j == nil {
		j = &gathering{full: make(chan struct{}), done: make(chan struct{})}
		g.open = j
	}
	first := len(j.commands)
	j.commands = append(j.commands, commands...)
	j.bytes += size
	j.members++
	leads := j.members == 1
	if leads && g.vain > 0 {
		g.vain--
		g.close()
	} else {
		g.closeIfFull()
	}
	g.mu.Unlock()

	if leads {
		g.lead(ctx, j)
	} else {
		<-j.done // bounded by the context of the one that leads
	}
	if j.err != nil {
		return nil, j.err
	}
	return j.outcome.Replies[first : first+len(commands)], nil
}

func (g *commitGroup) closeIfFull() {
	if j := g.open; j != nil && (g.coming == 0 || j.bytes >= groupBytes) {
		g.close()
	}
}

func (g *commitGroup) close() {
	close(g.open.full)
	g.open = nil
}

// lead proposes j when it is full, or has waited for long enough.
func (g *commitGroup) lead(ctx context.Context, j *gathering) {
	defer close(j.done)
	select {
	case <-j.full:
	default:
		timer := time.NewTimer(groupPatience)
		select {
		case <-j.full:
		case <-timer.C:
		}
		timer.Stop()
		g.mu.Lock()
		if g.open == j {
			g.open = nil
			if j.members == 1 {
				g.vain = vainCommits
			}
		}
		g.mu.Unlock()
	}
	j.err = raft.ErrOutcomeUnknown // should the session of this one come to an end in there
	j.outcome, j.err = g.propose(ctx, j.commands)
}

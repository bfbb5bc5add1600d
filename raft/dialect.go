package raft

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

const (
	// newestEntry is the newest version of log entries that this program reads.
	newestEntry = pieceVersion
	// dialectPause is between two tries to learn what members read.
	dialectPause = time.Second
)

// dialects is what versions of log entries the other members read. A member of an older program stops at an entry that it
// does not know, so nothing is written in a newer version before every member is known to read it: one that is down may
// come back as it was.
//
// What was learned is held for as long as this process runs, by the id, which no other node ever has. A member that goes
// back to an older program after that stops, and says why.
type dialects struct {
	mu    sync.Mutex
	reads map[uint64]dialect
	added chan struct{} // members were
}

// dialect is the newest versions that a member reads: of log entries, and of the commands in them (Config.CommandVersion).
type dialect struct{ entries, commands int }

func newDialects() *dialects {
	return &dialects{reads: make(map[uint64]dialect), added: make(chan struct{}, 1)}
}

func (d *dialects) learn(id uint64, reads dialect) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.reads[id] = reads
}

// of returns what a member is known to read.
func (d *dialects) of(id uint64) dialect {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.reads[id]
}

// noteAdded has those that are new asked at once.
func (d *dialects) noteAdded() {
	select {
	case d.added <- struct{}{}:
	default: // that is to be done already
	}
}

// notReading returns the members that are not known to read all of that.
func (r *Replicator) notReading(what dialect) []Member {
	return slices.DeleteFunc(r.Members(), func(m Member) bool {
		reads := r.dialects.of(m.ID)
		return m.ID == r.identity.ID || reads.entries >= what.entries && reads.commands >= what.commands
	})
}

// MembersWithout returns the members that are not known to read commands of version, which they have in Config.CommandVersion.
// A command that older Stores stop at must not be proposed before there is none of them: one that is down may come back as it
// was. Followers know it too.
func (r *Replicator) MembersWithout(version int) []Member {
	return r.notReading(dialect{commands: version})
}

// learnDialects asks the members what they read, and goes on with those that do not answer or are of an older version.
// Followers ask too: one that becomes the leader knows already.
func (r *Replicator) learnDialects(ctx context.Context) {
	ticker := time.NewTicker(dialectPause)
	defer ticker.Stop()
	for {
		var asking sync.WaitGroup
		for _, m := range r.notReading(dialect{newestEntry, r.cfg.CommandVersion}) {
			asking.Go(func() { r.learnDialect(ctx, m) })
		}
		asking.Wait()
		select {
		case <-r.dialects.added:
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

func (r *Replicator) learnDialect(ctx context.Context, m Member) {
	peer, err := r.introduce(ctx, m.URL)
	switch {
	case err != nil:
		r.log.Debug("not known what log entries a member reads", "member", m.URL, "err", err)
	case peer.ID == m.ID:
		r.dialects.learn(m.ID, dialect{peer.EntryVersion, peer.CommandVersion})
	}
}

// checkDialect refuses a node that would stop at what the members have put into the log, or will, or that would pass over
// what they have made of the data.
func (r *Replicator) checkDialect(peer introduction) error {
	if peer.EntryVersion < newestEntry && len(r.notReading(dialect{entries: newestEntry})) == 0 ||
		peer.CommandVersion < r.cfg.CommandVersion && len(r.MembersWithout(r.cfg.CommandVersion)) == 0 ||
		r.cfg.CommandsInUse != nil && peer.CommandVersion < r.cfg.CommandsInUse() {
		return fmt.Errorf("%w: the node at %s is of an older version, which does not read what this cluster writes: start the newer one there", ErrRefused, peer.URL)
	}
	return nil
}

package redis

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/nexus-replication/nexus/raft"
)

// flight is a transaction that was sent, or may have been, and whose reply was not read.
type flight struct {
	position raft.Position
	marker   []byte
	probes   []probe
	// probeAll is set if a script may have given a deadline to any key.
	probeAll bool
}

// probe is a key whose deadline is to be asked for, because a script may have changed it.
type probe struct {
	db  int
	key string
}

// settle connects and finds out what the backend holds, so that Apply can go on from there. A transaction that is on its
// way on the old connection is stopped first: after that it either was executed, and the marker says so, or never is.
func (b *Backend) settle(ctx context.Context) error {
	c, release, err := b.dial(ctx)
	if err != nil {
		return err
	}
	defer release()
	b.stats.reconnects.Add(1)
	if err := b.settleOn(c); err != nil {
		if b.conn != c {
			_ = c.Close()
		}
		return err
	}
	return nil
}

func (b *Backend) settleOn(c *conn) error {
	if b.last.id != 0 && b.last.runID == c.server.runID {
		if err := b.kill(c, b.last.id); err != nil {
			return fmt.Errorf("stop what is on its way to backend %s: %w", b.cfg.Addr, err)
		}
	}
	if err := b.verifyCommands(c); err != nil {
		return err
	}
	value, found, err := b.getMarker(c, true)
	if err != nil {
		return err
	}
	if !found {
		return b.lostMarker(c)
	}
	if err := b.configure(c); err != nil {
		return err
	}
	switch {
	case value == string(b.marker):
		b.take(c, b.held, value)
		return nil
	case b.flight != nil && bytes.Equal(b.flight.marker, []byte(value)):
		if b.flight.probeAll {
			if err := b.rebuild(c, b.Deadlines); err != nil {
				return err
			}
		}
		if err := b.probe(c, b.flight.probes); err != nil {
			return err
		}
		b.log.Info("transaction was applied, its replies are lost", "index", b.flight.position.Index)
		b.take(c, b.flight.position, value)
		b.raise(b.held.Index)
		return nil
	}
	position, err := b.checkMarker(value)
	if err != nil {
		return err
	}
	if !less(position, b.held) {
		return refuse("backend %s holds %q, this process wrote %q last: another process writes to it in this node's name",
			b.cfg.Addr, value, b.marker)
	}
	return b.regress(c)
}

// lostMarker handles a backend without a position: it came back empty, or somebody else writes to it.
func (b *Backend) lostMarker(c *conn) error {
	if err := c.learn(); err != nil {
		return err
	}
	if !c.server.empty(b.cfg.MetadataDB, 0) {
		if err := b.otherDatabase(c); err != nil {
			return err
		}
		return refuse("backend %s holds data but lost its position (it was %q): another client ran FLUSHALL or deleted %s. "+
			"Run FLUSHALL and FUNCTION FLUSH on it, and it will be filled again", b.cfg.Addr, b.marker, markerKey)
	}
	return b.regress(c)
}

// regress takes over a backend that restarted with less than what was applied to it, or with nothing.
func (b *Backend) regress(c *conn) error {
	before := b.held
	// Every connection that was open belongs to a process that is gone.
	b.reads.dropAll(errDropped)
	b.streams.dropAll()
	b.watchers.dropAll()
	// What they have heard is applied again now.
	b.subscribers.dropAll()
	if err := b.adopt(c); err != nil {
		return err
	}
	b.log.Warn("backend lost data and is filled again", "held", before.Index, "holds", b.held.Index)
	return &raft.BehindError{Position: b.held}
}

// kill closes a connection on the server's side and waits until it is gone there. What the server had not executed by
// then it never will.
func (b *Backend) kill(c *conn, id int64) error {
	number := strconv.FormatInt(id, 10)
	deadline := time.Now().Add(b.cfg.ReplyTimeout)
	for {
		replies, err := c.roundTrip([]string{"CLIENT", "KILL", "ID", number}, []string{"CLIENT", "LIST", "ID", number})
		if err != nil {
			return fmt.Errorf("CLIENT KILL: %w", err)
		}
		for _, raw := range replies {
			if isError(raw) {
				return fmt.Errorf("CLIENT KILL: backend answered %q", errorText(raw))
			}
		}
		list, _, err := bulkText(replies[1])
		if err != nil {
			return fmt.Errorf("CLIENT LIST: %w", err)
		}
		if len(bytes.TrimSpace(list)) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("CLIENT KILL: connection %s is still there after %s", number, b.cfg.ReplyTimeout)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

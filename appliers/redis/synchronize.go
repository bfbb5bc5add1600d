package redis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/nexus-replication/nexus/raft/failpoint"
)

// lookInterval is how often the backend is asked whether it has loaded the data.
const lookInterval = 20 * time.Millisecond

// borrow changes settings of the backend until it holds the new data and a position of this node.
//
// Until then, nothing may reach its disk: what it loads when it starts the next time would carry the position of another
// node, and be refused for good. By default it would write all that it gets to its dump.rdb, and may save on its own in
// the middle. TLS it would use for replication only. If this process dies meanwhile, the settings stay: the backend needs
// none of them but for keeping what the log keeps anyway.
func (b *Backend) borrow(c *conn) error {
	former, err := override(c, setting{"repl-diskless-load", "swapdb"}, setting{"save", ""}, setting{"tls-replication", "no"})
	b.lent.add(c.server.runID, former)
	if err != nil {
		return fmt.Errorf("keep the position of another node off its disk: %w: allow CONFIG SET, or configure repl-diskless-load swapdb, save \"\", tls-replication no", err)
	}
	b.shedBacklog(c)
	return nil
}

// replicate makes the backend a replica of m and returns when it has loaded the data. It is still a replica then, and may
// be one after an error.
func replicate(ctx context.Context, c *conn, m *master) error {
	m.start()
	host, port, err := net.SplitHostPort(m.l.Addr().String())
	if err != nil {
		return fmt.Errorf("listen for the backend: %w", err)
	}
	if _, err := c.one("REPLICAOF", host, port); err != nil {
		return err
	}
	failpoint.Hit("redis.after-replicaof")
	ticker := time.NewTicker(lookInterval)
	defer ticker.Stop()
	for {
		select {
		case err := <-m.done:
			return err
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
		}
		if err := c.learn(); err != nil {
			return err
		}
		s := &c.server
		switch {
		case s.role == "master":
			return errors.New("somebody made it a master while it got the data")
		case s.linkUp && !s.loading && !s.syncing:
			return nil
		}
	}
}

// detachAnew makes the backend a master with its former settings, on a connection of its own, also when ctx is over.
func (b *Backend) detachAnew(ctx context.Context, m *master) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), b.cfg.ReplyTimeout)
	defer cancel()
	c, release, err := connect(ctx, &b.cfg)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer release()
	defer c.Close()
	if err := detach(c, m); err != nil {
		return err
	}
	return b.lent.giveBack(c)
}

// detach makes the backend a master. A backend that waits for the rest of the data refuses
// that until the connection breaks.
func detach(c *conn, m *master) error {
	deadline := time.Now().Add(c.timeout)
	for {
		_, err := c.one("REPLICAOF", "NO", "ONE")
		if err == nil {
			return nil
		}
		var refused *replyError
		if !errors.As(err, &refused) || refused.class != "LOADING" || time.Now().After(deadline) {
			return err
		}
		m.hangUp()
		time.Sleep(lookInterval)
	}
}

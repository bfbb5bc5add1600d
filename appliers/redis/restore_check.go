package redis

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"

	"github.com/nexus-replication/nexus/raft"
)

// dialAny is dial for a server that may be loading, or a replica.
func (b *Backend) dialAny(ctx context.Context) (c *conn, release func() bool, err error) {
	c, release, err = connect(ctx, &b.cfg)
	if err != nil {
		return nil, nil, fmt.Errorf("connect: %w", err)
	}
	if err = c.learn(); err == nil {
		err = b.verifyKind(&c.server)
	}
	if err == nil {
		_, err = c.one("SELECT", strconv.Itoa(b.cfg.MetadataDB))
	}
	if err != nil {
		release()
		_ = c.Close()
		return nil, nil, err
	}
	return c, release, nil
}

// mayReplace makes sure that the data of the backend may go and that it can read the new one. Nothing of it is changed;
// but where an earlier call was cut off while it was a replica of ours, it is made a master again. From then on c watches
// the position.
func (b *Backend) mayReplace(ctx context.Context, c *conn, snap *raft.Snapshot, format int) error {
	if err := b.leftAsReplica(ctx, c, snap.Again); err != nil {
		return err
	}
	if c.server.loading {
		return errLoading
	}
	if err := b.verifyCommands(c); err != nil {
		return err
	}
	if err := checkFormat(c, snap, format); err != nil {
		return err
	}
	value, found, err := b.getMarker(c, true)
	if err != nil {
		return err
	}
	if !found {
		if !c.server.empty(b.cfg.MetadataDB, 0) {
			return b.notEmpty(c)
		}
		return nil
	}
	origin, position, err := parseMarker(value)
	if err == nil && snap.Again && origin == snap.Origin && position == snap.Position {
		return nil
	}
	_, err = b.checkMarker(value)
	return err
}

// leftAsReplica makes a backend a master again that is a replica because this node died while it was its master.
func (b *Backend) leftAsReplica(ctx context.Context, c *conn, again bool) error {
	s := &c.server
	if s.role == "master" {
		return nil
	}
	if !again || !isOwnAddress(c, s.masterHost) {
		return refuse("it is a replica of %s: run REPLICAOF NO ONE on it if its data may go", s.masterHost)
	}
	// It may not have noticed yet that the listener of this node is gone. A master that is alive stays its master.
	if s.linkUp || s.syncing || b.listens(ctx, s.masterHost, s.masterPort) {
		return fmt.Errorf("it is a replica, and its master at %s is alive: run REPLICAOF NO ONE on it if its data may go", s.masterHost)
	}
	if s.loading {
		return errLoading
	}
	b.log.Warn("the backend was left as a replica of this node, and is made a master again", "addr", b.cfg.Addr)
	if _, err := c.one("REPLICAOF", "NO", "ONE"); err != nil {
		return err
	}
	return c.learn()
}

// listens tells whether there is somebody at an address.
func (b *Backend) listens(ctx context.Context, host, port string) bool {
	dialer := net.Dialer{Timeout: b.cfg.DialTimeout}
	nc, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(host, port))
	if err != nil {
		return false
	}
	_ = nc.Close()
	return true
}

// isOwnAddress tells whether host is an address of this machine: of c, or any other.
func isOwnAddress(c *conn, host string) bool {
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	ip = ip.Unmap().WithZone("")
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		addrs = nil
	}
	for _, a := range append(addrs, c.LocalAddr()) {
		var own net.IP
		switch a := a.(type) {
		case *net.IPNet:
			own = a.IP
		case *net.TCPAddr:
			own = a.IP
		}
		if n, ok := netip.AddrFromSlice(own); ok && n.Unmap() == ip {
			return true
		}
	}
	return false
}

// checkFormat refuses an RDB that was written by a later version than the backend can read. Every dump ends with the
// version of the format and a checksum, also that of no functions at all.
func checkFormat(c *conn, snap *raft.Snapshot, format int) error {
	raw, err := c.one("FUNCTION", "DUMP")
	var refused *replyError
	if errors.As(err, &refused) && refused.class != "LOADING" {
		return fmt.Errorf("find out which format it reads: %w", err)
	}
	if err != nil {
		return err
	}
	dump, _, err := bulkText(raw)
	if err != nil || len(dump) < 10 {
		return fmt.Errorf("FUNCTION DUMP: %w: %.40q", errProtocol, raw)
	}
	if reads := int(binary.LittleEndian.Uint16(dump[len(dump)-10:])); format > reads {
		return refuse("the snapshot of index %d has format %d, version %s reads up to %d: use the version that the other nodes use",
			snap.Index, format, c.server.version, reads)
	}
	return nil
}

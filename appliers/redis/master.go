package redis

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/nexus-replication/nexus/raft"
)

// master plays the part of the server that the backend is made a replica of, for one full synchronization.
//
// A replica whose master accepts and closes connections comes back thousands of times a second, one whose master does
// not listen once a second. Therefore nothing but the first connection is ever answered: what comes later waits,
// accepted by the kernel at most, until close, which is called when the backend is no replica any more.
type master struct {
	l       *net.TCPListener
	from    netip.Addr // of the backend
	timeout time.Duration
	log     *slog.Logger
	snap    *raft.Snapshot

	done chan error // gets why there will be no synchronization
	wg   sync.WaitGroup

	strangers []net.Conn // not from the backend's address; of the goroutine that serves until close

	mu    sync.Mutex
	nc    net.Conn // of the backend
	ended bool
}

// maxStrangers bounds the connections from elsewhere that are held until close.
const maxStrangers = 16

// listenMaster listens at the address that leads to the backend, so that the backend can reach it, wherever it is.
func listenMaster(c *conn, snap *raft.Snapshot, log *slog.Logger) (*master, error) {
	local, okLocal := c.LocalAddr().(*net.TCPAddr)
	remote, okRemote := c.RemoteAddr().(*net.TCPAddr)
	if _, ok := c.LocalAddr().(*net.UnixAddr); ok {
		// It is on this machine.
		local, okLocal = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, true
		remote, okRemote = local, true
	}
	if !okLocal || !okRemote {
		return nil, fmt.Errorf("listen for the backend: %s is no TCP address", c.LocalAddr())
	}
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: local.IP, Zone: local.Zone})
	if err != nil {
		return nil, fmt.Errorf("listen for the backend: %w", err)
	}
	return &master{
		l: l, from: remote.AddrPort().Addr().Unmap(), timeout: c.timeout, log: log, snap: snap, done: make(chan error, 1),
	}, nil
}

// start runs the synchronization until close.
func (m *master) start() {
	m.wg.Go(func() { m.done <- m.serve() })
}

func (m *master) serve() error {
	nc, err := m.accept()
	if err != nil {
		return err
	}
	c := &conn{Conn: nc, timeout: m.timeout}
	c.r = newReplyReader(c, 4<<10)
	if err := m.greet(c); err != nil {
		return fmt.Errorf("backend as a replica: %w", err)
	}
	if err := m.send(c); err != nil {
		return err
	}
	// The backend loads now. Whatever it says is of no interest, but it must be able to say it.
	c.timeout = 0
	_ = c.SetDeadline(time.Time{})
	_, err = io.Copy(io.Discard, c.r.br)
	return fmt.Errorf("backend closed the connection after it got all data: its log says why (%w)", unexpected(orEOF(err)))
}

func orEOF(err error) error {
	if err == nil {
		return io.EOF
	}
	return err
}

// accept waits for the connection of the backend.
func (m *master) accept() (net.Conn, error) {
	if err := m.l.SetDeadline(time.Now().Add(m.timeout)); err != nil {
		return nil, fmt.Errorf("wait for the backend: %w", err)
	}
	for {
		nc, err := m.l.AcceptTCP()
		if err != nil && len(m.strangers) > 0 {
			return nil, fmt.Errorf("backend did not connect as a replica, but %s did: if that is the backend, have it connect from %s, where it is reached: %w",
				m.strangers[0].RemoteAddr(), m.from, err)
		}
		if err != nil {
			return nil, fmt.Errorf("backend did not connect to %s as a replica: it must be able to reach this node there: %w", m.l.Addr(), err)
		}
		if peer := nc.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().Unmap(); peer != m.from {
			m.log.Warn("a connection that is not from the backend is not answered", "peer", peer, "backend", m.from)
			m.strangers = append(m.strangers, nc)
			if len(m.strangers) == maxStrangers {
				return nil, fmt.Errorf("%d connections from elsewhere came instead of that of the backend", maxStrangers)
			}
			continue
		}
		m.mu.Lock()
		m.nc = nc
		ended := m.ended
		m.mu.Unlock()
		if ended {
			return nil, errors.New("it is too late for the backend to connect")
		}
		return nc, nil
	}
}

// greet answers what a replica says before the data comes.
func (m *master) greet(c *conn) error {
	for {
		raw, kept, err := c.r.keep(nil, 64<<10)
		if err != nil {
			return fmt.Errorf("read from backend: %w", err)
		}
		args, err := ParseCommand(raw, nil)
		if err != nil || !kept {
			return fmt.Errorf("backend said %.80q: %w", raw, errCommand)
		}
		answer, last := "+OK\r\n", false
		switch name := strings.ToUpper(string(args[0])); name {
		case "PING":
			answer = "+PONG\r\n"
		case "AUTH", "REPLCONF":
			// Who it is, its address tells. What it can, every version from 7.0 can.
		case "PSYNC":
			answer, last = m.fullResync(), true
		default:
			return fmt.Errorf("backend said %.40q, which replicas do not", name)
		}
		if _, err := c.Write([]byte(answer)); err != nil {
			return fmt.Errorf("write to backend: %w", err)
		}
		if last {
			return nil
		}
	}
}

// fullResync begins the data. The id of the history is new each time: the backend must never believe that it may go on
// with one it knows.
func (m *master) fullResync() string {
	var id [20]byte
	_, _ = rand.Read(id[:]) // never fails
	return fmt.Sprintf("+FULLRESYNC %s 1\r\n$%d\r\n", hex.EncodeToString(id[:]), m.snap.Size)
}

// send sends the data. It was checked before; the last of it is held back until it is sure that the same was read again,
// because a server that gets something damaged may exit.
func (m *master) send(c *conn) error {
	sum := newRDBSum()
	buf := make([]byte, copyBufSize)
	for sum.size < m.snap.Size {
		n, err := io.ReadFull(m.snap.Data, buf[:min(int64(len(buf)), m.snap.Size-sum.size)])
		if err != nil {
			return fmt.Errorf("read the snapshot: %w", unexpected(err))
		}
		sum.write(buf[:n])
		if sum.size == m.snap.Size {
			if _, err := sum.verify(); err != nil {
				return fmt.Errorf("read the snapshot again: %w", err)
			}
		}
		if _, err := c.Write(buf[:n]); err != nil {
			return fmt.Errorf("send the snapshot to the backend: %w", err)
		}
	}
	return nil
}

// hangUp breaks off the synchronization, and keeps the backend from beginning another.
func (m *master) hangUp() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.ended && m.nc != nil {
		_ = m.nc.Close()
	}
	m.ended = true
}

// close ends everything and waits for it. The backend is no replica any more, or cannot be asked.
func (m *master) close() {
	m.hangUp()
	_ = m.l.Close()
	m.wg.Wait()
	for _, nc := range m.strangers {
		_ = nc.Close()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.nc != nil {
		_ = m.nc.Close()
	}
}

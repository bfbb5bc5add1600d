package mysql

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"time"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"
)

// reading is how far the binary log was read.
type reading struct {
	upTo    gomysql.Position // behind the last group that was read whole; none where nothing was read yet, or is not known
	unknown bool             // it is not known
	resumed gomysql.Position // where it was read on last
}

// startCapture reads the binary log on behind what was read of it, or from its end on if that was nothing: what was written to it
// before is of an earlier process. whole is false if something of it is passed over.
func (b *Backend) startCapture(ctx context.Context) (whole bool, err error) {
	b.stopCapture()
	at := b.reading.upTo
	// Who breaks off twice at the same place would do so for ever.
	if at.Name != "" && at != b.reading.resumed {
		err := b.captureFrom(ctx, at)
		if err == nil {
			b.reading.resumed = at
			return true, b.loadSequences(ctx)
		}
		if !isGone(err) {
			return true, err
		}
		b.log.Warn("the binary log cannot be read on", "file", at.Name, "position", at.Pos, "err", err)
	}
	whole = at.Name == "" && !b.reading.unknown
	b.reading = reading{}
	b.transactions.missed() // those whose rows are passed over are rolled back, because they wait for them in vain
	row, err := b.conn.row(ctx, "SHOW MASTER STATUS")
	if err != nil {
		return whole, err
	}
	if len(row) < 2 {
		return whole, b.unsuitable("has no binary log: start it with --log-bin")
	}
	pos, err := strconv.ParseUint(row[1], 10, 32)
	if err != nil {
		return whole, fmt.Errorf("position of the binary log: %w", err)
	}
	end := gomysql.Position{Name: row[0], Pos: uint32(pos)}
	if err := b.captureFrom(ctx, end); err != nil {
		return whole, err
	}
	whole = whole || end == at // nothing was written behind it
	return whole, b.loadSequences(ctx)
}

// isGone reports whether an error of the server is about its binary log, rather than the connection.
func isGone(err error) bool {
	var server *gomysql.MyError
	return errors.As(err, &server) && server.Code == gomysql.ER_MASTER_FATAL_ERROR_READING_BINLOG
}

// captureFrom begins to read.
func (b *Backend) captureFrom(ctx context.Context, at gomysql.Position) error {
	cfg, err := b.syncerConfig()
	if err != nil {
		return err
	}
	c := &capture{b: b, format: make(chan struct{}), file: at.Name, at: at.Pos, read: at}
	cfg.SynchronousEventHandler = c
	c.syncer = replication.NewBinlogSyncer(cfg)
	if c.stream, err = c.syncer.StartSync(at); err != nil {
		c.syncer.Close()
		return fmt.Errorf("read the binary log of %s: %w", b.cfg.Addr, err)
	}
	if err := c.begun(ctx); err != nil {
		c.syncer.Close()
		return fmt.Errorf("read the binary log of %s: %w", b.cfg.Addr, err)
	}
	b.capture.Store(c)
	return nil
}

// begun waits until the server has sent the first event that says how the others are to be read, or why it sends none.
func (c *capture) begun(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	over := make(chan struct{})
	go func() {
		defer close(over)
		c.note(ctx)
	}()
	select {
	case <-c.format:
		cancel()
		<-over
		return nil
	case <-over:
		if c.broken == nil {
			return context.Cause(ctx)
		}
		return c.broken
	}
}

// syncerConfig says how the binary log is read. Without a port the host is a unix socket.
func (b *Backend) syncerConfig() (replication.BinlogSyncerConfig, error) {
	cfg := replication.BinlogSyncerConfig{
		ServerID:       rand.Uint32() | 1<<31, // unlike that of any server nearby
		Flavor:         gomysql.MariaDBFlavor,
		User:           b.cfg.User,
		Password:       b.cfg.Password,
		RawModeEnabled: true,
		// The library would go on behind the last event that said where it ends, amid a transaction, and read again what said nothing.
		DisableRetrySync: true,
		// A connection on which nothing comes any more is noticed.
		HeartbeatPeriod: time.Second,
		ReadTimeout:     b.cfg.ReplyTimeout,
		Dialer:          dialSeldom(b.cfg.ReplyTimeout),
		Logger:          slog.New(slog.NewTextHandler(io.Discard, nil)), // it logs each event's trouble, which Apply reports once
	}
	network, address := b.own()
	if network == "unix" {
		cfg.Host = address
		return cfg, nil
	}
	host, portText, err := net.SplitHostPort(address)
	if err != nil {
		return cfg, err
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return cfg, fmt.Errorf("port of %s: %w", address, err)
	}
	cfg.Host, cfg.Port, cfg.TLSConfig = host, uint16(port), b.cfg.TLS
	return cfg, nil
}

// captureBroken returns why nothing comes out of the binary log any more, or nil: the connection was lost, say.
func (b *Backend) captureBroken() error {
	c := b.capture.Load()
	if c == nil {
		return nil
	}
	now, cancel := context.WithCancel(context.Background())
	cancel()
	c.note(now)
	return c.broken
}

// note notes why nothing comes any more. The stream says it once.
func (c *capture) note(ctx context.Context) {
	if _, err := c.stream.GetEvent(ctx); err != nil && c.broken == nil && !errors.Is(err, context.Canceled) {
		c.broken = err
	}
}

func (b *Backend) stopCapture() {
	if c := b.capture.Swap(nil); c != nil {
		c.syncer.Close()
		b.reading.upTo = c.position()
		if b.reading.unknown = b.reading.upTo.Pos == 0; b.reading.unknown { // a wrong place would be worse than none
			b.reading.upTo = gomysql.Position{}
		}
	}
}

// forgetReading makes startCapture begin at the end.
func (b *Backend) forgetReading() {
	b.stopCapture()
	b.reading = reading{}
}

// captureAnew reads the binary log from its end on: of what stands in it nothing is of this process.
func (b *Backend) captureAnew(ctx context.Context) error {
	b.forgetReading()
	_, err := b.startCapture(ctx)
	return err
}

// readOn reads the binary log on after the server has broken off. If something of it is passed over, nobody knows whether it was
// written beside the log.
func (b *Backend) readOn(ctx context.Context, broken error) error {
	// As text: the library's errors have a stack, which a handler of slog writes with them.
	b.log.Warn("the binary log of the server is not read any more, and is read on", "err", broken.Error())
	switch {
	case strings.Contains(broken.Error(), "max_allowed_packet"): // an event of more than 1 GB, which belongs to a transaction that waits in vain
		// No doubt: a client that tries it again at each leader would take all of them out of service.
		b.log.Error("an event of more than 1 GB cannot be read, and the binary log is read on from its end: if something was written beside the log meanwhile, only a comparison tells")
		b.forgetReading()
	case errors.Is(broken, gomysql.ErrBadConn): // the connection, whatever was written
		b.reading.resumed = gomysql.Position{}
	}
	whole, err := b.startCapture(ctx)
	if !whole {
		b.log.Error("a part of the binary log of the backend was not read, and it may differ from the others")
		b.doubt.Store(&errUnread)
	}
	return err
}

var errUnread = errors.New("a part of its binary log was not read, and it may have been written to beside the log")

// position is behind what was read whole.
func (c *capture) position() gomysql.Position {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.read
}

// follow notes where an event ends that has so many bytes in its file. Servers from 11.4 on tell that of the first event of a
// transaction, not of those behind it.
func (c *capture) follow(raw []byte, size int) {
	told, flags := binary.LittleEndian.Uint32(raw[eventEndAt:]), binary.LittleEndian.Uint16(raw[eventFlagsAt:])
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case told != 0:
		c.at = told
	case raw[4] == eventFormat || raw[4] == eventRotate || flags&artificialEvent != 0: // made up for who begins to read
	case c.at != 0:
		c.at += uint32(size)
	}
}

// readUpTo notes that a group ends with the event that is being taken.
func (c *capture) readUpTo() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.read = gomysql.Position{Name: c.file, Pos: c.at}
}

// rotated takes the event that names the next file, which the server makes up where it begins to send.
func (c *capture) rotated(raw []byte) {
	body := raw[eventHeader:]
	if len(body) < 8 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if file := string(body[8:]); file != c.file {
		c.at = uint32(binary.LittleEndian.Uint64(body))
		c.file, c.read = file, gomysql.Position{Name: file, Pos: c.at}
	}
}

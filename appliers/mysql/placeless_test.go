package mysql

import (
	"encoding/binary"
	"log/slog"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"
	fakeserver "github.com/go-mysql-org/go-mysql/server"
)

// dumper is a server that has nothing but a binary log, from a place on, and ends connections when it is told.
type dumper struct {
	fakeserver.EmptyReplicationHandler
	asked chan gomysql.Position
	sends func(from gomysql.Position) [][]byte

	mu    sync.Mutex
	conns []net.Conn
	dumps []*replication.BinlogStreamer
}

func (d *dumper) HandleRegisterSlave([]byte) error { return nil }

func (d *dumper) HandleQuery(text string) (*gomysql.Result, error) {
	if text != "SHOW GLOBAL VARIABLES LIKE 'BINLOG_CHECKSUM'" {
		return nil, nil //nolint:nilnil // OK
	}
	rows, err := gomysql.BuildSimpleTextResultset([]string{"Variable_name", "Value"}, [][]any{{"binlog_checksum", "NONE"}})
	return gomysql.NewResult(rows), err
}

func (d *dumper) HandleBinlogDump(from gomysql.Position) (*replication.BinlogStreamer, error) {
	s := replication.NewBinlogStreamer()
	for _, raw := range d.sends(from) {
		if err := s.AddEventToStreamer(&replication.BinlogEvent{RawData: raw}); err != nil {
			return nil, err
		}
	}
	d.mu.Lock()
	d.dumps = append(d.dumps, s)
	d.mu.Unlock()
	d.asked <- from
	return s, nil
}

// serve answers on lis until that is closed.
func (d *dumper) serve(t *testing.T, lis net.Listener) {
	var tasks sync.WaitGroup
	defer tasks.Wait()
	for {
		c, err := lis.Accept()
		if err != nil {
			d.hangUp()
			return
		}
		d.mu.Lock()
		d.conns = append(d.conns, c)
		d.mu.Unlock()
		tasks.Go(func() {
			defer c.Close()
			s, err := fakeserver.NewServer("11.8.0-MariaDB", gomysql.DEFAULT_COLLATION_ID, gomysql.AUTH_NATIVE_PASSWORD, nil, nil).NewCustomizedConn(c, everybody{}, d)
			if err != nil {
				t.Error(err)
				return
			}
			for s.HandleCommand() == nil {
			}
		})
	}
}

func (d *dumper) hangUp() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range d.conns {
		c.Close()
	}
	for _, s := range d.dumps {
		s.AddErrorToStreamer(net.ErrClosed)
	}
	d.conns, d.dumps = nil, nil
}

// everybody may log in without a password.
type everybody struct{}

func (everybody) CheckUsername(string) (bool, error)         { return true, nil }
func (everybody) GetCredential(string) (string, bool, error) { return "", true, nil }

// event is one of a binary log that ends where it tells, or does not tell that.
func event(kind byte, end uint32, flags uint16, body []byte) []byte {
	raw := make([]byte, eventHeader, eventHeader+len(body))
	raw[4] = kind
	binary.LittleEndian.PutUint32(raw[eventSizeAt:], uint32(eventHeader+len(body)))
	binary.LittleEndian.PutUint32(raw[eventEndAt:], end)
	binary.LittleEndian.PutUint16(raw[eventFlagsAt:], flags)
	return append(raw, body...)
}

// A server from 11.4 on does not tell where the events of a transaction end but the first. A connection that is lost amid one is not
// gone on with behind that first event, as the library would, which would read rows twice: all of it is read again.
func TestEventsThatDoNotTellTheirEnd(t *testing.T) {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	cfg := NewConfig()
	cfg.Addr, cfg.User, cfg.Logger = lis.Addr().String(), "root", slog.New(slog.DiscardHandler)
	b, err := New(cfg)
	check(t, err)
	tx, err := b.Begin(2, nil)
	check(t, err)

	const file, start = "log.000001", 400
	description := append(binary.LittleEndian.AppendUint16(nil, 4), make([]byte, 50)...)
	copy(description[2:], "11.8.0-MariaDB-log")
	description = append(append(description, 0, 0, 0, 0, eventHeader), make([]byte, 60)...)
	rotate := append(binary.LittleEndian.AppendUint64(nil, start), file...)
	gtid := append(make([]byte, 12), preparedGroup, 0)
	tableMap := append(make([]byte, 8), "\x01b\x00\x01t\x00\x01\x03\x00\x00"...)
	prepare := make([]byte, 13, 80)
	prepare[5] = byte(len(tx.Name()))
	prepare = append(prepare, tx.Name()...)
	group := [][]byte{
		event(eventGTID, start+eventHeader+uint32(len(gtid)), 0, gtid), event(eventTableMap, 0, 0, tableMap), event(eventFirstRows, 0, 0, make([]byte, 30)),
		event(eventXAPrepare, 0, 0, prepare),
	}
	ends := []uint32{start}
	for i, raw := range group {
		ends = append(ends, ends[i]+uint32(len(raw)))
	}
	broken := true
	d := &dumper{asked: make(chan gomysql.Position, 10), sends: func(from gomysql.Position) [][]byte {
		made := [][]byte{event(eventRotate, 0, artificialEvent, rotate), event(eventFormat, 0, 0, description)}
		begin := slices.Index(ends, from.Pos)
		if begin < 0 {
			t.Errorf("asked for %v", from)
			return made
		}
		if broken {
			broken = false
			return append(made, group[begin:3]...)
		}
		return append(made, group[begin:]...)
	}}
	var tasks sync.WaitGroup
	tasks.Go(func() { d.serve(t, lis) })
	defer tasks.Wait()
	defer lis.Close()
	defer b.stopCapture()

	at := gomysql.Position{Name: file, Pos: start}
	check(t, b.captureFrom(within(t, 40*time.Second), at))
	await(t, "the rows", func() bool {
		c := b.capture.Load()
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.at == ends[3]
	})
	d.hangUp()
	await(t, "the end of the connection", func() bool { return b.captureBroken() != nil })
	b.stopCapture()
	if b.reading.upTo != at || b.reading.unknown {
		t.Fatalf("it would be read on from %v, want %v", b.reading.upTo, at)
	}
	check(t, b.captureFrom(within(t, 40*time.Second), b.reading.upTo))
	select {
	case got := <-tx.captured:
		if want := slices.Concat(group[1], group[2]); !slices.Equal(got.events, want) {
			t.Errorf("captured %d bytes, want %d", len(got.events), len(want))
		}
	case <-time.After(40 * time.Second):
		t.Fatal("the transaction was not captured")
	}
	await(t, "the end of the group", func() bool { return b.capture.Load().position().Pos == ends[4] })
	if n := len(d.asked); n != 2 {
		t.Errorf("the binary log was asked for %d times, want 2", n)
	}
}

func await(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(40 * time.Second); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 40 s", what)
		}
	}
}

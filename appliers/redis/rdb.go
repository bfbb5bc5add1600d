package redis

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc64"
	"io"
	"strconv"

	"github.com/nexus-replication/nexus/raft"
)

const (
	rdbHead    = 9     // magic and version: REDIS0010, VALKEY080
	rdbEnd     = 1 + 8 // rdbEndCode and the checksum
	rdbEndCode = 0xff

	copyBufSize = 64 << 10
)

// rdbTable is of the polynomial that Redis calls Jones, as its crc64.c uses it.
var rdbTable = crc64.MakeTable(0x95ac9329ac4bc9b5)

// errRDB is wrapped by every error about bytes that are no RDB: a server that loads them may exit, and does so again each
// time it is started.
var errRDB = errors.New("not an intact RDB")

// rdbSum follows the bytes of an RDB, and knows at their end whether they are what the server wrote.
type rdbSum struct {
	size int64
	head [rdbHead]byte
	crc  uint64       // of all but tail, as hash/crc64 keeps it
	tail [rdbEnd]byte // the last bytes
	held int          // bytes in tail
}

func newRDBSum() rdbSum {
	// Redis starts and ends with the bare register, hash/crc64 with its complement.
	return rdbSum{crc: ^uint64(0)}
}

func (s *rdbSum) write(p []byte) {
	if s.size < rdbHead {
		copy(s.head[s.size:], p)
	}
	s.size += int64(len(p))
	if len(p) < rdbEnd {
		p = append(s.tail[:s.held:s.held], p...)
		s.held = 0
	}
	if s.held > 0 {
		s.crc = crc64.Update(s.crc, rdbTable, s.tail[:s.held])
	}
	body := p[:max(0, len(p)-rdbEnd)]
	s.crc = crc64.Update(s.crc, rdbTable, body)
	s.held = copy(s.tail[:], p[len(body):])
}

// version returns the version of the format.
func (s *rdbSum) version() (int, error) {
	for _, magic := range []string{"REDIS", "VALKEY"} {
		digits, ok := bytes.CutPrefix(s.head[:], []byte(magic))
		if !ok {
			continue
		}
		if n, err := strconv.Atoi(string(digits)); err == nil && n > 0 {
			return n, nil
		}
	}
	return 0, fmt.Errorf("%w: it begins with %q", errRDB, s.head[:])
}

// verify is to be called at the end. summed is false for an RDB without checksum (rdbchecksum no): that it is complete is
// all that is known then.
func (s *rdbSum) verify() (summed bool, err error) {
	if s.size < rdbHead+rdbEnd {
		return false, fmt.Errorf("%w: it has %d bytes", errRDB, s.size)
	}
	if _, err := s.version(); err != nil {
		return false, err
	}
	if s.tail[0] != rdbEndCode {
		return false, fmt.Errorf("%w: it ends in the middle of the data", errRDB)
	}
	want := binary.LittleEndian.Uint64(s.tail[1:])
	if want == 0 {
		return false, nil
	}
	if got := ^crc64.Update(s.crc, rdbTable, s.tail[:1]); got != want {
		return true, fmt.Errorf("%w: its checksum is %016x, the bytes have %016x", errRDB, want, got)
	}
	return true, nil
}

// checkRDB reads all of snap.Data and returns the version of its format. The data stands at its beginning afterwards.
func checkRDB(ctx context.Context, snap *raft.Snapshot) (version int, summed bool, err error) {
	if _, err := snap.Data.Seek(0, io.SeekStart); err != nil {
		return 0, false, fmt.Errorf("read the snapshot: %w", err)
	}
	sum := newRDBSum()
	buf := make([]byte, copyBufSize)
	for {
		n, err := snap.Data.Read(buf)
		sum.write(buf[:n])
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return 0, false, fmt.Errorf("read the snapshot: %w", err)
		}
		if ctx.Err() != nil {
			return 0, false, context.Cause(ctx)
		}
	}
	if sum.size != snap.Size {
		return 0, false, refuse("snapshot of index %d: %w: it has %d bytes of %d", snap.Index, errRDB, sum.size, snap.Size)
	}
	if summed, err = sum.verify(); err != nil {
		return 0, false, refuse("snapshot of index %d: %w", snap.Index, err)
	}
	if _, err := snap.Data.Seek(0, io.SeekStart); err != nil {
		return 0, false, fmt.Errorf("read the snapshot: %w", err)
	}
	version, err = sum.version()
	return version, summed, err
}

package raft

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"go.etcd.io/etcd/client/pkg/v3/fileutil"
	"go.etcd.io/etcd/server/v3/wal/walpb"
)

// The framing of etcd's write-ahead log, as far as its end must be found.
const (
	frameHeadBytes = 8 // the length of a record, and in the highest byte that of its padding
	recordCRC      = 4 // the type of a record that begins a chain of sums
	sectorBytes    = 512
	// recordHeadBytes are what stands before the data of a record at most: type, sum and length, each behind its tag.
	recordHeadBytes = 2 + 1 + binary.MaxVarintLen32 + 1 + binary.MaxVarintLen64
)

// copySuffix is what wal.Repair called its copies of segments, which versions before cutTornTail left.
const copySuffix = ".broken"

// removeCopies deletes those.
func removeCopies(walPath string) error {
	copies, err := filepath.Glob(filepath.Join(walPath, "*"+copySuffix))
	if err != nil {
		return err
	}
	for _, path := range copies {
		if err := os.Remove(path); err != nil {
			return fmt.Errorf("remove the copy of a repaired log: %w", err)
		}
	}
	return nil
}

// cutTornTail cuts off what a write that was broken off left at the end of the log, and reports whether there was any. wal.Repair
// does the same, but keeps a copy of the whole segment, for ever: there is no room for that on a full disk, which is what breaks
// off most writes. It also takes for torn what begins with a damaged length, and would drop all that stands behind.
func cutTornTail(walPath string) (cut bool, err error) {
	f, size, err := openLastSegment(walPath, os.O_RDWR)
	if err != nil || f == nil {
		return false, err
	}
	defer f.Close()
	at, torn, err := findTornTail(bufio.NewReader(f), size)
	if err != nil || !torn {
		return false, err
	}
	if err := f.Truncate(at); err != nil {
		return false, fmt.Errorf("cut off the torn tail: %w", err)
	}
	return true, f.Sync()
}

// openLastSegment returns the segment at the end of the log, and its size; nil if there is none.
func openLastSegment(walPath string, flag int) (f *os.File, size int64, err error) {
	segments, err := filepath.Glob(filepath.Join(walPath, "*.wal"))
	if err != nil || len(segments) == 0 {
		return nil, 0, err
	}
	if f, err = os.OpenFile(segments[len(segments)-1], flag, 0); err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, info.Size(), nil
}

// findTornTail reads a segment of so many bytes up to the first record that is not whole, and reports where that begins, and whether
// it was torn: it is not if the segment is whole, or damaged.
func findTornTail(segment io.Reader, size int64) (at int64, torn bool, err error) {
	var sum uint32
	for {
		left := size - at
		if left < frameHeadBytes {
			return at, left > 0, nil
		}
		var head [frameHeadBytes]byte
		if _, err := io.ReadFull(segment, head[:]); err != nil {
			return at, false, err
		}
		if head == [frameHeadBytes]byte{} {
			return at, false, nil // what is reserved for records to come
		}
		record, padding := frameSize(head[:])
		if left -= frameHeadBytes; record+padding > left {
			begin, err := io.ReadAll(io.LimitReader(segment, min(left, recordHeadBytes)))
			return at, begins(begin, record, at+frameHeadBytes), err
		}
		data := make([]byte, record+padding)
		if _, err := io.ReadFull(segment, data); err != nil {
			return at, false, err
		}
		if !follows(data[:record], &sum) {
			offset := at + frameHeadBytes
			return at, hasEmptySector(data, offset) && begins(data[:min(len(data), recordHeadBytes)], record, offset), nil
		}
		at += frameHeadBytes + int64(len(data))
	}
}

// frameSize returns the length of a record and of its padding, which its frame begins with.
func frameSize(head []byte) (record, padding int64) {
	length := int64(binary.LittleEndian.Uint64(head))
	if length < 0 {
		padding = length >> 56 & 7
	}
	return length & (1<<56 - 1), padding
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// follows reports whether a record is what was written behind those with the sum, which goes on with it.
func follows(data []byte, sum *uint32) bool {
	var record walpb.Record
	if record.Unmarshal(data) != nil {
		return false
	}
	if record.Type == recordCRC {
		whole := *sum == 0 || *sum == record.Crc
		*sum = record.Crc
		return whole
	}
	*sum = crc32.Update(*sum, castagnoli, record.Data)
	return *sum == record.Crc
}

// begins reports whether these may be the first bytes, at an offset, of a record of that length that was cut off: it says its length
// itself once more, unless that has not reached the disk.
func begins(data []byte, length, offset int64) bool {
	if len(data) < recordHeadBytes || hasEmptySector(data, offset) {
		return true
	}
	return saysLength(data, length)
}

// saysLength reports whether a record of that length begins with data, of which there is enough, as far as that tells.
func saysLength(data []byte, length int64) bool {
	var before int64
	for _, tag := range []byte{0x08, 0x10, 0x1a} { // type, sum, data
		if before >= int64(len(data)) || data[before] != tag {
			return false
		}
		value, n := binary.Uvarint(data[before+1:])
		if n <= 0 {
			return false
		}
		before += 1 + int64(n)
		if tag == 0x1a {
			return before+int64(value) == length
		}
	}
	return false
}

// hasEmptySector reports whether a sector's part of what was written at an offset is zero: it has not reached the disk.
func hasEmptySector(data []byte, offset int64) bool {
	for len(data) > 0 {
		n := min(sectorBytes-offset%sectorBytes, int64(len(data)))
		if len(bytes.Trim(data[:n], "\x00")) == 0 {
			return true
		}
		data, offset = data[n:], offset+n
	}
	return false
}

// errLogDamaged means that the log does not hold what was written to it.
var errLogDamaged = errors.New("it is damaged beyond its torn tail, replace this node")

// damaged adds errLogDamaged to an error of reading the log, unless it was the system that could not read or write, or another process
// that has it.
func damaged(err error) error {
	var system syscall.Errno
	if errors.As(err, &system) || errors.Is(err, fileutil.ErrLocked) {
		return err
	}
	return fmt.Errorf("%w: %w", err, errLogDamaged)
}

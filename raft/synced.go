package raft

import (
	"bufio"
	"bytes"
	"fmt"
	"hash/crc32"
	"io"
	"os"

	"go.etcd.io/etcd/server/v3/wal/walpb"
)

// The types of records that tell one write of the log from the next.
const (
	recordEntry = 2
	recordState = 3
)

// scanBytes are looked at once for what is not zero.
const scanBytes = 64 << 10

// checkSynced returns an error if the last segment ends, as one reads it from its beginning, before records that were written after
// that place was synced. No torn write leaves that: bytes are damaged, or a sector is lost. What stands behind would be dropped, by
// cutTornTail if the record has a sector of zeros, which may be its data, or by wal.ReadAll if the sector begins with a record.
func checkSynced(walPath string) error {
	f, size, err := openLastSegment(walPath, os.O_RDONLY)
	if err != nil || f == nil {
		return err
	}
	defer f.Close()
	end, behind, err := findBehind(f, size)
	if err != nil {
		return err
	}
	if holdsTwoWrites(behind) {
		return fmt.Errorf("%s cannot be read from byte %d on, and goes on behind that", f.Name(), end)
	}
	return nil
}

// findBehind returns where a segment of so many bytes ends as one reads it, and what stands behind the record that is there.
func findBehind(segment io.ReaderAt, size int64) (end int64, behind []byte, err error) {
	end, _, err = findTornTail(bufio.NewReader(io.NewSectionReader(segment, 0, size)), size)
	if err != nil || size-end < frameHeadBytes {
		return end, nil, err
	}
	var head [frameHeadBytes]byte
	if _, err := segment.ReadAt(head[:], end); err != nil {
		return end, nil, err
	}
	at := end
	if record, _ := frameSize(head[:]); record > 0 {
		at += frameHeadBytes + (record+frameHeadBytes-1)/frameHeadBytes*frameHeadBytes
	}
	scan, zeros := make([]byte, scanBytes), make([]byte, scanBytes)
	for ; at < size; at += scanBytes {
		n := min(scanBytes, size-at)
		if _, err := segment.ReadAt(scan[:n], at); err != nil {
			return end, nil, err
		}
		if !bytes.Equal(scan[:n], zeros[:n]) {
			behind, err = io.ReadAll(io.NewSectionReader(segment, at, size-at))
			return end, behind, err
		}
	}
	return end, nil, nil
}

// holdsTwoWrites reports whether there are an entry, a state behind it, and an entry behind that. A write holds entries before its
// state, and those that hold entries are synced before the next begins.
func holdsTwoWrites(behind []byte) bool {
	want := []int64{recordEntry, recordState, recordEntry}
	for at := 0; at < len(behind); {
		record, size := likelyRecord(behind[at:])
		next, _ := likelyRecord(behind[at+size:])
		// What looks like a record is one if the next goes on with its sum.
		if record == nil || next == nil || crc32.Update(record.Crc, castagnoli, next.Data) != next.Crc {
			at += frameHeadBytes // records begin at multiples
			continue
		}
		if record.Type == want[0] {
			want = want[1:]
		}
		if len(want) == 0 {
			return true
		}
		at += size
	}
	return false
}

// likelyRecord returns the record with which data seems to begin, and its size with frame and padding, or nil and 0.
func likelyRecord(data []byte) (*walpb.Record, int) {
	if len(data) < frameHeadBytes {
		return nil, 0
	}
	length, padding := frameSize(data)
	data = data[frameHeadBytes:]
	if length == 0 || length+padding > int64(len(data)) || !saysLength(data, length) {
		return nil, 0
	}
	record := new(walpb.Record)
	if record.Unmarshal(data[:length]) != nil {
		return nil, 0
	}
	return record, int(frameHeadBytes + length + padding)
}

package raft

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"testing"

	"go.etcd.io/etcd/raft/v3/raftpb"
)

// damagedLog opens a log whose segment was changed, which has to be refused, and to stay as it is.
func damagedLog(t *testing.T, open func() (*diskLog, error), segment string, content []byte) {
	t.Helper()
	if err := os.WriteFile(segment, content, 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := open()
	if err == nil {
		t.Fatalf("the log opens, and ends at %d", last(t, l))
	}
	if !errors.Is(err, errLogDamaged) {
		t.Error(err)
	}
	if after, err := os.ReadFile(segment); err != nil || !bytes.Equal(after, content) {
		t.Errorf("the segment was changed, %v", err)
	}
}

// Sectors that the disk has lost are no torn tail if what stands behind them was written after they were synced.
func TestLostSectorIsNoTornTail(t *testing.T) {
	for _, sectors := range []int{1, 8} {
		for shift := range 5 { // over the place of a record's head
			t.Run(fmt.Sprintf("%d sectors, %d", sectors, shift), func(t *testing.T) {
				open, segment := writtenLog(t, 'x')
				offsets, content := frames(t, segment)
				at := (offsets[3]/sectorBytes - 1 + shift) * sectorBytes
				clear(content[at : at+sectors*sectorBytes])
				damagedLog(t, open, segment, content)
			})
		}
	}
}

// The head of a record that stands where a sector begins looks, when that is lost, like the end of the log.
func TestLostHeadIsNoEnd(t *testing.T) {
	open, segment := writtenLog(t, 'x')
	offsets, content := frames(t, segment)
	clear(content[offsets[4] : offsets[4]+sectorBytes])
	damagedLog(t, open, segment, content)
}

// A value of zeros has sectors that look as if they had not reached the disk.
func TestFlippedBitBesideZerosIsNoTornTail(t *testing.T) {
	open, segment := writtenLog(t, 0)
	offsets, content := frames(t, segment)
	content[offsets[4]+25] ^= 1 << 5
	damagedLog(t, open, segment, content)
}

// A write that held several entries may be torn anywhere: any of its sectors may not have reached the disk.
func TestTornWriteOfSeveralEntries(t *testing.T) {
	open, segment := writtenLog(t, 'x')
	_, before := frames(t, segment)
	l, err := open()
	if err != nil {
		t.Fatal(err)
	}
	if err := l.save(raftpb.HardState{Term: 1, Commit: 10}, nil); err != nil { // not synced
		t.Fatal(err)
	}
	writeEntries(t, l, 11, 4, 'x')
	if err := l.close(); err != nil {
		t.Fatal(err)
	}
	_, after := frames(t, segment)
	for at := 0; at < len(after); at += sectorBytes {
		torn := bytes.Clone(after)
		copy(torn[at:], before[at:at+sectorBytes])
		if bytes.Equal(torn, after) {
			continue
		}
		if err := os.WriteFile(segment, torn, 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := open()
		if err != nil {
			t.Fatalf("without the sector at %d: %v", at, err)
		}
		if got := last(t, l); got < 10 || got > 13 {
			t.Errorf("without the sector at %d the log ends at %d", at, got)
		}
	}
}

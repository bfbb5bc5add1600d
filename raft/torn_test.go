package raft

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"go.etcd.io/etcd/raft/v3/raftpb"
)

// writeEntries writes entries at once.
func writeEntries(t *testing.T, l *diskLog, first, n uint64, fill byte) {
	t.Helper()
	entries := make([]raftpb.Entry, n)
	for i := range entries {
		entries[i] = raftpb.Entry{Term: 1, Index: first + uint64(i), Type: raftpb.EntryConfChange, Data: bytes.Repeat([]byte{fill}, 2000)}
	}
	if err := l.save(raftpb.HardState{Term: 1, Commit: first - 1}, entries); err != nil {
		t.Fatal(err)
	}
}

// writtenLog has a log of ten entries written and closed, and returns how to open it again, and its one segment.
func writtenLog(t *testing.T, fill byte) (open func() (*diskLog, error), segment string) {
	t.Helper()
	dir := t.TempDir()
	open = func() (*diskLog, error) {
		return openLog(dir, identity{Cluster: 1, ID: 2}, newZap(slog.New(slog.DiscardHandler)))
	}
	l, err := open()
	if err != nil {
		t.Fatal(err)
	}
	for i := range uint64(10) {
		writeEntries(t, l, i+1, 1, fill)
	}
	if err := l.close(); err != nil {
		t.Fatal(err)
	}
	segments, err := filepath.Glob(filepath.Join(dir, walDir, "*.wal"))
	if err != nil || len(segments) != 1 {
		t.Fatalf("%q, %v", segments, err)
	}
	if err := os.Truncate(segments[0], 64<<10); err != nil { // what is reserved is long
		t.Fatal(err)
	}
	return open, segments[0]
}

// frames returns where the records of entries begin in a segment.
func frames(t *testing.T, segment string) (offsets []int, content []byte) {
	t.Helper()
	content, err := os.ReadFile(segment)
	if err != nil {
		t.Fatal(err)
	}
	for at := 0; ; {
		head := binary.LittleEndian.Uint64(content[at:])
		if head == 0 {
			return offsets, content
		}
		length := int(head&(1<<56-1) + head>>56&7)
		if length > 2000 {
			offsets = append(offsets, at)
		}
		at += frameHeadBytes + length
	}
}

// last is the index of the last entry of a log, which is closed.
func last(t *testing.T, l *diskLog) uint64 {
	t.Helper()
	index, err := l.memory.LastIndex()
	if err := errors.Join(err, l.close()); err != nil {
		t.Fatal(err)
	}
	return index
}

// What a write left that a full disk broke off is cut off where it is: there is no room for a copy of it.
func TestTornTailIsCutOffInPlace(t *testing.T) {
	for _, left := range []int{3, 8, 20, 100, 1900} {
		t.Run(fmt.Sprint(left), func(t *testing.T) {
			open, segment := writtenLog(t, 'x')
			offsets, _ := frames(t, segment)
			at := offsets[9] + left
			if err := os.Truncate(segment, int64(at)); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(segment+copySuffix, []byte("of an earlier version"), 0o600); err != nil {
				t.Fatal(err)
			}
			l, err := open()
			if err != nil {
				t.Fatal(err)
			}
			if got := last(t, l); got != 9 {
				t.Errorf("the log ends at %d, want 9", got)
			}
			if beside, err := filepath.Glob(segment + "?*"); err != nil || len(beside) > 0 {
				t.Errorf("beside the segment there are %q, %v", beside, err)
			}
			l, err = open()
			if err != nil {
				t.Fatal(err)
			}
			if got := last(t, l); got != 9 {
				t.Errorf("opened again, the log ends at %d, want 9", got)
			}
		})
	}
}

// A sector that has not reached the disk is of a torn write too, where the rest of it has.
func TestTornSector(t *testing.T) {
	open, segment := writtenLog(t, 'x')
	offsets, content := frames(t, segment)
	sector := (offsets[9]/sectorBytes + 2) * sectorBytes
	clear(content[sector : sector+sectorBytes])
	if err := os.WriteFile(segment, content, 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := open()
	if err != nil {
		t.Fatal(err)
	}
	if got := last(t, l); got != 9 {
		t.Errorf("the log ends at %d, want 9", got)
	}
}

// A bit that has flipped is no torn write, wherever it is: entries behind it, which others were told are safe here, would go with it.
func TestFlippedBitIsNoTornTail(t *testing.T) {
	for _, at := range []int{0, 2, 3, 4, 6, 8, 9, 10, 14, 17, 25, 1000} {
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			open, segment := writtenLog(t, 'x')
			offsets, content := frames(t, segment)
			content[offsets[4]+at] ^= 1 << 5
			damagedLog(t, open, segment, content)
		})
	}
}

// A log that another process holds is not damaged.
func TestLockedLogIsNotDamaged(t *testing.T) {
	open, _ := writtenLog(t, 'x')
	l, err := open()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := open(); err == nil || errors.Is(err, errLogDamaged) {
		t.Errorf("it is held, and opens with %v", err)
	}
	if got := last(t, l); got != 10 {
		t.Errorf("the log ends at %d", got)
	}
}

package raft

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/etcd/raft/v3/raftpb"
	"go.etcd.io/etcd/server/v3/wal/walpb"
	"go.uber.org/zap"
)

func TestBodyDamage(t *testing.T) {
	s, err := openSnapshots(t.TempDir(), zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	const index = 7
	content := bytes.Repeat([]byte("0123456789"), 1000)
	write := func() {
		if n, err := s.saveBody(index, bytes.NewReader(content), func(int64) {}); err != nil || n != int64(len(content)) {
			t.Fatal(n, err)
		}
	}
	write()
	if err := s.checkBody(context.Background(), index); err != nil {
		t.Fatal(err)
	}
	b, err := s.openBody(index)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(b.data()); err != nil || !bytes.Equal(got, content) {
		t.Errorf("read %d bytes: %v", len(got), err)
	}
	b.Close()
	whole, err := os.ReadFile(s.bodyPath(index))
	if err != nil {
		t.Fatal(err)
	}
	damages := map[string][]byte{"empty": {}, "cut in the trailer": whole[:len(whole)-1], "cut": whole[:len(content)/2], "longer": append(bytes.Clone(whole), 0)}
	for _, at := range []int{0, len(content) / 2, len(content) - 1, len(content), len(content) + 9, len(content) + 20, len(whole) - 1} {
		damaged := bytes.Clone(whole)
		damaged[at] ^= 1
		damages[fmt.Sprintf("bit at %d", at)] = damaged
	}
	for name, damaged := range damages {
		if err := os.WriteFile(s.bodyPath(index), damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := s.checkBody(context.Background(), index); !errors.Is(err, errSnapshotDamaged) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Stat(s.bodyPath(index)); !os.IsNotExist(err) {
			t.Errorf("%s: the body is still there: %v", name, err)
		}
	}
}

// A stream that breaks off leaves nothing behind.
func TestBodyBreaksOff(t *testing.T) {
	dir := t.TempDir()
	s, err := openSnapshots(dir, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	cut := errors.New("cut")
	from := io.MultiReader(strings.NewReader("some"), errReader{cut})
	if _, err := s.saveBody(1, from, func(int64) {}); !errors.Is(err, cut) {
		t.Errorf("got %v", err)
	}
	if err := os.WriteFile(filepath.Join(s.dir, "tmp123"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openSnapshots(dir, zap.NewNop()); err != nil {
		t.Fatal(err)
	}
	left, _ := os.ReadDir(s.dir)
	if len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

func TestSnapshotFiles(t *testing.T) {
	s, err := openSnapshots(t.TempDir(), zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	var known []walpb.Snapshot
	for _, index := range []uint64{10, 20, 30, 40} {
		if _, err := s.saveBody(index, strings.NewReader("x"), func(int64) {}); err != nil {
			t.Fatal(err)
		}
		meta := raftpb.Snapshot{Metadata: raftpb.SnapshotMetadata{Index: index, Term: 2}}
		if err := s.saveMetadata(meta); err != nil {
			t.Fatal(err)
		}
		known = append(known, walpb.Snapshot{Index: index, Term: 2})
	}
	if meta, err := s.newest(known[:3]); err != nil || meta.Metadata.Index != 30 {
		t.Errorf("newest that the log knows: %v %v", meta, err)
	}
	if err := s.purge(30, 10); err != nil {
		t.Fatal(err)
	}
	for index, want := range map[uint64]bool{10: true, 20: false, 30: true, 40: true} {
		_, err := s.at(index)
		b, berr := s.openBody(index)
		if (err == nil) != want || (berr == nil) != want {
			t.Errorf("snapshot at %d: %v, %v", index, err, berr)
		}
		if b != nil {
			b.Close()
		}
	}
}

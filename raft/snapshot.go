package raft

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"go.etcd.io/etcd/raft/v3/raftpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/snap"
	"go.etcd.io/etcd/server/v3/wal/walpb"
	"go.uber.org/zap"
)

const (
	snapshotDir = "snap"
	// bodySuffix is how etcd's transport names what it receives; bodies of this node's own are named alike.
	bodySuffix = ".snap.db"
	// bodyFlushBytes is what a body may have on its way to the disk at a time: a sync of the log waits for it if that is on
	// the same disk, and when the members are compared all of them write at once. What is not flushed piece by piece, the
	// system or the last sync writes in one go.
	bodyFlushBytes = 128 << 10

	snapshotVersion = 1
)

// bodyMagic begins the trailer of a body.
var bodyMagic = [8]byte{'n', 'e', 'x', 'u', 's', 's', 'n', '1'}

// trailerSize is magic, size of what stands before (big-endian), and its SHA-256.
const trailerSize = 8 + 8 + sha256.Size

// errSnapshotDamaged means that the bytes are not those that were written.
var errSnapshotDamaged = errors.New("snapshot is damaged")

// snapshotData travels as the data of a raft snapshot: what the log before it would have told. The state of the Store
// travels beside it as a body, because it may be larger than memory.
type snapshotData struct {
	Version int      `json:"version"`
	Cluster uint64   `json:"cluster"`
	Node    uint64   `json:"node"`  // whose backend the body was taken from
	Stamp   int64    `json:"stamp"` // no entry up to the snapshot has a later one
	Members []Member `json:"members"`
	Removed []uint64 `json:"removed,omitempty"`
}

func (d *snapshotData) encode() []byte {
	data, err := json.Marshal(d)
	if err != nil {
		panic("raft: encode snapshot data: " + err.Error())
	}
	return data
}

func decodeSnapshotData(data []byte) (snapshotData, error) {
	var d snapshotData
	if err := json.Unmarshal(data, &d); err != nil {
		return d, fmt.Errorf("decode snapshot data: %w", err)
	}
	if d.Version != snapshotVersion {
		return d, versionError("snapshot", d.Version, snapshotVersion)
	}
	return d, nil
}

// snapshots are the snapshots on disk: for each, a small file that etcd's snap package writes (raft's metadata and
// snapshotData) and a body with a checksum at its end.
type snapshots struct {
	dir   string
	files *snap.Snapshotter
}

func openSnapshots(dataDir string, lg *zap.Logger) (*snapshots, error) {
	dir := filepath.Join(dataDir, snapshotDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the snapshot directory: %w", err)
	}
	s := &snapshots{dir: dir, files: snap.New(lg, dir)}
	return s, s.removeUnfinished()
}

// removeUnfinished deletes what a crash left of bodies that were being written or received.
func (s *snapshots) removeUnfinished() error {
	unfinished, err := filepath.Glob(filepath.Join(s.dir, "tmp*"))
	if err != nil {
		return err
	}
	for _, path := range unfinished {
		if err := os.Remove(path); err != nil {
			return fmt.Errorf("remove an unfinished snapshot: %w", err)
		}
	}
	return nil
}

// newest returns the newest snapshot that the log knows of too, or nil.
func (s *snapshots) newest(known []walpb.Snapshot) (*raftpb.Snapshot, error) {
	found, err := s.files.LoadNewestAvailable(known)
	if errors.Is(err, snap.ErrNoSnapshot) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the snapshots in %s: %w", s.dir, err)
	}
	return found, nil
}

// at returns the snapshot at index.
func (s *snapshots) at(index uint64) (raftpb.Snapshot, error) {
	found, err := filepath.Glob(filepath.Join(s.dir, fmt.Sprintf("*-%016x.snap", index)))
	if err != nil {
		return raftpb.Snapshot{}, err
	}
	if len(found) != 1 {
		return raftpb.Snapshot{}, fmt.Errorf("%d snapshots at index %d in %s, want one", len(found), index, s.dir)
	}
	meta, err := snap.Read(nil, found[0])
	if err != nil {
		return raftpb.Snapshot{}, fmt.Errorf("read %s: %w", found[0], err)
	}
	return *meta, nil
}

// saveMetadata makes a snapshot known, durably. Its body has to be there before.
func (s *snapshots) saveMetadata(meta raftpb.Snapshot) error {
	err := s.files.SaveSnap(meta)
	if err == nil {
		err = syncDir(s.dir)
	}
	if err != nil {
		return fmt.Errorf("save snapshot metadata: %w", err)
	}
	return nil
}

func (s *snapshots) bodyPath(index uint64) string {
	return filepath.Join(s.dir, fmt.Sprintf("%016x%s", index, bodySuffix))
}

// saveBody writes what from yields, with a checksum behind it, durably. wrote is told of progress.
func (s *snapshots) saveBody(index uint64, from io.Reader, wrote func(total int64)) (int64, error) {
	f, err := os.CreateTemp(s.dir, "tmp")
	if err != nil {
		return 0, fmt.Errorf("save a snapshot: %w", err)
	}
	size, err := writeBody(f, from, wrote)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), s.bodyPath(index))
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return 0, fmt.Errorf("save a snapshot: %w", err)
	}
	if err := syncDir(s.dir); err != nil {
		return 0, fmt.Errorf("save a snapshot: %w", err)
	}
	return size, nil
}

func writeBody(f *os.File, from io.Reader, wrote func(int64)) (size int64, err error) {
	sum := sha256.New()
	out := io.MultiWriter(f, sum)
	for {
		n, err := io.CopyN(out, from, bodyFlushBytes)
		if err == nil {
			err = flush(f, size, n)
		}
		size += n
		wrote(size)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return 0, err
		}
	}
	if _, err := f.Write(appendTrailer(nil, size, sum)); err != nil {
		return 0, err
	}
	return size, f.Sync()
}

func appendTrailer(dst []byte, size int64, sum hash.Hash) []byte {
	dst = append(dst, bodyMagic[:]...)
	dst = binary.BigEndian.AppendUint64(dst, uint64(size))
	return sum.Sum(dst)
}

// body is the open body of a snapshot.
type body struct {
	*os.File
	size int64 // without the trailer
}

// openBody opens a body without reading it.
func (s *snapshots) openBody(index uint64) (*body, error) {
	f, err := os.Open(s.bodyPath(index))
	if err != nil {
		return nil, fmt.Errorf("open a snapshot: %w", err)
	}
	info, err := f.Stat()
	if err == nil && info.Size() < trailerSize {
		err = fmt.Errorf("%s: %w: it has %d bytes", f.Name(), errSnapshotDamaged, info.Size())
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("open a snapshot: %w", err)
	}
	return &body{File: f, size: info.Size() - trailerSize}, nil
}

// verify reads the whole body and compares it with its checksum.
func (b *body) verify(ctx context.Context) error {
	trailer := make([]byte, trailerSize)
	if _, err := b.ReadAt(trailer, b.size); err != nil {
		return fmt.Errorf("read a snapshot: %w", err)
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, contextReader{ctx, io.NewSectionReader(b, 0, b.size)}); err != nil {
		return fmt.Errorf("read a snapshot: %w", err)
	}
	if !bytes.Equal(trailer, appendTrailer(nil, b.size, sum)) {
		return fmt.Errorf("%s: %w: its checksum does not match", b.Name(), errSnapshotDamaged)
	}
	return nil
}

// data returns the bytes that the Store wrote.
func (b *body) data() *io.SectionReader { return io.NewSectionReader(b, 0, b.size) }

// checkBody verifies the body of the snapshot at index, and removes it if it is damaged, so that it can be sent again.
func (s *snapshots) checkBody(ctx context.Context, index uint64) error {
	b, err := s.openBody(index)
	if err == nil {
		err = b.verify(ctx)
		b.Close()
	}
	if errors.Is(err, errSnapshotDamaged) {
		return errors.Join(err, os.Remove(s.bodyPath(index)))
	}
	return err
}

// replaceBody puts whole, which is a body with its checksum, in the place of the body at index.
func (s *snapshots) replaceBody(ctx context.Context, index uint64, whole io.Reader) error {
	f, err := os.CreateTemp(s.dir, "tmp")
	if err != nil {
		return fmt.Errorf("replace a snapshot: %w", err)
	}
	size, err := io.Copy(f, whole)
	if err == nil {
		err = f.Sync()
	}
	if err == nil && size < trailerSize {
		err = fmt.Errorf("%w: it has %d bytes", errSnapshotDamaged, size)
	}
	if err == nil {
		err = (&body{File: f, size: size - trailerSize}).verify(ctx)
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), s.bodyPath(index))
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return fmt.Errorf("replace a snapshot: %w", err)
	}
	return syncDir(s.dir)
}

// purge removes the snapshots before index but for those at keep.
func (s *snapshots) purge(index uint64, keep ...uint64) error {
	names, err := os.ReadDir(s.dir)
	if err != nil {
		return fmt.Errorf("purge snapshots: %w", err)
	}
	for _, entry := range names {
		at, ok := snapshotIndex(entry.Name())
		if !ok || at >= index || slices.Contains(keep, at) {
			continue
		}
		if err := os.Remove(filepath.Join(s.dir, entry.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("purge snapshots: %w", err)
		}
	}
	return nil
}

// snapshotIndex takes the index from the name of a body (index.snap.db) or of a metadata file (term-index.snap).
func snapshotIndex(name string) (uint64, bool) {
	text, ok := strings.CutSuffix(name, bodySuffix)
	if !ok {
		if text, ok = strings.CutSuffix(name, ".snap"); !ok {
			return 0, false
		}
		if _, text, ok = strings.Cut(text, "-"); !ok {
			return 0, false
		}
	}
	index, err := strconv.ParseUint(text, 16, 64)
	return index, err == nil
}

// contextReader ends with its context.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (r contextReader) Read(p []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	return r.r.Read(p)
}

package raft

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/etcd/raft/v3/raftpb"
	"go.etcd.io/etcd/server/v3/wal"
	"go.uber.org/zap"
)

// backupMagic begins a backup: magic, length of the header (big-endian, 4 bytes), header (JSON), the stream of
// Store.Snapshot, and the SHA-256 of all that.
var backupMagic = [8]byte{'n', 'e', 'x', 'u', 's', 'b', 'k', '1'}

const maxBackupHeader = 1 << 20

// BackupInfo says what a backup holds.
type BackupInfo struct {
	ClusterName string    `json:"clusterName"`
	Cluster     uint64    `json:"cluster"`
	Node        uint64    `json:"node"` // whose backend it was taken from
	Term        uint64    `json:"term"`
	Index       uint64    `json:"index"`
	Stamp       int64     `json:"stamp"` // no write in it has a later one
	Created     time.Time `json:"created"`
	Size        int64     `json:"size"` // bytes of the stream
}

// Backup takes a snapshot of this node's backend and writes it to w in a form that RestoreBackup takes. Every write that was
// acknowledged before, by any node, is in it; where there is no leader, which could tell, it is what this node has applied. A backup
// whose writing ended with an error is of no use.
func (r *Replicator) Backup(ctx context.Context, w io.Writer) (BackupInfo, error) {
	if err := r.catchUp(ctx); err != nil {
		return BackupInfo{}, fmt.Errorf("backup: %w", err)
	}
	if err := r.Snapshot(ctx); err != nil {
		return BackupInfo{}, err
	}
	meta, err := r.disk.memory.Snapshot()
	if err != nil {
		return BackupInfo{}, fmt.Errorf("find the newest snapshot: %w", err)
	}
	data, err := decodeSnapshotData(meta.Data)
	if err != nil {
		return BackupInfo{}, err
	}
	// Open, so it stays readable when a newer one takes its place.
	b, err := r.disk.snapshots.openBody(meta.Metadata.Index)
	if err != nil {
		return BackupInfo{}, err
	}
	defer b.Close()
	if err := b.verify(ctx); err != nil {
		return BackupInfo{}, err
	}
	info := BackupInfo{
		ClusterName: r.cfg.ClusterName, Cluster: data.Cluster, Node: data.Node, Term: meta.Metadata.Term,
		Index: meta.Metadata.Index, Stamp: data.Stamp, Created: time.Now().UTC().Truncate(time.Second), Size: b.size,
	}
	return info, writeBackup(w, info, contextReader{ctx, b.data()})
}

// catchUp waits until the backend holds every write that was acknowledged by now, if there is a leader.
func (r *Replicator) catchUp(ctx context.Context) error {
	if r.leader.Load() == 0 {
		return nil
	}
	err := r.Read(ctx, func(context.Context) error { return nil })
	if r.leader.Load() == 0 && ctx.Err() == nil && r.absence() == nil {
		return nil // it was lost meanwhile
	}
	return err
}

func writeBackup(w io.Writer, info BackupInfo, stream io.Reader) error {
	header, err := json.Marshal(info)
	if err != nil {
		return fmt.Errorf("encode the header of a backup: %w", err)
	}
	sum := sha256.New()
	out := io.MultiWriter(w, sum)
	head := binary.BigEndian.AppendUint32(bytes.Clone(backupMagic[:]), uint32(len(header)))
	if _, err = out.Write(append(head, header...)); err == nil {
		_, err = io.Copy(out, stream)
	}
	if err == nil {
		_, err = w.Write(sum.Sum(nil))
	}
	if err != nil {
		return fmt.Errorf("write a backup: %w", err)
	}
	return nil
}

// backupReader reads a backup and sums up what it reads.
type backupReader struct {
	BackupInfo
	in  io.Reader // what is summed up
	raw io.Reader
	sum hash.Hash
}

var errNoBackup = errors.New("not a backup of Nexus")

func openBackup(raw io.Reader) (*backupReader, error) {
	b := &backupReader{raw: raw, sum: sha256.New()}
	b.in = io.TeeReader(raw, b.sum)
	var head [len(backupMagic) + 4]byte
	if _, err := io.ReadFull(b.in, head[:]); err != nil || !bytes.HasPrefix(head[:], backupMagic[:]) {
		return nil, errNoBackup
	}
	n := binary.BigEndian.Uint32(head[len(backupMagic):])
	if n > maxBackupHeader {
		return nil, fmt.Errorf("%w: its header has %d bytes", errNoBackup, n)
	}
	header := make([]byte, n)
	if _, err := io.ReadFull(b.in, header); err != nil {
		return nil, fmt.Errorf("backup is cut off: %w", err)
	}
	if err := json.Unmarshal(header, &b.BackupInfo); err != nil {
		return nil, fmt.Errorf("read the header of the backup: %w", err)
	}
	if b.Index == 0 || b.Size < 0 {
		return nil, fmt.Errorf("%w: its header is %s", errNoBackup, header)
	}
	return b, nil
}

// stream returns the bytes of the Store.
func (b *backupReader) stream() io.Reader { return io.LimitReader(b.in, b.Size) }

// finish checks the checksum, after the stream was read.
func (b *backupReader) finish() error {
	var want [sha256.Size + 1]byte
	n, err := io.ReadFull(b.raw, want[:])
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read the backup: %w", err)
	}
	if !bytes.Equal(want[:n], b.sum.Sum(nil)) {
		return errors.New("backup is damaged: its checksum does not match")
	}
	return nil
}

// PeekBackup reads only what a backup says of itself, and the first bytes, n at most, of the stream of its Store.
func PeekBackup(from io.Reader, n int) (BackupInfo, []byte, error) {
	b, err := openBackup(from)
	if err != nil {
		return BackupInfo{}, nil, err
	}
	head := make([]byte, min(int64(n), b.Size))
	if _, err := io.ReadFull(b.stream(), head); err != nil {
		return b.BackupInfo, nil, fmt.Errorf("backup is cut off: %w", err)
	}
	return b.BackupInfo, head, nil
}

// CheckBackup reads a whole backup and compares it with its checksum.
func CheckBackup(from io.Reader) (BackupInfo, error) {
	b, err := openBackup(from)
	if err != nil {
		return BackupInfo{}, err
	}
	n, err := io.Copy(io.Discard, b.stream())
	if err == nil && n < b.Size {
		err = fmt.Errorf("backup is cut off: %d of %d bytes are there", n, b.Size)
	}
	if err == nil {
		err = b.finish()
	}
	return b.BackupInfo, err
}

// RestoreBackup makes the data directory of cfg, which must be new or empty, that of the only member of a new
// cluster which begins with the backup. Start then fills the backend, which must be empty; further members are added
// with AddMember. The backup is read twice: nothing is written before it is known to be whole.
func RestoreBackup(cfg Config, from io.ReadSeeker) (BackupInfo, error) {
	if err := cfg.Validate(); err != nil {
		return BackupInfo{}, err
	}
	info, err := CheckBackup(from)
	if err != nil {
		return info, err
	}
	if _, err := from.Seek(0, io.SeekStart); err != nil {
		return info, fmt.Errorf("read the backup: %w", err)
	}
	lock, err := lockDir(cfg.DataDir)
	if err != nil {
		return info, err
	}
	defer lock.Close()
	if err := clearUnfinished(cfg.DataDir); err != nil {
		return info, err
	}
	unfinished := filepath.Join(cfg.DataDir, unfinishedDir)
	if err := os.Mkdir(unfinished, 0o700); err != nil {
		return info, fmt.Errorf("make the data directory: %w", err)
	}
	if err := fillFromBackup(cfg, unfinished, from); err != nil {
		return info, err
	}
	// The identity comes last: without it, this is not yet the directory of a node.
	for _, name := range []string{snapshotDir, walDir, identityFile} {
		if err := os.Rename(filepath.Join(unfinished, name), filepath.Join(cfg.DataDir, name)); err != nil {
			return info, fmt.Errorf("finish the data directory: %w", err)
		}
	}
	if err := os.Remove(unfinished); err != nil {
		return info, fmt.Errorf("finish the data directory: %w", err)
	}
	return info, syncDir(cfg.DataDir)
}

// unfinishedDir is where a backup is restored to at first.
const unfinishedDir = "unfinished"

// clearUnfinished removes what a restore that was cut off has left, and refuses a directory with anything else in it.
func clearUnfinished(dir string) error {
	unfinished := filepath.Join(dir, unfinishedDir)
	_, cutOff := os.Stat(unfinished)
	_, complete := os.Stat(filepath.Join(dir, identityFile))
	if cutOff == nil && complete != nil {
		for _, path := range []string{filepath.Join(dir, snapshotDir), filepath.Join(dir, walDir), unfinished} {
			if err := os.RemoveAll(path); err != nil {
				return fmt.Errorf("remove what an unfinished restore left: %w", err)
			}
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("look into the data directory: %w", err)
	}
	for _, entry := range entries {
		if entry.Name() != lockFile {
			return fmt.Errorf("data directory %s is not empty (%s): a backup is restored into a new one", dir, entry.Name())
		}
	}
	return nil
}

// fillFromBackup writes a data directory: identity, snapshot, and a log that begins behind it.
func fillFromBackup(cfg Config, dir string, from io.Reader) error {
	b, err := openBackup(from)
	if err != nil {
		return err
	}
	nodeID, err := newID()
	if err != nil {
		return err
	}
	self := Member{ID: nodeID, URL: cfg.NodeURL}
	id := identity{
		Version: identityVersion, ClusterName: cfg.ClusterName, URL: cfg.NodeURL, ID: nodeID,
		Cluster: clusterID(cfg.ClusterName+rand.Text(), []Member{self}), Bootstrap: []Member{self}, Logged: true,
	}
	lg := zap.NewNop()
	files, err := openSnapshots(dir, lg)
	if err != nil {
		return err
	}
	if _, err := files.saveBody(b.Index, b.stream(), func(int64) {}); err != nil {
		return err
	}
	if err := b.finish(); err != nil {
		return err
	}
	data := snapshotData{Version: snapshotVersion, Cluster: b.Cluster, Node: b.Node, Stamp: b.Stamp, Members: []Member{self}}
	meta := raftpb.Snapshot{Data: data.encode(), Metadata: raftpb.SnapshotMetadata{
		ConfState: raftpb.ConfState{Voters: []uint64{nodeID}}, Index: b.Index, Term: b.Term,
	}}
	if err := files.saveMetadata(meta); err != nil {
		return err
	}
	if err := createLog(dir, id, meta, lg); err != nil {
		return err
	}
	return id.save(dir)
}

// createLog makes a log that begins behind the snapshot that meta describes.
func createLog(dir string, id identity, meta raftpb.Snapshot, lg *zap.Logger) error {
	about, err := json.Marshal(walMetadata{Cluster: id.Cluster, Node: id.ID})
	if err != nil {
		return fmt.Errorf("encode log metadata: %w", err)
	}
	w, err := wal.Create(lg, filepath.Join(dir, walDir), about)
	if err != nil {
		return fmt.Errorf("create the log: %w", err)
	}
	l := diskLog{wal: w}
	err = l.noteSnapshot(meta)
	if err == nil {
		err = w.Save(raftpb.HardState{Term: meta.Metadata.Term, Commit: meta.Metadata.Index}, nil)
	}
	return errors.Join(err, l.close())
}

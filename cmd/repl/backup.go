package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/nexus-replication/nexus/proxy/admin/nexuspb"
	"github.com/nexus-replication/nexus/raft"
)

func (s *session) snapshot([]string) error {
	b := s.newBar("The node takes a snapshot", -1, false)
	resp, err := s.client.Snapshot(s.ctx, &nexuspb.SnapshotRequest{})
	b.Close()
	if err != nil {
		return describe(err, false)
	}
	if s.json {
		return s.printJSON(map[string]uint64{"index": resp.GetIndex()})
	}
	_, err = fmt.Fprintf(s.out, "Snapshot at log index %d.\n", resp.GetIndex())
	return err
}

// backup writes the file beside its final name first, so that there never is a file of that name which is not whole. An older
// one, which may be the only backup there is, stays until the new one is, and for good without -force.
func (s *session) backup(args []string) error {
	path := args[0]
	if err := s.mayWrite(path); err != nil {
		return err
	}
	unfinished, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".unfinished-")
	if err != nil {
		return notWritten(path, err)
	}
	alone := s.lacksLeader()
	info, err := s.receiveBackup(unfinished, path)
	alone = alone || s.lacksLeader() // it may have been lost meanwhile
	if cerr := unfinished.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = s.finish(unfinished.Name(), path)
	}
	if err != nil {
		return errors.Join(err, remove(unfinished.Name()))
	}
	if s.json {
		return s.printJSON(backupFile{
			ClusterName: info.ClusterName, Cluster: hex(info.Cluster), Node: hex(info.Node), Term: info.Term, Index: info.Index,
			Stamp: info.Stamp, Created: info.Created, Size: info.Size, NoLeader: alone,
		})
	}
	if alone {
		fmt.Fprintf(s.progress, "Warning: the node has no leader, so that others may have gone on without it: the backup is as of log index %d, and what was written after that is not in it. Ask a node that serves for a newer one.\n", info.Index)
	}
	_, err = fmt.Fprintf(s.out, "%s holds cluster %s (%s) as of log index %d, %d bytes.\n", path, info.ClusterName, hex(info.Cluster), info.Index, info.Size)
	return err
}

// backupFile is a backup as JSON shows it.
type backupFile struct {
	ClusterName string    `json:"clusterName"`
	Cluster     string    `json:"cluster"`
	Node        string    `json:"node"`
	Term        uint64    `json:"term"`
	Index       uint64    `json:"index"`
	Stamp       int64     `json:"stamp"`
	Created     time.Time `json:"created"`
	Size        int64     `json:"size"`
	// NoLeader says that the node had none, so that the cluster may have been ahead of it.
	NoLeader bool `json:"noLeader"`
}

// lacksLeader reports that the node says it has no leader. The backup itself tells who else does not answer.
func (s *session) lacksLeader() bool {
	st, err := s.client.Status(s.ctx, &nexuspb.StatusRequest{})
	return err == nil && st.GetLeader() == 0
}

// receiveBackup copies what the node sends to f, and reads it again to see that it is whole.
func (s *session) receiveBackup(f *os.File, path string) (raft.BackupInfo, error) {
	b := s.newBar("Receiving "+path, -1, true)
	defer b.Close()
	stream, err := s.client.Backup(s.ctx, &nexuspb.BackupRequest{})
	if err != nil {
		return raft.BackupInfo{}, describe(err, false)
	}
	for {
		part, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return raft.BackupInfo{}, describe(err, false)
		}
		if _, err := f.Write(part.GetData()); err != nil {
			return raft.BackupInfo{}, notWritten(path, err)
		}
		b.Add(len(part.GetData()))
	}
	b.Describe("Checking " + path)
	if err := f.Sync(); err != nil {
		return raft.BackupInfo{}, notWritten(path, err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return raft.BackupInfo{}, fmt.Errorf("read the backup again: %w", err)
	}
	info, err := raft.CheckBackup(bufio.NewReaderSize(f, 1<<20))
	if err != nil {
		return info, fmt.Errorf("read the backup again: %w", err)
	}
	return info, nil
}

// mayWrite refuses a file that is there, unless it is one that is to be replaced.
func (s *session) mayWrite(path string) error {
	there, err := os.Lstat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return notWritten(path, err)
	case !there.Mode().IsRegular():
		return fmt.Errorf("%s is there and is no plain file, and was left as it is: write the backup to another name", path)
	case !s.force:
		return fmt.Errorf("%s is there already, and was left as it is: write the backup to another name, or use -force to have it replaced when the new one is whole", path)
	}
	return nil
}

// finish gives the whole file its name, for good, unless another one has come to that meanwhile.
func (s *session) finish(unfinished, path string) error {
	if !s.force && os.Link(unfinished, path) == nil { // which fails where there is a file
		if err := remove(unfinished); err != nil {
			return err
		}
		return syncDir(filepath.Dir(path))
	}
	if err := s.mayWrite(path); err != nil {
		return err
	}
	if err := os.Rename(unfinished, path); err != nil { // also on file systems without links
		return notWritten(path, err)
	}
	return syncDir(filepath.Dir(path))
}

// notWritten speaks of the file that was asked for, not of the one that is to become it.
func notWritten(path string, err error) error {
	var p *os.PathError
	var l *os.LinkError
	switch {
	case errors.As(err, &p):
		err = p.Err
	case errors.As(err, &l):
		err = l.Err
	}
	return fmt.Errorf("write the backup to %s: %w", path, err)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// remove deletes what is of no use.
func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

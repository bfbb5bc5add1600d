package raft

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"go.etcd.io/etcd/raft/v3/raftpb"
	"go.etcd.io/etcd/server/v3/wal"
)

// removedFile says that the member of this data directory was removed from its cluster. The log need not: who is removed
// while it is away is told by the others.
const removedFile = "removed.json"

type removedNote struct {
	ID uint64 `json:"id"`
}

// ownFiles are what a node makes in its data directory, but for the lock and the note of its removal.
var ownFiles = []string{walDir, snapshotDir, quarantineFile, restoringFile, forgottenFile, identityFile}

// errUnconfirmed means that whoever answers at the URL of a member says that this node was removed, which need not be that
// member. The node stops, but finds out anew when it is started.
var errUnconfirmed = errors.New("no member of the cluster confirms it; if it was not removed, see who answers at the node URLs, and start it again")

// confirmRemoval returns told, with errUnconfirmed unless a member of this cluster has this one among those removed.
func (r *Replicator) confirmRemoval(ctx context.Context, told error) error {
	asked := map[string]bool{r.cfg.NodeURL: true}
	for _, m := range slices.Concat(r.membership.list(), r.identity.Contacts, r.identity.Bootstrap) {
		if asked[m.URL] {
			continue
		}
		asked[m.URL] = true
		peer, err := r.introduce(ctx, m.URL)
		if err == nil && peer.Cluster == r.identity.Cluster && slices.Contains(peer.Removed, r.identity.ID) {
			return told
		}
	}
	return fmt.Errorf("%w: %w", told, errUnconfirmed)
}

// noteRemoved makes durable that this member was removed.
func (r *Replicator) noteRemoved() {
	err := saveRemovedNote(r.cfg.DataDir, r.identity.ID)
	if err != nil {
		r.log.Error("the data directory does not say that this node was removed, it will find out again", "err", err)
	}
}

func saveRemovedNote(dir string, id uint64) error {
	data, err := json.Marshal(removedNote{ID: id})
	if err == nil {
		err = writeFileDurably(filepath.Join(dir, removedFile), append(data, '\n'))
	}
	if err != nil {
		return fmt.Errorf("note that the node was removed: %w", err)
	}
	return nil
}

// dropRemovedNote durably forgets a note that does not count any more.
func dropRemovedNote(cfg *Config) error {
	return dropNote(cfg, removedFile, "this node had been told that it was removed from its cluster: what the others have written since is not in it")
}

// dropNote durably removes a file of the data directory, and warns of what that means if it was there.
func dropNote(cfg *Config, file, warning string) error {
	path := filepath.Join(cfg.DataDir, file)
	err := os.Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = syncDir(cfg.DataDir)
	}
	if err != nil {
		return fmt.Errorf("drop the note %s: %w", path, err)
	}
	cfg.Logger.Warn(warning)
	return nil
}

// removedID returns which member of the data directory was removed, or 0.
func removedID(dir string) (uint64, error) {
	path := filepath.Join(dir, removedFile)
	var note removedNote
	if _, err := readNote(path, &note); err != nil {
		return 0, fmt.Errorf("read %s: %w", path, err)
	}
	return note.ID, nil
}

// readNote reads what a node has noted in a file of its data directory. It reports whether there is such a file.
func readNote(path string, note any) (found bool, err error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err == nil {
		err = json.Unmarshal(data, note)
	}
	return err == nil, err
}

// WipeRemoved deletes the identity, the log and the snapshots of cfg.DataDir if they say that their member was removed from
// its cluster, so that the node begins as a new one, which can be added. It returns the id of that member, or 0 if there
// was nothing to delete: the directory of any other node it leaves alone. The node must not run.
//
// The backend still holds the data of that member, and is to be emptied as well.
func WipeRemoved(cfg Config) (id uint64, err error) {
	if err := cfg.Validate(); err != nil {
		return 0, err
	}
	lock, err := lockDir(cfg.DataDir)
	if err != nil {
		return 0, err
	}
	defer lock.Close()
	if id, err = findRemoved(&cfg); err != nil || id == 0 {
		return 0, err
	}
	// The note goes last: whatever is left after a crash is still known to be of a member that was removed.
	for _, name := range append(slices.Clone(ownFiles), removedFile) {
		if err := os.RemoveAll(filepath.Join(cfg.DataDir, name)); err != nil {
			return 0, fmt.Errorf("empty the data directory: %w", err)
		}
		if err := syncDir(cfg.DataDir); err != nil {
			return 0, fmt.Errorf("empty the data directory: %w", err)
		}
	}
	return id, nil
}

// findRemoved returns the id of the member of cfg.DataDir if it was removed, which is noted then, and else 0.
func findRemoved(cfg *Config) (uint64, error) {
	noted, err := removedID(cfg.DataDir)
	if err != nil {
		return 0, err
	}
	if _, err := os.Stat(filepath.Join(cfg.DataDir, identityFile)); errors.Is(err, fs.ErrNotExist) {
		return noted, nil
	}
	id, err := loadIdentity(cfg)
	if err != nil {
		return 0, err
	}
	if noted != 0 {
		return noted, nil
	}
	removed, err := removedInLog(cfg, id)
	if err != nil || !removed {
		return 0, err
	}
	return id.ID, saveRemovedNote(cfg.DataDir, id.ID)
}

// removedInLog reports whether the log of a directory says, as far as it is known to be committed, that its own member was
// removed.
func removedInLog(cfg *Config, id identity) (removed bool, err error) {
	if !wal.Exist(filepath.Join(cfg.DataDir, walDir)) {
		return false, nil
	}
	l, err := openLog(cfg.DataDir, id, newZap(cfg.Logger))
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	if l.base != nil {
		data, err := decodeSnapshotData(l.base.Data)
		if err != nil || slices.Contains(data.Removed, id.ID) {
			return err == nil, err
		}
	}
	state, _, err := l.memory.InitialState()
	if err != nil {
		return false, fmt.Errorf("read the log: %w", err)
	}
	entries, err := l.all()
	if err != nil {
		return false, err
	}
	for i := range entries {
		if entries[i].Type != raftpb.EntryConfChange || entries[i].Index > state.Commit {
			continue
		}
		var cc raftpb.ConfChange
		if err := cc.Unmarshal(entries[i].Data); err != nil {
			return false, fmt.Errorf("membership change at index %d: %w", entries[i].Index, err)
		}
		if cc.Type == raftpb.ConfChangeRemoveNode && cc.NodeID == id.ID {
			return true, nil
		}
	}
	return false, nil
}

// removal is why a node stopped that was removed. It is an ErrStopped, too, but says it once.
type removal struct{ error }

func (e removal) Unwrap() error { return e.error }

// Is makes it an ErrStopped.
func (e removal) Is(target error) bool { return target == ErrStopped }

package raft

import (
	"encoding/json"
	"fmt"
	"path/filepath"

	"go.etcd.io/etcd/raft/v3/raftpb"
)

// forgottenFile says that the log in this directory lacks what its member has acknowledged. The next leader would not notice: it asks
// anew what each member has. Until then, and with that vote, entries could be lost that a majority had.
const forgottenFile = "forgotten.json"

// forgottenError is why a member must not take part any more. It is what forgottenFile holds.
type forgottenError struct {
	Acknowledged uint64 `json:"acknowledged"`
	Last         uint64 `json:"last"`
}

func (e *forgottenError) Error() string {
	return fmt.Sprintf("this node has acknowledged the log up to entry %d, and its log ends at %d: the data directory is an old copy, or its disk lost writes; replace this node",
		e.Acknowledged, e.Last)
}

// forgotten returns a forgottenError if a message shows that this member has forgotten what it acknowledged: a heartbeat names the part
// of it that is committed. Loop only.
func (r *Replicator) forgotten(m *raftpb.Message) error {
	if m.Type != raftpb.MsgHeartbeat || m.Term < r.term.Load() {
		return nil
	}
	last, err := r.disk.memory.LastIndex()
	if err != nil || m.Commit <= last {
		return err
	}
	forgotten := &forgottenError{Acknowledged: m.Commit, Last: last}
	data, err := json.Marshal(forgotten)
	if err == nil {
		err = writeFileDurably(filepath.Join(r.cfg.DataDir, forgottenFile), append(data, '\n'))
	}
	if err != nil {
		return fmt.Errorf("%w; this could not be noted: %w", forgotten, err)
	}
	return forgotten
}

// checkForgotten returns a forgottenError if it was noted.
func checkForgotten(dir string) error {
	path := filepath.Join(dir, forgottenFile)
	forgotten := new(forgottenError)
	found, err := readNote(path, forgotten)
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	if found {
		return forgotten
	}
	return nil
}

// dropForgottenNote lets a node be the only one that lacks what it acknowledged: where all others are lost, nobody else has it either.
func dropForgottenNote(cfg *Config) error {
	return dropNote(cfg, forgottenFile, "this node's log lacks entries that it had acknowledged: they are lost")
}

package raft

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"go.etcd.io/etcd/raft/v3/raftpb"
)

const (
	pathQuarantine = "/nexus/v1/quarantine"
	pathSnapshot   = "/nexus/v1/snapshot"
	// headerSnapshot carries raft's metadata of a snapshot whose body follows.
	headerSnapshot = "X-Nexus-Snapshot"
	// quarantineFile keeps a node out of service over restarts.
	quarantineFile = "quarantine.json"
	repairPause    = 5 * time.Second
	// fetchStall is for how long nothing may come of a snapshot that is fetched.
	fetchStall = 10 * time.Second
)

// quarantine says why this node must not serve: its data is not that of the others.
type quarantine struct {
	Node   uint64 `json:"node,omitempty"`
	Index  uint64 `json:"index"` // of the checkpoint
	Reason string `json:"reason"`
	Good   string `json:"good"` // URL of a member that holds what the majority holds, if members were compared
}

func (q *quarantine) Error() string {
	return fmt.Sprintf("its data differs from that of the other nodes at log index %d: %s; run repl HOST:PORT repair", q.Index, q.Reason)
}

// quarantineOdd tells the members that differ from the majority.
func (r *Replicator) quarantineOdd(ctx context.Context, report *VerifyReport, good string) {
	for i := range report.Members {
		m := &report.Members[i]
		if len(m.Differences) == 0 {
			continue
		}
		r.log.Error("a node's data differs", "node", formatID(m.ID), "url", m.URL, "index", report.Index, "differs", m.describe())
		if good == "" {
			r.log.Error("no majority of the nodes holds the same data: none is taken out of service", "index", report.Index)
			continue
		}
		if err := r.postQuarantine(ctx, m.URL, quarantine{Node: m.ID, Index: report.Index, Reason: m.describe(), Good: good}); err != nil {
			r.log.Error("the node could not be told to stop serving", "url", m.URL, "err", err)
		}
	}
}

func (r *Replicator) postQuarantine(ctx context.Context, at string, q quarantine) error {
	body, err := json.Marshal(q)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, r.cfg.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, at+pathQuarantine, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set(headerCluster, formatID(r.identity.Cluster))
	resp, err := r.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		return fmt.Errorf("%s answered %s", at, resp.Status)
	}
	return nil
}

func (r *Replicator) serveQuarantine(w http.ResponseWriter, req *http.Request) {
	var q quarantine
	if err := json.NewDecoder(io.LimitReader(req.Body, maxIdentityBytes)).Decode(&q); err != nil || q.Index == 0 {
		http.Error(w, "bad request", http.StatusBadRequest)
		return
	}
	if q.Node != 0 && q.Node != r.identity.ID {
		http.Error(w, "another node was compared", http.StatusConflict) // it has been replaced since
		return
	}
	if err := r.enterQuarantine(q); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// enterQuarantine stops serving until the node is repaired.
func (r *Replicator) enterQuarantine(q quarantine) error {
	data, err := json.Marshal(q)
	if err == nil {
		err = writeFileDurably(filepath.Join(r.cfg.DataDir, quarantineFile), data)
	}
	if err != nil {
		return fmt.Errorf("note the quarantine: %w", err)
	}
	before := r.quarantined.Swap(&q)
	r.log.Error("NOT SERVING: this node's data differs from that of the others", "index", q.Index, "differs", q.Reason)
	if before == nil {
		r.autoRepair()
	}
	return nil
}

// loadQuarantine finds out whether an earlier run of this node was taken out of service.
func (r *Replicator) loadQuarantine() error {
	var q quarantine
	found, err := readNote(filepath.Join(r.cfg.DataDir, quarantineFile), &q)
	if err != nil {
		return fmt.Errorf("read %s: %w", quarantineFile, err)
	}
	if found {
		r.quarantined.Store(&q)
	}
	return nil
}

func (r *Replicator) leaveQuarantine() error {
	err := os.Remove(filepath.Join(r.cfg.DataDir, quarantineFile))
	if err == nil {
		err = syncDir(r.cfg.DataDir)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("leave the quarantine: %w", err)
	}
	r.quarantined.Store(nil)
	r.log.Info("repaired, serving again")
	return nil
}

// autoRepair repairs this node in the background, where the configuration says so.
func (r *Replicator) autoRepair() {
	if !r.cfg.AutoRepair {
		return
	}
	r.spawn(func(ctx context.Context) {
		for r.quarantined.Load() != nil {
			err := r.Repair(ctx)
			if err == nil {
				return
			}
			r.log.Warn("not repaired yet", "err", err)
			select {
			case <-time.After(repairPause):
			case <-ctx.Done():
				return
			}
		}
	})
}

// Repair fills the backend of a node that Verify has taken out of service from a snapshot of a member that holds what
// the majority holds. It returns when the node serves again.
func (r *Replicator) Repair(ctx context.Context) error {
	if err := r.absence(); err != nil {
		return fmt.Errorf("%w: %w", ErrNotDone, err)
	}
	q := r.quarantined.Load()
	if q == nil {
		return fmt.Errorf("%w: this node was not found to differ from the others: run repl HOST:PORT verify", ErrRefused)
	}
	if err := r.fetchGood(ctx, q); err != nil {
		// The snapshots of that position are gone. Another comparison names another position.
		r.log.Info("comparing again before the repair", "because", err)
		report, verr := r.Verify(ctx)
		if verr != nil {
			return fmt.Errorf("repair: %w: %w", err, verr)
		}
		if report.Equal() && len(report.Members) > 1 {
			return r.leaveQuarantine() // it has been filled from another member's snapshot since
		}
		if q = r.quarantined.Load(); q == nil {
			return nil
		}
		if err := r.fetchGood(ctx, q); err != nil {
			return fmt.Errorf("repair: %w", err)
		}
	}
	r.mustRestore.Store(q.Index)
	for r.quarantined.Load() != nil {
		if r.mustRestore.Load() == 0 {
			return errors.New("repair: a later snapshot took the place of the one that was fetched: repair again")
		}
		select {
		case <-time.After(membershipPause):
		case <-ctx.Done():
			return fmt.Errorf("repair: the backend is being filled: %w", context.Cause(ctx))
		case <-r.ctx.Done():
			return r.stopCause()
		}
	}
	return nil
}

// fetchGood puts the good member's snapshot of the position that was compared in the place of this node's own.
func (r *Replicator) fetchGood(ctx context.Context, q *quarantine) error {
	if newest := r.snapshotIndex.Load(); newest != q.Index {
		return fmt.Errorf("this node's newest snapshot is at index %d, not %d", newest, q.Index)
	}
	if q.Good == "" {
		return errors.New("it was not compared with the others yet")
	}
	if sameURL(q.Good, r.cfg.NodeURL) {
		return errors.New("this node itself was named as the good one")
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stall := time.AfterFunc(fetchStall, func() { cancel(fmt.Errorf("nothing has come for %v", fetchStall)) })
	defer stall.Stop()
	query := url.Values{"index": {strconv.FormatUint(q.Index, 10)}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, q.Good+pathSnapshot+"?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	req.Header.Set(headerCluster, formatID(r.identity.Cluster))
	resp, err := r.client.Do(req)
	if err != nil {
		return fmt.Errorf("fetch a snapshot: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("fetch a snapshot from %s: %s", q.Good, resp.Status)
	}
	var meta raftpb.Snapshot
	text, err := base64.StdEncoding.DecodeString(resp.Header.Get(headerSnapshot))
	if err == nil {
		err = meta.Unmarshal(text)
	}
	if err != nil || meta.Metadata.Index != q.Index {
		return fmt.Errorf("fetch a snapshot from %s: it describes it as %+v: %w", q.Good, meta.Metadata, err)
	}
	if err := r.disk.snapshots.replaceBody(ctx, q.Index, watchedReader{resp.Body, stall}); err != nil {
		return err
	}
	return r.disk.snapshots.saveMetadata(meta)
}

// watchedReader puts off a stall whenever something comes.
type watchedReader struct {
	r     io.Reader
	stall *time.Timer
}

func (w watchedReader) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	w.stall.Reset(fetchStall)
	return n, err
}

// serveSnapshot sends a snapshot that is still there.
func (r *Replicator) serveSnapshot(w http.ResponseWriter, req *http.Request) {
	index, err := strconv.ParseUint(req.URL.Query().Get("index"), 10, 64)
	if err != nil {
		http.Error(w, "bad index", http.StatusBadRequest)
		return
	}
	if r.quarantined.Load() != nil {
		http.Error(w, "this node is out of service itself", http.StatusConflict)
		return
	}
	meta, err := r.disk.snapshots.at(index)
	var b *body
	if err == nil {
		b, err = r.disk.snapshots.openBody(index)
	}
	if err != nil {
		http.Error(w, "no such snapshot", http.StatusNotFound)
		return
	}
	defer b.Close()
	data, err := meta.Marshal()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set(headerSnapshot, base64.StdEncoding.EncodeToString(data))
	w.Header().Set("Content-Length", strconv.FormatInt(b.size+trailerSize, 10))
	_, _ = io.Copy(w, b.File) // the asker verifies what it gets
}

package raft

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"

	"go.etcd.io/etcd/raft/v3/raftpb"
	"go.etcd.io/etcd/server/v3/wal/walpb"
)

// simDisk stands before the real log, on a real file system, and decides what of it is there after a crash. What the
// log has not flushed is lost with the program. What it has not synced may be lost, or torn, with the machine.
type simDisk struct {
	n     *simNode
	run   int
	wal   writeAheadLog
	path  string
	noted uint64 // index of the newest snapshot in the log
	fail  bool   // the next write fails
	torn  simImage
	lied  simImage // if cheating, of the file before some write that was said to be synced
}

func (d *simDisk) Save(state raftpb.HardState, entries []raftpb.Entry) error {
	return d.write("save", func() error { return d.wal.Save(state, entries) })
}

func (d *simDisk) SaveSnapshot(at walpb.Snapshot) error {
	d.noted = max(d.noted, at.Index) // or it may be
	return d.write("snapshot record", func() error { return d.wal.SaveSnapshot(at) })
}

func (d *simDisk) Sync() error { return d.write("sync", d.wal.Sync) }

func (d *simDisk) write(what string, do func() error) error {
	if !d.n.effect(d.run, "before "+what) {
		return errSimCrash
	}
	var before simImage
	if d.n.w.cheat.lyingDisk && d.n.w.chance(0.1) {
		d.lied = d.tail()
	}
	if d.fail || d.n.doomed("after "+what) {
		before = d.tail()
	}
	err := do()
	if err == nil && d.fail {
		d.torn = d.tear(before)
		return errSimDisk
	}
	if err == nil && !d.n.effect(d.run, "after "+what) {
		d.torn = d.tear(before)
		return errSimCrash
	}
	return err
}

func (d *simDisk) ReleaseLockTo(index uint64) error { return d.wal.ReleaseLockTo(index) }

func (d *simDisk) Close() error { return d.wal.Close() }

// simImage is what a file holds after a crash.
type simImage struct {
	path    string
	data    []byte
	removed []string
}

// tail is the last file of the log as it is now.
func (d *simDisk) tail() simImage {
	names, err := os.ReadDir(d.path)
	if err != nil {
		return simImage{}
	}
	last := ""
	for _, name := range names {
		if strings.HasSuffix(name.Name(), ".wal") {
			last = filepath.Join(d.path, name.Name())
		}
	}
	data, err := os.ReadFile(last)
	if err != nil {
		return simImage{}
	}
	return simImage{path: last, data: data}
}

// tear draws what of a write that was cut off is there: none of it, all, or any of its sectors (a disk writes each wholly
// or not at all, as etcd's log expects).
func (d *simDisk) tear(before simImage) simImage {
	after := d.tail()
	if before.path == "" || before.path != after.path || len(before.data) != len(after.data) {
		return simImage{}
	}
	const sector = 512
	w := d.n.w
	how, torn, all := w.rng.IntN(4), 0, 0
	for at := 0; at < len(after.data); at += sector {
		old, data := before.data[at:min(at+sector, len(after.data))], after.data[at:]
		if bytes.Equal(old, data[:len(old)]) {
			continue
		}
		all++
		if how == 0 || how > 1 && w.chance(0.5) {
			torn++
			copy(data, old)
		}
	}
	w.note("n%d lost %d of %d sectors", d.n.i, torn, all)
	return after
}

// image is what the log's last file will hold after a crash now, before the log is closed (which flushes it).
func (d *simDisk) image(crash bool) simImage {
	left := d.torn
	if left.path == "" && crash {
		left = d.tail()
	}
	if crash && d.lied.path == left.path && d.lied.path != "" {
		left.data = d.lied.data
	}
	if crash {
		left.removed = d.unnoted()
	}
	return left
}

// unnoted are files of a snapshot that the log does not know yet: a crash may have come before they were there.
func (d *simDisk) unnoted() []string {
	if d.n.w.chance(0.5) {
		return nil
	}
	found, err := filepath.Glob(filepath.Join(d.n.dir, snapshotDir, "*.snap"))
	if err != nil {
		return nil
	}
	var gone []string
	for _, path := range found {
		if at, ok := snapshotIndex(filepath.Base(path)); ok && at > d.noted {
			gone = append(gone, path)
		}
	}
	return gone
}

func (i simImage) restore(w *simWorld) {
	if i.path != "" {
		if err := os.WriteFile(i.path, i.data, 0o600); err != nil {
			w.violate("simulate a crash: %v", err)
		}
	}
	for _, path := range i.removed {
		if err := os.Remove(path); err != nil {
			w.violate("simulate a crash: %v", err)
		}
	}
}

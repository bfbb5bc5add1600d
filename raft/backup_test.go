package raft

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func (c *testCluster) backup(i int) []byte {
	c.t.Helper()
	var file bytes.Buffer
	info, err := c.nodes[i].Backup(context.Background(), &file)
	if err != nil {
		c.t.Fatal(err)
	}
	if got, head, err := PeekBackup(bytes.NewReader(file.Bytes()), 4); err != nil || got != info || len(head) != 4 {
		c.t.Errorf("%+v, begins with %q: %v", got, head, err)
	}
	if got, err := CheckBackup(bytes.NewReader(file.Bytes())); err != nil || got != info {
		c.t.Fatalf("backup %+v was read as %+v: %v", info, got, err)
	}
	return file.Bytes()
}

// A backup becomes a new cluster, which others can join, and which has nothing to do with the old one.
func TestBackupRoundTrip(t *testing.T) {
	old := newTestCluster(t, 3, nil)
	for i := range 30 {
		old.propose(i%3, "n+")
	}
	file := old.backup((old.leader() + 1) % 3) // from a follower
	old.propose(0, "n+")                       // not in it

	c := &testCluster{t: t, nodes: make([]*Replicator, 2)}
	for range 2 {
		c.urls, c.stores, c.dirs = append(c.urls, freeURL(t)), append(c.stores, newMapStore()), append(c.dirs, t.TempDir())
	}
	c.tune = func(cfg *Config) { cfg.ClusterURLs = c.urls[:1] }
	if _, err := RestoreBackup(c.config(0), bytes.NewReader(file)); err != nil {
		t.Fatal(err)
	}
	c.start(0)
	defer c.stop(0)
	if got := c.propose(0, "n+"); got != "31" {
		t.Errorf("counter is %s, want 31", got)
	}
	if c.nodes[0].identity.Cluster == old.nodes[0].identity.Cluster {
		t.Error("the restored cluster has the old one's id")
	}
	added := make(chan error, 1)
	go func() { added <- c.nodes[0].AddMember(context.Background(), c.urls[1]) }()
	c.start(1)
	defer c.stop(1)
	if err := <-added; err != nil {
		t.Fatal(err)
	}
	if got := c.propose(1, "n+"); got != "32" {
		t.Errorf("counter is %s, want 32", got)
	}
	c.converged()
	if _, err := RestoreBackup(c.config(0), bytes.NewReader(file)); err == nil {
		t.Error("restored over a node that runs")
	}
}

// Whichever member is asked, what was acknowledged before is in it. Without a leader it is what the member has.
func TestBackupHoldsWhatWasAcknowledged(t *testing.T) {
	c := newTestCluster(t, 3, nil)
	leader := c.leader()
	follower := (leader + 1) % 3
	release := c.stores[follower].hang()
	c.propose(leader, "n+")
	eventually(t, "a backend that hangs", func() bool { return c.nodes[follower].call.Load() > 0 })
	out, err := c.nodes[leader].Propose(context.Background(), [][]byte{[]byte("n+")})
	if err != nil {
		t.Fatal(err)
	}
	made := make(chan []byte, 1)
	go func() {
		var file bytes.Buffer
		_, err := c.nodes[follower].Backup(context.Background(), &file)
		for errors.Is(err, ErrNotDone) { // it hung for too long
			file.Reset()
			_, err = c.nodes[follower].Backup(context.Background(), &file)
		}
		made <- file.Bytes()
	}()
	time.Sleep(100 * time.Millisecond) // without which a wrong one would pass for a right one now and then
	release()
	info, err := CheckBackup(bytes.NewReader(<-made))
	if err != nil || info.Index < out.Index {
		t.Errorf("as of index %d, %d was acknowledged: %v", info.Index, out.Index, err)
	}
	c.stop(leader)
	c.stop((leader + 2) % 3)
	eventually(t, "no leader", func() bool { return c.nodes[follower].Status().Leader == 0 })
	if info, err = CheckBackup(bytes.NewReader(c.backup(follower))); err != nil || info.Index < out.Index {
		t.Errorf("as of index %d without a leader: %v", info.Index, err)
	}
}

func TestBackupDamage(t *testing.T) {
	c := newTestCluster(t, 1, nil)
	c.propose(0, "k=some value")
	file := c.backup(0)
	damages := map[string][]byte{"empty": {}, "longer": append(bytes.Clone(file), 0), "other": []byte("REDIS0010 and so on, long enough")}
	for at := range file {
		damaged := bytes.Clone(file)
		damaged[at] ^= 0x20
		damages[fmt.Sprint("bit at ", at)] = damaged
		damages[fmt.Sprint("cut at ", at)] = file[:at]
	}
	dir := filepath.Join(t.TempDir(), "data")
	for name, damaged := range damages {
		cfg := c.config(0)
		cfg.DataDir = dir
		if _, err := RestoreBackup(cfg, bytes.NewReader(damaged)); err == nil {
			t.Errorf("%s: restored", name)
		}
		if _, err := os.Stat(dir); !os.IsNotExist(err) {
			t.Fatalf("%s: left something behind: %v", name, err)
		}
	}
}

func TestRestoreBackupRefuses(t *testing.T) {
	c := newTestCluster(t, 1, nil)
	c.propose(0, "k=v")
	file := c.backup(0)
	cfg := c.config(0)

	cfg.DataDir = t.TempDir()
	if err := os.WriteFile(filepath.Join(cfg.DataDir, "precious"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := RestoreBackup(cfg, bytes.NewReader(file)); err == nil || !strings.Contains(err.Error(), "precious") {
		t.Errorf("got %v", err)
	}

	// What a crash in the middle left does not stand in the way.
	cfg.DataDir = t.TempDir()
	for _, name := range []string{unfinishedDir, walDir} {
		if err := os.Mkdir(filepath.Join(cfg.DataDir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := RestoreBackup(cfg, bytes.NewReader(file)); err != nil {
		t.Error(err)
	}
	if _, err := RestoreBackup(cfg, bytes.NewReader(file)); err == nil {
		t.Error("restored a second time over the first")
	}

	// Without its log it would begin as an empty cluster.
	id, err := loadIdentity(&cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(cfg.DataDir, walDir)); err != nil {
		t.Fatal(err)
	}
	if _, err := openLog(cfg.DataDir, id, newZap(cfg.Logger)); err == nil || !strings.Contains(err.Error(), "has had a log") {
		t.Errorf("the restored log is lost, and opens with %v", err)
	}
}

type brokenWriter struct{ left int }

func (w *brokenWriter) Write(p []byte) (int, error) {
	if w.left -= len(p); w.left < 0 {
		return 0, errors.New("no space left on device")
	}
	return len(p), nil
}

func TestBackupToFullDisk(t *testing.T) {
	c := newTestCluster(t, 1, nil)
	c.propose(0, "k=v")
	for _, left := range []int{0, 15, 100, 200} {
		if _, err := c.nodes[0].Backup(context.Background(), &brokenWriter{left}); err == nil || !strings.Contains(err.Error(), "no space") {
			t.Errorf("%d bytes left: %v", left, err)
		}
	}
}

// A majority is lost for good: a survivor goes on alone with all that it has.
func TestForceSingleMember(t *testing.T) {
	for _, compacted := range []bool{false, true} {
		t.Run(fmt.Sprint("compacted=", compacted), func(t *testing.T) {
			c := newTestCluster(t, 3, func(cfg *Config) {
				if compacted {
					often(cfg)
				}
			})
			c.count(50)
			if compacted {
				c.compacted()
			}
			c.converged()
			survivor := 1
			if _, err := ForceSingleMember(c.config(survivor)); err == nil || !strings.Contains(err.Error(), "in use") {
				t.Errorf("forced a node that runs: %v", err)
			}
			lost := []uint64{c.nodes[0].identity.ID, c.nodes[2].identity.ID}
			for i := range 3 {
				c.stop(i)
			}
			forced, err := ForceSingleMember(c.config(survivor))
			if err != nil {
				t.Fatal(err)
			}
			if len(forced.Removed) != 2 || forced.Index < 50 {
				t.Errorf("did %+v", forced)
			}
			c.start(survivor)
			if got := c.propose(survivor, "n+"); got != "51" {
				t.Errorf("counter is %s, want 51", got)
			}
			if m := c.nodes[survivor].Members(); len(m) != 1 {
				t.Errorf("members %v", m)
			}
			for _, id := range lost {
				if !c.nodes[survivor].membership.isRemoved(id) {
					t.Errorf("node %x is not removed", id)
				}
			}
			// One of the lost comes back: it learns that it was removed.
			c.start(0)
			eventually(t, "the lost member to be refused", func() bool { return errors.Is(c.nodes[0].Err(), ErrRemoved) })
		})
	}
}

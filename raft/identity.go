package raft

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// identity is what a data directory is bound to for good. The id is drawn at random when the directory is made, so a
// machine that lost its disk comes back as a stranger instead of voting twice.
type identity struct {
	Version     int      `json:"version"`
	ClusterName string   `json:"clusterName"`
	URL         string   `json:"url"`
	ID          uint64   `json:"id"`
	Cluster     uint64   `json:"cluster"`             // 0 until the first contact with the other members
	Bootstrap   []Member `json:"bootstrap,omitempty"` // the first members, empty on a node that joined later
	Contacts    []Member `json:"contacts,omitempty"`  // the members when a node joined later: from whom it gets the log
	Logged      bool     `json:"logged,omitempty"`    // it has had a log: without one it has forgotten what it promised
}

const (
	identityVersion = 1
	identityFile    = "identity.json"
	lockFile        = "lock"
)

// newID draws an id that no node has had before.
func newID() (uint64, error) {
	var b [8]byte
	for {
		if _, err := rand.Read(b[:]); err != nil {
			return 0, fmt.Errorf("draw a random id: %w", err)
		}
		if id := binary.LittleEndian.Uint64(b[:]); id != 0 {
			return id, nil
		}
	}
}

// clusterID is a function of the first members' random ids, so every one of them computes the same and no other
// cluster has it.
func clusterID(name string, members []Member) uint64 {
	h := sha256.New()
	fmt.Fprintf(h, "%q", name)
	for _, m := range members {
		fmt.Fprintf(h, "\n%016x %q", m.ID, m.URL)
	}
	return binary.LittleEndian.Uint64(h.Sum(nil)) | 1 // never 0
}

func sortMembers(members []Member) {
	slices.SortFunc(members, func(a, b Member) int {
		if a.ID < b.ID {
			return -1
		}
		return 1
	})
}

// lockDir takes the directory for this process. The lock goes with the process, however it ends.
func lockDir(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the data directory: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the data directory's lock: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("data directory %s is in use by another process: give each node a directory of its own", dir)
		}
		return nil, fmt.Errorf("lock data directory %s: %w", dir, err)
	}
	return f, nil
}

// loadIdentity reads the identity of cfg.DataDir or makes a new one, and refuses a directory of another node.
func loadIdentity(cfg *Config) (identity, error) {
	path := filepath.Join(cfg.DataDir, identityFile)
	noted, err := removedID(cfg.DataDir)
	if err != nil {
		return identity{}, err
	}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && noted != 0 {
		return identity{}, fmt.Errorf("data directory %s was being emptied after node %016x was removed: start with -nexus-wipe-removed to go on, or empty it", cfg.DataDir, noted)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return makeIdentity(cfg)
	}
	if err != nil {
		return identity{}, fmt.Errorf("read the node's identity: %w", err)
	}
	var id identity
	if err := json.Unmarshal(data, &id); err != nil {
		return identity{}, fmt.Errorf("read the node's identity from %s: %w: it is damaged, restore it or replace the node", path, err)
	}
	switch {
	case id.Version != identityVersion:
		return identity{}, versionError(path, id.Version, identityVersion)
	case id.ID == 0:
		return identity{}, fmt.Errorf("%s has no node id", path)
	case id.ClusterName != cfg.ClusterName:
		return identity{}, fmt.Errorf("data directory %s belongs to cluster %q, not %q: correct the cluster name or the directory", cfg.DataDir, id.ClusterName, cfg.ClusterName)
	case noted != 0 && noted != id.ID:
		return identity{}, fmt.Errorf("data directory %s belongs to node %016x, but notes that node %016x was removed: it was put together from two, empty it", cfg.DataDir, id.ID, noted)
	case !sameURL(id.URL, cfg.NodeURL):
		return identity{}, fmt.Errorf("data directory %s belongs to node %s, not %s: correct the node URL or the directory", cfg.DataDir, id.URL, cfg.NodeURL)
	}
	return id, nil
}

// versionError says that there is no way back: what a later version has written may mean what this one does not know.
func versionError(what string, has, reads int) error {
	if has < reads {
		return fmt.Errorf("%s has version %d, this program reads version %d", what, has, reads)
	}
	return fmt.Errorf("%s has version %d: it was written by a newer version, this program reads version %d: start the newer one again, or replace this node",
		what, has, reads)
}

func makeIdentity(cfg *Config) (identity, error) {
	if _, err := os.Stat(filepath.Join(cfg.DataDir, walDir)); err == nil {
		return identity{}, fmt.Errorf("data directory %s has a log but no %s: it is damaged, restore it or replace the node", cfg.DataDir, identityFile)
	}
	nodeID, err := newID()
	if err != nil {
		return identity{}, err
	}
	id := identity{Version: identityVersion, ClusterName: cfg.ClusterName, URL: cfg.NodeURL, ID: nodeID}
	return id, id.save(cfg.DataDir)
}

// save replaces the identity file atomically and durably.
func (id *identity) save(dir string) error {
	data, err := json.MarshalIndent(id, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the node's identity: %w", err)
	}
	if err := writeFileDurably(filepath.Join(dir, identityFile), append(data, '\n')); err != nil {
		return fmt.Errorf("save the node's identity: %w", err)
	}
	return nil
}

func writeFileDurably(path string, data []byte) error {
	tmp := path + ".tmp"
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

func sameURL(a, b string) bool {
	return strings.TrimSuffix(a, "/") == strings.TrimSuffix(b, "/")
}

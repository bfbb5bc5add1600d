package raft

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/url"
	"time"
)

// Config of a Replicator. NewConfig returns the defaults; a zero field is not a default.
type Config struct {
	// ClusterName tells clusters apart whose nodes could meet by mistake. It is fixed when the data directory is made.
	ClusterName string
	// NodeURL is where the other members reach this one, such as http://10.0.0.1:9021.
	NodeURL string
	// ClusterURLs are the node URLs of the first members. A node whose own URL is not among them joins a running
	// cluster: it asks these for its membership and waits until AddMember was called for it.
	ClusterURLs []string
	// DataDir holds the identity, the write-ahead log and snapshots. One process at a time.
	DataDir string
	// Bind is the host or address on which the port of NodeURL is opened. Empty: the host of NodeURL.
	Bind string
	// TLS protects what goes between members. Node URLs are https then, on all members alike.
	TLS *TLSFiles

	// Store is the backend; Sequencer may be nil.
	Store     Store
	Sequencer Sequencer
	// CommandVersion is the newest version of commands that the Store reads, if it tells them apart: see
	// Replicator.MembersWithout.
	CommandVersion int
	// CommandsInUse returns the oldest version of commands that a Store must read to do right by the data, if it tells them apart:
	// a node that reads older ones only is not added. It may be nil.
	CommandsInUse func() int

	// LeaseReads lets the leader answer reads for as long as a lease from a quorum holds, instead of asking a quorum
	// for each round of reads. Safe while clocks run at rates that differ by less than one part in ten.
	LeaseReads bool

	// Tick is the unit of raft time; a leader sends heartbeats every tick. ElectionTicks without one start an election.
	Tick          time.Duration
	ElectionTicks int
	// Timeout bounds Propose, Read and membership changes that carry no earlier deadline; large proposals have Allowance more,
	// and it begins again where it ends while the Store is busy: see Busier.
	Timeout time.Duration

	// A snapshot of the backend is taken, and the log before it dropped, after SnapshotCount applied entries or
	// SnapshotBytes of them, whichever comes first. The log since then is also held in memory.
	SnapshotCount uint64
	SnapshotBytes uint64
	// VerifyInterval is how often the leader compares the data of all members; 0 for never. A member that differs stops
	// serving; with AutoRepair set there, it is then filled from a snapshot of another.
	VerifyInterval time.Duration
	AutoRepair     bool
	// MaxProposalBytes bounds the commands of one Propose call; MaxBatchBytes and MaxBatchCommands what is put into
	// one entry with others.
	MaxProposalBytes int
	MaxBatchBytes    int
	MaxBatchCommands int
	// MaxPendingBytes bounds what waits on this node to be proposed or committed; more is refused with ErrNotDone.
	MaxPendingBytes int
	// ApplyInterval is how long a member that does not lead lets committed entries come together before it applies them, counted
	// from when it applied others, while nobody there waits for one; 0 to apply each as it comes. It saves what a call of
	// Store.Apply costs. Whoever asks the backend past the Replicator sees it behind by as much.
	ApplyInterval time.Duration
	// MaxApplyLag bounds the committed entries that the local backend has not applied; beyond it the leader refuses
	// proposals with ErrNotDone.
	MaxApplyLag uint64

	// About returns what this member tells the others of itself beside its Status: see Reports. May be nil.
	About func() json.RawMessage

	Logger *slog.Logger
}

// NewConfig returns the defaults, to be completed with NodeURL, ClusterURLs, DataDir and Store.
func NewConfig() Config {
	return Config{
		ClusterName:      "nexus",
		Tick:             100 * time.Millisecond,
		ElectionTicks:    10,
		Timeout:          5 * time.Second,
		SnapshotCount:    100_000,
		SnapshotBytes:    128 << 20,
		MaxProposalBytes: 1 << 30,
		MaxBatchBytes:    1 << 20,
		MaxBatchCommands: 8192,
		MaxPendingBytes:  1 << 30,
		MaxApplyLag:      5000,
		Logger:           slog.Default(),
	}
}

// Validate reports the first bad field, its value and what is expected.
func (c *Config) Validate() error {
	if c.Store == nil {
		return errors.New("config: Store is nil, want a backend")
	}
	if c.ClusterName == "" {
		return errors.New("config: ClusterName is empty, want a name that all nodes of the cluster share")
	}
	if c.DataDir == "" {
		return errors.New("config: DataDir is empty, want a directory of this node's own")
	}
	if c.TLS != nil {
		if err := c.TLS.validate(); err != nil {
			return fmt.Errorf("config: TLS: %w", err)
		}
	}
	if err := c.checkURL(c.NodeURL); err != nil {
		return fmt.Errorf("config: NodeURL: %w", err)
	}
	if len(c.ClusterURLs) == 0 {
		return errors.New("config: ClusterURLs is empty, want the node URLs of the first members")
	}
	seen := make(map[string]bool)
	for _, u := range c.ClusterURLs {
		if err := c.checkURL(u); err != nil {
			return fmt.Errorf("config: ClusterURLs: %w", err)
		}
		if seen[u] {
			return fmt.Errorf("config: ClusterURLs: %q is named twice", u)
		}
		seen[u] = true
	}
	for _, n := range []struct {
		name  string
		value int64
		least int64
	}{
		{"Tick", int64(c.Tick), int64(time.Millisecond)},
		{"ElectionTicks", int64(c.ElectionTicks), 5},
		{"Timeout", int64(c.Timeout), int64(time.Millisecond)},
		{"SnapshotCount", int64(min(c.SnapshotCount, math.MaxInt64)), 1},
		{"SnapshotBytes", int64(min(c.SnapshotBytes, math.MaxInt64)), 1},
		{"MaxProposalBytes", int64(c.MaxProposalBytes), 1},
		{"MaxBatchBytes", int64(c.MaxBatchBytes), 1},
		{"MaxBatchCommands", int64(c.MaxBatchCommands), 1},
		{"MaxPendingBytes", int64(c.MaxPendingBytes), 1},
		{"MaxApplyLag", int64(c.MaxApplyLag), 1},
	} {
		if n.value < n.least {
			return fmt.Errorf("config: %s is %d, want at least %d", n.name, n.value, n.least)
		}
	}
	if c.VerifyInterval < 0 {
		return fmt.Errorf("config: VerifyInterval is %v, want 0 or more", c.VerifyInterval)
	}
	if c.ApplyInterval < 0 || c.ApplyInterval > time.Second {
		return fmt.Errorf("config: ApplyInterval is %v, want 0 to 1s", c.ApplyInterval)
	}
	if c.Logger == nil {
		return errors.New("config: Logger is nil")
	}
	return nil
}

// checkURL checks a node URL, whose scheme says whether the node uses TLS, as all of a cluster do.
func (c *Config) checkURL(s string) error {
	u, err := ParseNodeURL(s)
	switch {
	case err != nil:
		return err
	case c.TLS != nil && u.Scheme != "https":
		return fmt.Errorf("%q is a URL without TLS, want https://%s, since the nodes have certificates", s, u.Host)
	case c.TLS == nil && u.Scheme == "https":
		return fmt.Errorf("%q is a URL with TLS, want http://%s, or certificates for the nodes", s, u.Host)
	}
	return nil
}

// ElectionTimeout is the time without a leader after which a member starts an election, before randomization.
func (c *Config) ElectionTimeout() time.Duration {
	return time.Duration(c.ElectionTicks) * c.Tick
}

// ParseNodeURL checks that s is a node URL: http (https where the nodes use TLS), a host, a port and nothing else.
func ParseNodeURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.Port() == "" || (u.Path != "" && u.Path != "/") || u.RawQuery != "" || u.User != nil {
		return nil, fmt.Errorf("%q is not a node URL, want http://host:port", s)
	}
	return u, nil
}

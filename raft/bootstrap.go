package raft

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

const (
	pathIdentity     = "/nexus/v1/identity"
	maxIdentityBytes = 1 << 20
	bootstrapPause   = 200 * time.Millisecond
)

// introduction is what a node tells about itself to anyone who asks at its node URL.
type introduction struct {
	ClusterName string   `json:"clusterName"`
	Cluster     uint64   `json:"cluster"` // 0: in no cluster yet
	ID          uint64   `json:"id"`
	URL         string   `json:"url"`
	ClusterURLs []string `json:"clusterURLs"` // the first members, as it was told
	Bootstrap   []Member `json:"bootstrap"`   // the first members, if it was one of them
	Members     []Member `json:"members"`     // current, if in a cluster and already known
	Removed     []uint64 `json:"removed,omitempty"`
	// EntryVersion is the newest version of log entries that the node reads; 0, from former programs, means 1.
	EntryVersion int `json:"entryVersion,omitempty"`
	// CommandVersion is that of Config; 0, from former programs, says that it has none.
	CommandVersion int `json:"commandVersion,omitempty"`
}

// errNoFirstMember means that the cluster exists already, and that this node is not in it though its URL is among those
// of the first members: its data directory is new.
type errNoFirstMember struct{ peer string }

func (e errNoFirstMember) Error() string {
	return fmt.Sprintf("node %s is in a cluster in which this node, whose data directory is new, is not", e.peer)
}

// errMisconfigured is what waiting does not mend.
type errMisconfigured struct{ error }

func (e errMisconfigured) Unwrap() error { return e.error }

// enterCluster finds out which cluster this node is in, and notes it for good. The first members introduce themselves to
// each other until each knows the random ids of all; a node that is not among them waits to be added.
func (r *Replicator) enterCluster(ctx context.Context) error {
	if r.identity.Cluster != 0 {
		return nil
	}
	enter := r.meetFirstMembers
	if !slices.ContainsFunc(r.cfg.ClusterURLs, func(u string) bool { return sameURL(u, r.cfg.NodeURL) }) {
		enter = r.findOwnMembership
		r.waitToJoin("repl HOST:PORT addNode " + r.cfg.NodeURL)
	}
	var said string
	for {
		err := enter(ctx)
		if err == nil {
			return nil
		}
		var wrong errMisconfigured
		if errors.As(err, &wrong) {
			return err
		}
		var late errNoFirstMember
		if errors.As(err, &late) {
			enter = r.findOwnMembership
			r.waitToJoin("if it lost its data, repl HOST:PORT replaceNode " + r.cfg.NodeURL)
			continue
		}
		r.setProblem(err.Error())
		if err.Error() != said {
			said = err.Error()
			r.log.Info("waiting for the cluster", "reason", said)
		}
		select {
		case <-time.After(bootstrapPause):
		case <-ctx.Done():
			return fmt.Errorf("enter the cluster: %w: %w", context.Cause(ctx), err)
		}
	}
}

// waitToJoin says that it depends on an operator now.
func (r *Replicator) waitToJoin(remedy string) {
	r.role.Store(roleJoining)
	r.log.Warn("waiting to be added to the cluster", "url", r.cfg.NodeURL, "id", formatID(r.identity.ID), "run", remedy)
}

func (r *Replicator) meetFirstMembers(ctx context.Context) error {
	members := []Member{{ID: r.identity.ID, URL: r.cfg.NodeURL}}
	var missing error
	for _, url := range r.cfg.ClusterURLs {
		if sameURL(url, r.cfg.NodeURL) {
			continue
		}
		peer, err := r.introduce(ctx, url)
		var wrong errMisconfigured
		if errors.As(err, &wrong) {
			return err
		}
		if err != nil {
			if missing == nil {
				missing = err
			}
			continue // another may know of a cluster
		}
		// The cluster exists. This node is one of its first members if it was met as one, and else has to be added, or
		// was already: the members now are not those that began it.
		if peer.Cluster != 0 && containsID(peer.Bootstrap, r.identity.ID) {
			id := r.identity
			id.Bootstrap, id.Cluster = peer.Bootstrap, peer.Cluster
			return r.adopt(id)
		}
		if peer.Cluster != 0 {
			return errNoFirstMember{url}
		}
		if !sameURLs(peer.ClusterURLs, r.cfg.ClusterURLs) {
			return errMisconfigured{fmt.Errorf("node %s was started with the cluster URLs %s, this node with %s: all first members need the same", url, strings.Join(peer.ClusterURLs, ","), strings.Join(r.cfg.ClusterURLs, ","))}
		}
		members = append(members, Member{ID: peer.ID, URL: url})
	}
	if missing != nil {
		return missing
	}
	sortMembers(members)
	id := r.identity
	id.Bootstrap, id.Cluster = members, clusterID(r.cfg.ClusterName, members)
	return r.adopt(id)
}

func (r *Replicator) findOwnMembership(ctx context.Context) error {
	var problems []string
	for _, url := range r.cfg.ClusterURLs {
		if sameURL(url, r.cfg.NodeURL) {
			continue
		}
		peer, err := r.introduce(ctx, url)
		if err != nil {
			problems = append(problems, err.Error())
			continue
		}
		if slices.Contains(peer.Removed, r.identity.ID) {
			r.noteRemoved()
			return errMisconfigured{fmt.Errorf("%w: %s says so; to use this machine again, empty the data directory, or start once with -nexus-wipe-removed", ErrRemoved, url)}
		}
		if peer.Cluster != 0 && containsID(peer.Members, r.identity.ID) {
			id := r.identity
			id.Cluster, id.Contacts = peer.Cluster, peer.Members
			return r.adopt(id)
		}
	}
	problems = append(problems, fmt.Sprintf("not yet a member: run repl HOST:PORT addNode %s, or replaceNode if it was one before", r.cfg.NodeURL))
	return errors.New(strings.Join(problems, "; "))
}

func (r *Replicator) adopt(id identity) error {
	if err := id.save(r.cfg.DataDir); err != nil {
		return errMisconfigured{err}
	}
	r.identityMu.Lock()
	r.identity = id
	r.identityMu.Unlock()
	r.log.Info("entered the cluster", "cluster", formatID(id.Cluster), "id", formatID(id.ID))
	return nil
}

// httpsServer is what Go's server with TLS says to who comes without.
const httpsServer = "HTTP request to an HTTPS server"

// introduce asks the node at url who it is.
func (r *Replicator) introduce(ctx context.Context, url string) (introduction, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	url = strings.TrimSuffix(url, "/")
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+pathIdentity, nil)
	if err != nil {
		return introduction{}, err
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return introduction{}, unmet(url, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxIdentityBytes))
	if err != nil {
		return introduction{}, fmt.Errorf("node %s does not answer: %w", url, err)
	}
	if resp.StatusCode == http.StatusBadRequest && strings.Contains(string(body), httpsServer) {
		return introduction{}, fmt.Errorf("node %s wants TLS, this node has none: all nodes of a cluster have certificates and https:// URLs, or none has", url)
	}
	var peer introduction
	if err := json.Unmarshal(body, &peer); err != nil || peer.ID == 0 {
		return introduction{}, fmt.Errorf("%s does not answer like a Nexus node (%s)", url, resp.Status)
	}
	switch {
	case peer.ClusterName != r.cfg.ClusterName:
		return introduction{}, errMisconfigured{fmt.Errorf("node %s is of cluster %q, this node of %q: correct the cluster name or the URL", url, peer.ClusterName, r.cfg.ClusterName)}
	case peer.ID == r.identity.ID && !sameURL(url, r.cfg.NodeURL):
		return introduction{}, errMisconfigured{fmt.Errorf("node %s has the same id %016x as this node: one of the data directories is a copy, empty it", url, peer.ID)}
	case !sameURL(peer.URL, url):
		return introduction{}, errMisconfigured{fmt.Errorf("the node at %s calls itself %s: use that URL", url, peer.URL)}
	}
	return peer, nil
}

func (r *Replicator) serveIdentity(w http.ResponseWriter, _ *http.Request) {
	r.identityMu.Lock()
	id := r.identity
	r.identityMu.Unlock()
	in := introduction{
		ClusterName: id.ClusterName, Cluster: id.Cluster, ID: id.ID, URL: id.URL, ClusterURLs: r.cfg.ClusterURLs,
		Bootstrap: id.Bootstrap, Members: r.Members(), Removed: r.membership.listRemoved(),
		EntryVersion: newestEntry, CommandVersion: r.cfg.CommandVersion,
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(in) // the asker asks again
}

func sameURLs(a, b []string) bool {
	return slices.Equal(normalURLs(a), normalURLs(b))
}

func normalURLs(urls []string) []string {
	out := make([]string, len(urls))
	for i, u := range urls {
		out[i] = strings.TrimSuffix(u, "/")
	}
	slices.Sort(out)
	return out
}

func containsID(members []Member, id uint64) bool {
	return slices.ContainsFunc(members, func(m Member) bool { return m.ID == id })
}

package raft

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

const (
	pathWait     = "/nexus/v1/wait"
	headerLink   = "X-Nexus-Wait-Link"
	headerOrigin = "X-Nexus-Origin"
)

// waitLink is a request that a node with waiting clients keeps open at the leader for as long as it lives: nothing must
// be taken for clients that are gone with their node. Proposals that may wait name the link. With it the leader forgets
// them, and a node whose link broke, while the leader is the same, has its clients ask again.
type waitLink struct {
	token  string
	origin uint64 // whose clients wait
	leader uint64
	term   uint64

	up     bool               // on the node whose clients wait: the leader knows of it
	cancel context.CancelFunc // ends it
	gone   chan struct{}      // on the leader: closed when it is to end
}

// withoutLink takes those who may have to wait out of the queue while there is no link to the leader. Loop only.
func (r *Replicator) withoutLink(leader uint64, url string) (aside []*proposal) {
	term := r.term.Load()
	if l := r.link; l != nil && (l.leader != leader || l.term != term) {
		r.closeLink()
	}
	kept := r.queue[:0]
	for _, p := range r.queue {
		if p.wait != nil && (r.link == nil || !r.link.up) {
			aside = append(aside, p)
			continue
		}
		kept = append(kept, p)
	}
	clear(r.queue[len(kept):])
	r.queue = kept
	if len(aside) > 0 {
		r.openLink(leader, url)
	}
	return aside
}

// reopenLink opens a link in the place of one that broke, as only a new one tells whether the leader is the same. Loop
// only.
func (r *Replicator) reopenLink() {
	if !r.orphaned || r.link != nil {
		return
	}
	leader := r.leader.Load()
	url := r.membership.url(leader)
	if leader != 0 && leader != r.identity.ID && url != "" {
		r.openLink(leader, url)
	}
}

func (r *Replicator) openLink(leader uint64, url string) {
	if r.link != nil {
		return
	}
	l := &waitLink{token: rand.Text(), origin: r.identity.ID, leader: leader, term: r.term.Load()}
	ctx, cancel := context.WithCancel(r.ctx)
	l.cancel = cancel
	r.link = l
	r.spawn(func(context.Context) {
		defer cancel()
		err := r.holdLink(ctx, l, url)
		r.log.Debug("link to the leader ended", "leader", url, "err", err)
		select {
		case <-time.After(refusedPause):
		case <-r.ctx.Done():
		}
		r.mail.call(func() { r.linkEnded(l) })
	})
}

// holdLink keeps the request open until it breaks.
func (r *Replicator) holdLink(ctx context.Context, l *waitLink, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+pathWait, nil)
	if err != nil {
		return fmt.Errorf("open a link to the leader: %w", err)
	}
	req.Header.Set(headerCluster, formatID(r.identity.Cluster))
	req.Header.Set(headerTerm, strconv.FormatUint(l.term, 10))
	req.Header.Set(headerOrigin, strconv.FormatUint(l.origin, 10))
	req.Header.Set(headerLink, l.token)
	resp, err := r.client.Do(req)
	if err != nil {
		return fmt.Errorf("open a link to the leader: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("open a link to the leader: %s", resp.Status)
	}
	r.mail.call(func() { r.linkUp(l) })
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

// linkUp has those ask again who waited on an earlier link to the same leader: it has forgotten them. Loop only.
func (r *Replicator) linkUp(l *waitLink) {
	if r.link != l {
		return
	}
	l.up = true
	if !r.orphaned {
		return
	}
	r.orphaned = false
	for _, p := range r.pending.waiting() {
		if p.wait.link != l && p.term == l.term {
			p.wait.lose()
		}
	}
}

// linkEnded is called when the request has ended. Loop only.
func (r *Replicator) linkEnded(l *waitLink) {
	if r.link != l {
		return
	}
	r.orphaned = r.orphaned || l.up
	r.link = nil
}

// closeLink lets go of a link to a leader that is not the leader any more. Those who waited there are settled by the
// first entry of the next one. Loop only.
func (r *Replicator) closeLink() {
	r.link.cancel()
	r.link, r.orphaned = nil, false
}

// serveWait is the leader's side of a link.
func (r *Replicator) serveWait(w http.ResponseWriter, req *http.Request) {
	term, err := strconv.ParseUint(req.Header.Get(headerTerm), 10, 64)
	if err != nil {
		http.Error(w, "bad term", http.StatusBadRequest)
		return
	}
	origin, err := strconv.ParseUint(req.Header.Get(headerOrigin), 10, 64)
	token := req.Header.Get(headerLink)
	if err != nil || token == "" {
		http.Error(w, "bad origin or link", http.StatusBadRequest)
		return
	}
	l := &waitLink{token: token, origin: origin, leader: r.identity.ID, term: term, gone: make(chan struct{})}
	accepted := make(chan bool, 1)
	r.mail.call(func() { accepted <- r.acceptLink(l) })
	select {
	case ok := <-accepted:
		if !ok {
			http.Error(w, "not the leader of that term", http.StatusConflict)
			return
		}
	case <-r.ctx.Done():
		http.Error(w, "stopping", http.StatusServiceUnavailable)
		return
	}
	w.WriteHeader(http.StatusOK)
	if err := http.NewResponseController(w).Flush(); err == nil {
		select {
		case <-req.Context().Done():
		case <-l.gone:
		case <-r.ctx.Done():
		}
	}
	r.mail.call(func() { r.dropLink(l) })
}

// acceptLink takes a link if this node leads in its term. Loop only.
func (r *Replicator) acceptLink(l *waitLink) bool {
	if !r.leading || r.term.Load() != l.term {
		return false
	}
	r.links[l.token] = l
	r.heard[l.origin] = r.leaseClock()
	return true
}

// dropLink forgets those who wait by a link, and ends it. Loop only.
func (r *Replicator) dropLink(l *waitLink) {
	if r.links[l.token] != l {
		return
	}
	delete(r.links, l.token)
	close(l.gone)
	r.waits.leave(l)
}

// isAbsent reports whether the node of a link was not heard for so long that it may be gone, or cut off. Loop only.
func (r *Replicator) isAbsent(l *waitLink) bool {
	return l != nil && r.leaseClock()-r.heard[l.origin] > r.cfg.ElectionTimeout()
}

// get returns the proposal called id, or nil.
func (s *pendingSet) get(id uint64) *proposal {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byID[id]
}

// waiting returns the proposals that may wait.
func (s *pendingSet) waiting() []*proposal {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []*proposal
	for _, p := range s.byID {
		if p.wait != nil {
			list = append(list, p)
		}
	}
	return list
}

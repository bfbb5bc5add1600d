package raft

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"
)

const (
	// maxForwards is how many requests with proposals may be under way to the leader; what comes meanwhile is sent
	// together.
	maxForwards = 4
	// maxForwardBytes is where a request is closed and the next one begun.
	maxForwardBytes = 4 << 20
	// trustedBytes is what a request is believed to bring before any of it is there.
	trustedBytes = 64 << 10
	// refusedPause keeps a node that knows of a leader which does not know of itself from asking in a tight loop.
	refusedPause = 10 * time.Millisecond

	pathPropose   = "/nexus/v1/propose"
	headerCluster = "X-Nexus-Cluster"
	headerTerm    = "X-Nexus-Term"
)

// errRefused means that certainly no command of a forwarded request was put into a log.
var errRefused = errors.New("refused by the peer")

// forwards counts the requests that are under way to the leader of a term. Those to an earlier leader, which may hang,
// hold up nothing: what became of them the log tells.
type forwards struct {
	term     uint64
	requests int
	waits    int // of the requests, those with proposals that may have to wait
}

// forwardQueue hands the queue of a node that does not lead to the leader of the term, if there is one.
//
// A request names the term. The peer puts its proposals into its log in that term or never, so that when a request or
// its answer is lost, the first entry of a later term settles what became of them.
func (r *Replicator) forwardQueue() {
	kept := r.queue[:0]
	for _, p := range r.queue {
		switch {
		case p.state.Load() == proposalAbandoned:
		case p.verdict != nil:
			p.refuse() // it was meant for this node as a leader
		default:
			kept = append(kept, p)
		}
	}
	clear(r.queue[len(kept):])
	r.queue = kept

	if r.leaderless.known {
		r.refuseQueued()
		return
	}
	leader := r.leader.Load()
	url := r.membership.url(leader)
	if leader == 0 || leader == r.identity.ID || url == "" {
		return
	}
	// Those who may have to wait need a link by which the leader knows that they still do.
	aside := r.withoutLink(leader, url)
	term := r.term.Load()
	if r.forwards.term != term {
		r.forwards = &forwards{term: term}
	}
	// Requests may overtake each other. What came behind one that may have to wait must not: it would not wake it as one
	// that waits already.
	for len(r.queue) > 0 && r.forwards.requests < maxForwards && r.forwards.waits == 0 {
		r.forwardBatch(url, term)
	}
	r.queue = append(r.queue, aside...)
}

func (r *Replicator) forwardBatch(url string, term uint64) {
	var batch []*proposal
	var groups []group
	size, used := 0, 0
	for _, p := range r.queue {
		if len(batch) > 0 && size+p.bytes > maxForwardBytes {
			break
		}
		used++
		if !r.offer(p, term) {
			continue
		}
		batch = append(batch, p)
		groups = append(groups, p.group)
		size += p.bytes
	}
	r.dropQueued(used)
	if len(batch) == 0 {
		return
	}
	// It refers to memory of the callers, who may use it again once a later leader has executed their commands. Whatever
	// this one gets to read then, it is of a term in which nothing is committed any more.
	body := appendParts(nil, nil, groups)
	link, waits, arrivals := r.link, 0, formatArrivals(batch)
	for _, p := range batch {
		if p.wait != nil {
			p.wait.link, waits = link, 1
		}
	}
	under := r.forwards // the answer may come in another term
	under.requests++
	under.waits += waits
	r.spawn(func(ctx context.Context) {
		verdicts, err := r.postProposals(ctx, url, term, link, arrivals, body, len(batch))
		r.mail.call(func() { under.requests, under.waits = under.requests-1, under.waits-waits })
		if err != nil && !errors.Is(err, errRefused) {
			// Unknown: settled by the log, or given up by the waiting calls.
			r.log.Debug("forward to the leader", "leader", url, "err", err)
			for _, p := range batch {
				p.wait.lose() // no entry need come of it
			}
			return
		}
		var again []*proposal
		for i, p := range batch {
			if (err != nil || !verdicts[i]) && r.withdraw(p, term) {
				again = append(again, p)
			}
		}
		if len(again) == 0 {
			return
		}
		select {
		case <-time.After(refusedPause):
		case <-ctx.Done():
		}
		r.mail.propose(again...)
	})
}

// postProposals sends groups to the leader and returns, for each, whether it was put into its log. The error wraps
// errRefused if certainly none was.
func (r *Replicator) postProposals(ctx context.Context, url string, term uint64, link *waitLink, arrivals string, body [][]byte, n int) ([]bool, error) {
	size := sizeOf(body)
	ctx, cancel := context.WithTimeout(ctx, r.cfg.Timeout+Allowance(size))
	defer cancel()
	read := func() (io.ReadCloser, error) { return io.NopCloser(readParts(body)), nil }
	reader, _ := read()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+pathPropose, reader)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errRefused, err)
	}
	req.ContentLength, req.GetBody = int64(size), read
	req.Header.Set(headerCluster, formatID(r.identity.Cluster))
	req.Header.Set(headerTerm, strconv.FormatUint(term, 10))
	if link != nil {
		req.Header.Set(headerLink, link.token)
	}
	if arrivals != "" {
		req.Header.Set(headerArrivals, arrivals)
	}
	resp, err := r.client.Do(req)
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) && op.Op == "dial" {
			return nil, fmt.Errorf("%w: %w", errRefused, err)
		}
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusConflict || resp.StatusCode == http.StatusServiceUnavailable {
		return nil, fmt.Errorf("%w: %s", errRefused, resp.Status)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("forward to %s: %s", url, resp.Status)
	}
	answer, err := io.ReadAll(io.LimitReader(resp.Body, int64(n)+1))
	if err != nil {
		return nil, fmt.Errorf("forward to %s: %w", url, err)
	}
	if len(answer) != n {
		return nil, fmt.Errorf("forward to %s: %d verdicts for %d proposals", url, len(answer), n)
	}
	verdicts := make([]bool, n)
	for i, b := range answer {
		verdicts[i] = b == '1'
	}
	return verdicts, nil
}

// servePropose takes proposals from another member.
func (r *Replicator) servePropose(w http.ResponseWriter, req *http.Request) {
	term, err := strconv.ParseUint(req.Header.Get(headerTerm), 10, 64)
	if err != nil {
		http.Error(w, "bad term", http.StatusBadRequest)
		return
	}
	limit := int64(r.cfg.MaxProposalBytes) + maxForwardBytes
	body, err := readBody(req, limit)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	cmds, refs, err := decodeGroups(body, nil, nil)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if r.pendingBytes.Add(int64(len(body))) > int64(r.cfg.MaxPendingBytes) {
		r.pendingBytes.Add(-int64(len(body)))
		http.Error(w, "too many writes are waiting", http.StatusServiceUnavailable)
		return
	}
	defer r.pendingBytes.Add(-int64(len(body)))

	proposals := make([]*proposal, len(refs))
	for i, ref := range refs {
		p := &proposal{
			group:      group{origin: ref.origin, id: ref.id, cmds: cmds[ref.from:ref.to]},
			verdict:    make(chan bool, 1),
			handedTerm: term,
		}
		p.bytes = p.size()
		if ref.waits() {
			p.link = req.Header.Get(headerLink)
		}
		proposals[i] = p
	}
	if err := setArrivals(proposals, req.Header.Get(headerArrivals)); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.mail.propose(proposals...)
	answer := make([]byte, len(proposals))
	for i, p := range proposals {
		select {
		case accepted := <-p.verdict:
			answer[i] = '0'
			if accepted {
				answer[i] = '1'
			}
		case <-req.Context().Done():
			return
		case <-r.ctx.Done():
			http.Error(w, "stopping", http.StatusGatewayTimeout)
			return
		}
	}
	_, _ = w.Write(answer) // the other side treats a lost answer as unknown
}

// readBody reads a request body of a known length up to limit. It takes memory for trustedBytes, and for more as they come, so
// that who promises much and sends little costs little.
func readBody(req *http.Request, limit int64) ([]byte, error) {
	if req.ContentLength > limit {
		return nil, fmt.Errorf("body of %d bytes is over the limit of %d", req.ContentLength, limit)
	}
	if req.ContentLength < 0 {
		return nil, errors.New("body of an unknown length")
	}
	body := make([]byte, min(req.ContentLength, trustedBytes))
	for n := 0; ; {
		read, err := io.ReadFull(req.Body, body[n:])
		if err != nil {
			return nil, fmt.Errorf("read body: %w", err)
		}
		if n += read; int64(n) == req.ContentLength {
			return body, nil
		}
		body = append(make([]byte, 0, min(req.ContentLength, 4*int64(n))), body...)
		body = body[:cap(body)]
	}
}

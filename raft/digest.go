package raft

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

const (
	pathDigest = "/nexus/v1/digest"
	// verifyPause is how often a member is asked whether its digest is ready.
	verifyPause = 100 * time.Millisecond
	// lostCheckpoint is how many times a member that has applied a checkpoint says that it knows of none: the first answer may
	// have come just before it did.
	lostCheckpoint = 5
	// stallTimeouts is how many Config.Timeouts a member in trouble may apply nothing before it is not waited for any more.
	stallTimeouts   = 4
	maxDigestAnswer = 64 << 20
	// detailTimeout bounds a question for which a member may have to read its whole snapshot.
	detailTimeout = time.Minute
)

// digestAnswer is what a member tells about a checkpoint.
type digestAnswer struct {
	Ready bool         `json:"ready"`
	Busy  bool         `json:"busy,omitempty"`
	Error string       `json:"error,omitempty"`
	Term  uint64       `json:"term"`
	Index uint64       `json:"index"`
	Parts []partAnswer `json:"parts,omitempty"`
	// Passed is how far a member has applied its log that knows nothing of the checkpoint.
	Passed uint64 `json:"passed,omitempty"`
	// Problem is why such a member does not serve, if it knows.
	Problem string `json:"problem,omitempty"`
	// Odd says that the member was found to differ before, and was not repaired yet.
	Odd bool `json:"odd,omitempty"`
	// Version is the DigestVersion of the member.
	Version int `json:"version,omitempty"`

	member Member
}

// key is equal for equal data.
func (d *digestAnswer) key() string {
	var b strings.Builder
	for _, p := range d.Parts {
		fmt.Fprintf(&b, "%q %d %x\n", p.Name, p.Items, p.Sum)
	}
	return b.String()
}

func (d *digestAnswer) usable() bool { return d.Ready && d.Error == "" }

func (d *digestAnswer) part(name string) (partAnswer, bool) {
	i := slices.IndexFunc(d.Parts, func(p partAnswer) bool { return p.Name == name })
	if i < 0 {
		return partAnswer{Name: name}, false
	}
	return d.Parts[i], true
}

type partAnswer struct {
	Name  string `json:"name"`
	Items uint64 `json:"items"`
	Sum   uint64 `json:"sum,string"`
}

// collectDigests waits for every member's digest. A member that cannot be asked is left out with the reason.
func (r *Replicator) collectDigests(ctx context.Context, id uint64) ([]*digestAnswer, error) {
	members := r.membership.list()
	answers := make([]*digestAnswer, len(members))
	done := make(chan int)
	for i, m := range members {
		r.spawn(func(context.Context) {
			answers[i] = r.awaitDigest(ctx, m, id)
			done <- i
		})
	}
	for range members {
		<-done
	}
	for _, a := range answers {
		if a.Busy {
			return nil, fmt.Errorf("verify: %s: %w: %s", a.member.URL, ErrBusy, Unmarked(a.Error, ErrBusy))
		}
	}
	return answers, nil
}

func (r *Replicator) awaitDigest(ctx context.Context, m Member, id uint64) *digestAnswer {
	failures, lost := 0, 0
	stall := stalled{since: time.Now()}
	for {
		answer := &digestAnswer{member: m}
		query := url.Values{"id": {strconv.FormatUint(id, 16)}, "version": {strconv.Itoa(r.digestVersion())}}
		err := r.askPeer(ctx, m.URL, pathDigest, query, answer)
		if err == nil && answer.Ready {
			if answer.Version != r.digestVersion() && answer.Error == "" {
				answer.Error = unlikeDigest
			}
			return answer
		}
		if err != nil {
			failures++
		}
		if r.isPast(id, answer.Passed) {
			lost++
		}
		if lost == lostCheckpoint {
			return &digestAnswer{member: m, Error: "it has lost the checkpoint: it was started again, or filled from a snapshot"}
		}
		if err == nil && stall.longer(answer, stallTimeouts*r.cfg.Timeout) {
			return &digestAnswer{member: m, Error: stall.describe(answer)}
		}
		if _, ok := r.membership.get(m.ID); !ok {
			return &digestAnswer{member: m, Error: "it is not a member any more"}
		}
		if failures == 10 || ctx.Err() != nil || r.ctx.Err() != nil {
			reason := "its digest was not ready in time"
			if err != nil {
				reason = err.Error()
			}
			return &digestAnswer{member: m, Error: reason}
		}
		select {
		case <-time.After(verifyPause):
		case <-ctx.Done():
		case <-r.ctx.Done():
		}
	}
}

// unlikeDigest is why a member is not compared that has a DigestVersion of its own.
const unlikeDigest = "its program is of another version than the leader's, and the two would not compare alike: compare when all nodes have the same"

// stalled is how long a member has been in trouble and has applied nothing of its log.
type stalled struct {
	passed uint64
	since  time.Time
}

// longer takes the member's newest answer. One without trouble may execute an entry, and one that has reached the checkpoint
// reads its data, for as long as that takes.
func (s *stalled) longer(a *digestAnswer, limit time.Duration) bool {
	if a.Problem == "" || a.Passed != s.passed {
		s.passed, s.since = a.Passed, time.Now()
	}
	return time.Since(s.since) > limit
}

func (s *stalled) describe(a *digestAnswer) string {
	return fmt.Sprintf("it has applied nothing of its log behind index %d for %v: %s", s.passed, time.Since(s.since).Round(time.Second), a.Problem)
}

// isPast reports whether a member that knows nothing of a checkpoint has applied the log beyond it.
func (r *Replicator) isPast(id, applied uint64) bool {
	c := r.checkpoint.Load()
	return c != nil && c.id == id && applied >= c.position.Index
}

// askPeer asks a member of the cluster for JSON.
func (r *Replicator) askPeer(ctx context.Context, at, path string, query url.Values, answer any) error {
	limit := r.cfg.Timeout
	if query.Has("part") {
		limit = detailTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at+path+"?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	req.Header.Set(headerCluster, formatID(r.identity.Cluster))
	resp, err := r.client.Do(req)
	if err != nil {
		return fmt.Errorf("ask %s: %w", at, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("ask %s: %s%s", at, resp.Status, reasonOf(resp.Body))
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxDigestAnswer)).Decode(answer); err != nil {
		return fmt.Errorf("ask %s: %w", at, err)
	}
	return nil
}

// maxReason bounds what is passed on of the words in which a member refuses to answer.
const maxReason = 300

func reasonOf(body io.Reader) string {
	said, err := io.ReadAll(io.LimitReader(body, maxReason))
	text := strings.Join(strings.FieldsFunc(string(said), func(r rune) bool { return !unicode.IsPrint(r) }), " ")
	if err != nil || text == "" {
		return ""
	}
	return ": " + text
}

// bucketsAnswer and itemsAnswer carry numbers of 8 bytes each, big-endian.
type bucketsAnswer struct {
	Sums []byte `json:"sums"`
}

type itemsAnswer struct {
	Items []byte `json:"items"`
}

// serveDigest tells about the newest checkpoint: its sums, the sums of the buckets of a part, or the items in buckets.
func (r *Replicator) serveDigest(w http.ResponseWriter, req *http.Request) {
	query := req.URL.Query()
	id, err := strconv.ParseUint(query.Get("id"), 16, 64)
	if err != nil {
		http.Error(w, "bad id", http.StatusBadRequest)
		return
	}
	c := r.checkpoint.Load()
	if c == nil || c.id != id {
		writeJSON(w, digestAnswer{Passed: r.applied.Load(), Problem: r.refusalText()})
		return
	}
	switch {
	case !query.Has("part"):
		answer := c.answer()
		answer.Odd, answer.Version = r.quarantined.Load() != nil, r.digestVersion()
		if asker, _ := strconv.Atoi(query.Get("version")); asker != answer.Version && answer.Error == "" {
			answer.Error = unlikeDigest // also to a leader of before there were versions, which says none
		}
		writeJSON(w, answer)
	case !query.Has("buckets"):
		writeJSON(w, c.bucketSums(query.Get("part")))
	default:
		items, err := r.itemsOf(req.Context(), c, query)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		writeJSON(w, items)
	}
}

func (r *Replicator) itemsOf(ctx context.Context, c *checkpoint, query url.Values) (itemsAnswer, error) {
	digester, ok := r.cfg.Store.(Digester)
	if !ok {
		return itemsAnswer{}, errors.New("the backend of this node cannot be compared")
	}
	buckets := make(map[int]bool)
	for text := range strings.SplitSeq(query.Get("buckets"), ",") {
		b, err := strconv.Atoi(text)
		if err != nil || b < 0 || b >= digestBuckets || len(buckets) == maxComparedBuckets {
			return itemsAnswer{}, fmt.Errorf("bad bucket %q", text)
		}
		buckets[b] = true
	}
	items, err := c.items(ctx, digester, query.Get("part"), buckets)
	var answer itemsAnswer
	for _, item := range items {
		answer.Items = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(answer.Items, item.key), item.value)
	}
	return answer, err
}

func (c *checkpoint) answer() digestAnswer {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := digestAnswer{Ready: c.done, Term: c.position.Term, Index: c.position.Index, Busy: errors.Is(c.err, ErrBusy)}
	if c.err != nil {
		a.Error = c.err.Error()
	}
	for name, p := range c.parts {
		a.Parts = append(a.Parts, partAnswer{Name: name, Items: p.items, Sum: p.sum})
	}
	slices.SortFunc(a.Parts, func(a, b partAnswer) int { return strings.Compare(a.Name, b.Name) })
	return a
}

func (c *checkpoint) bucketSums(part string) bucketsAnswer {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.parts[part]
	if p == nil {
		p = &partDigest{}
	}
	var a bucketsAnswer
	for _, sum := range p.buckets {
		a.Sums = binary.BigEndian.AppendUint64(a.Sums, sum)
	}
	return a
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the asker sees a lost answer as an error
}

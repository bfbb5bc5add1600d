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
)

const (
	pathDigest = "/nexus/v1/digest"
	// verifyPause is how often a member is asked whether its digest is ready.
	verifyPause = 100 * time.Millisecond
	// A checkpoint that some member was too busy for is tried again so often.
	verifyTries    = 5
	verifyTryPause = 2 * time.Second
	// verifyTimeout bounds the wait for the digests of one checkpoint.
	verifyTimeout   = 5 * time.Minute
	maxDigestAnswer = 64 << 20
	// maxComparedBuckets bounds the items that are fetched to count what differs; beyond it, the count is a lower bound.
	maxComparedBuckets = 64
)

// VerifyReport says how the members' data compared at one position of the log.
type VerifyReport struct {
	Position
	Members []VerifiedMember `json:"members"`
}

// Equal reports whether all members were compared and hold the same.
func (v *VerifyReport) Equal() bool {
	return !slices.ContainsFunc(v.Members, func(m VerifiedMember) bool { return m.Problem != "" || len(m.Differences) > 0 })
}

// VerifiedMember is what a comparison found about one member.
type VerifiedMember struct {
	ID    uint64 `json:"id"`
	URL   string `json:"url"`
	Items uint64 `json:"items"`
	// Differences to what the majority holds, by part.
	Differences []PartDifference `json:"differences,omitempty"`
	// Problem says why the member was not compared.
	Problem string `json:"problem,omitempty"`
}

// PartDifference says how much of a part of a member's data differs from the majority's.
type PartDifference struct {
	Part    string `json:"part"`
	Items   uint64 `json:"items"`   // that differ, are missing or are too many
	AtLeast bool   `json:"atLeast"` // Items is a lower bound
}

func (m *VerifiedMember) describe() string {
	texts := make([]string, len(m.Differences))
	for i, d := range m.Differences {
		least := ""
		if d.AtLeast {
			least = "at least "
		}
		texts[i] = fmt.Sprintf("%s%d keys of %s", least, d.Items, d.Part)
	}
	return strings.Join(texts, ", ")
}

// Verify compares the data of all members at one position of the log, without holding up writes. A member that differs
// from the majority stops serving, and is repaired if Config.AutoRepair is set there. It may be called on any member.
func (r *Replicator) Verify(ctx context.Context) (VerifyReport, error) {
	answer, err := r.change(ctx, membershipRequest{Op: "verify"})
	if err != nil {
		return VerifyReport{}, err
	}
	if answer.Report == nil {
		return VerifyReport{}, errors.New("verify: the leader has sent no report")
	}
	return *answer.Report, nil
}

func (r *Replicator) verifyAsLeader(ctx context.Context) (*VerifyReport, error) {
	for try := 1; ; try++ {
		report, err := r.verifyOnce(ctx)
		if !errors.Is(err, errBusy) || try == verifyTries {
			return report, err
		}
		select {
		case <-time.After(verifyTryPause):
		case <-ctx.Done():
			return nil, fmt.Errorf("verify: %w: %w", err, context.Cause(ctx))
		}
	}
}

// verifyOnce puts a checkpoint into the log, collects the digests and acts on what it finds.
func (r *Replicator) verifyOnce(ctx context.Context) (*VerifyReport, error) {
	id, err := newID()
	if err != nil {
		return nil, err
	}
	err = r.onLoop(ctx, func() error {
		if !r.leading || r.appliedTerm.Load() != r.term.Load() {
			return errNotLeader
		}
		stamp := max(r.wallClock().UnixMilli(), r.disk.lastStamp)
		err := r.node.Propose(appendEntry(nil, stamp, []group{{origin: checkpointOrigin, id: id}}))
		if err == nil {
			r.disk.lastStamp = stamp
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("verify: put a checkpoint into the log: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, verifyTimeout)
	defer cancel()
	answers, err := r.collectDigests(ctx, id)
	if err != nil {
		return nil, err
	}
	report, good, err := r.compare(ctx, id, answers)
	if err != nil {
		return nil, err
	}
	r.noteVerified(report)
	r.quarantineOdd(ctx, report, good)
	return report, nil
}

// digestAnswer is what a member tells about a checkpoint.
type digestAnswer struct {
	Ready bool         `json:"ready"`
	Busy  bool         `json:"busy,omitempty"`
	Error string       `json:"error,omitempty"`
	Term  uint64       `json:"term"`
	Index uint64       `json:"index"`
	Parts []partAnswer `json:"parts,omitempty"`

	member Member
}

type partAnswer struct {
	Name  string `json:"name"`
	Items uint64 `json:"items"`
	Sum   uint64 `json:"sum,string"`
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
			return nil, fmt.Errorf("verify: %s: %w: %s", a.member.URL, errBusy, a.Error)
		}
	}
	return answers, nil
}

func (r *Replicator) awaitDigest(ctx context.Context, m Member, id uint64) *digestAnswer {
	failures := 0
	for {
		answer := &digestAnswer{member: m}
		err := r.askPeer(ctx, m.URL, pathDigest, url.Values{"id": {strconv.FormatUint(id, 16)}}, answer)
		if err == nil && answer.Ready {
			return answer
		}
		if err != nil {
			failures++
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

// askPeer asks a member of the cluster for JSON.
func (r *Replicator) askPeer(ctx context.Context, at, path string, query url.Values, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
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
		return fmt.Errorf("ask %s: %s", at, resp.Status)
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxDigestAnswer)).Decode(answer); err != nil {
		return fmt.Errorf("ask %s: %w", at, err)
	}
	return nil
}

// compare finds out who differs from the majority, and in what. good is the URL of a member that holds what the majority
// holds; "" if there is no majority.
func (r *Replicator) compare(ctx context.Context, id uint64, answers []*digestAnswer) (report *VerifyReport, good string, err error) {
	votes := make(map[string]int)
	usable, voters := 0, 0
	var reference *digestAnswer
	for _, a := range answers {
		if !a.member.Learner {
			voters++
		}
		if !a.usable() {
			continue
		}
		usable++
		if !a.member.Learner {
			votes[a.key()]++
		}
		own := a.member.ID == r.identity.ID
		if reference == nil || votes[a.key()] > votes[reference.key()] || own && votes[a.key()] == votes[reference.key()] {
			reference = a
		}
	}
	if reference == nil || usable < 2 && len(answers) > 1 {
		return nil, "", fmt.Errorf("verify: %d of %d members could be compared: %s", usable, len(answers), firstProblem(answers))
	}
	if votes[reference.key()] > voters/2 {
		good = reference.member.URL
	}
	report = &VerifyReport{Position: Position{Term: reference.Term, Index: reference.Index}}
	for _, a := range answers {
		m := VerifiedMember{ID: a.member.ID, URL: a.member.URL, Problem: a.Error}
		for _, p := range a.Parts {
			m.Items += p.Items
		}
		if a.usable() && a.key() != reference.key() {
			if m.Differences, err = r.differences(ctx, id, a, reference); err != nil {
				return nil, "", err
			}
		}
		report.Members = append(report.Members, m)
	}
	return report, good, nil
}

func firstProblem(answers []*digestAnswer) string {
	for _, a := range answers {
		if a.Error != "" {
			return a.member.URL + ": " + a.Error
		}
	}
	return "the cluster has one member"
}

func (r *Replicator) differences(ctx context.Context, id uint64, a, b *digestAnswer) ([]PartDifference, error) {
	var list []PartDifference
	names := make(map[string]bool)
	for _, p := range slices.Concat(a.Parts, b.Parts) {
		names[p.Name] = true
	}
	for name := range names {
		pa, _ := a.part(name)
		pb, _ := b.part(name)
		if pa == pb {
			continue
		}
		d, err := r.countDifferences(ctx, id, name, a.member.URL, b.member.URL)
		if err != nil {
			return nil, err
		}
		list = append(list, d)
	}
	slices.SortFunc(list, func(a, b PartDifference) int { return strings.Compare(a.Part, b.Part) })
	return list, nil
}

// bucketsAnswer and itemsAnswer carry numbers of 8 bytes each, big-endian.
type bucketsAnswer struct {
	Sums []byte `json:"sums"`
}

type itemsAnswer struct {
	Items []byte `json:"items"`
}

func (r *Replicator) countDifferences(ctx context.Context, id uint64, part, urlA, urlB string) (PartDifference, error) {
	d := PartDifference{Part: part}
	query := url.Values{"id": {strconv.FormatUint(id, 16)}, "part": {part}}
	var sums [2]bucketsAnswer
	for i, at := range []string{urlA, urlB} {
		if err := r.askPeer(ctx, at, pathDigest, query, &sums[i]); err != nil {
			return d, err
		}
		if len(sums[i].Sums) != 8*digestBuckets {
			return d, fmt.Errorf("%s has sent %d bytes of sums", at, len(sums[i].Sums))
		}
	}
	var differing []string
	for b := range digestBuckets {
		if binary.BigEndian.Uint64(sums[0].Sums[8*b:]) != binary.BigEndian.Uint64(sums[1].Sums[8*b:]) {
			differing = append(differing, strconv.Itoa(b))
		}
	}
	if len(differing) > maxComparedBuckets {
		d.AtLeast = true
		d.Items = uint64(len(differing) - maxComparedBuckets) // one in each, at least
		differing = differing[:maxComparedBuckets]
	}
	query.Set("buckets", strings.Join(differing, ","))
	var lists [2]itemsAnswer
	for i, at := range []string{urlA, urlB} {
		if err := r.askPeer(ctx, at, pathDigest, query, &lists[i]); err != nil {
			return d, err
		}
	}
	d.Items += countDifferent(lists[0].Items, lists[1].Items)
	return d, nil
}

// countDifferent counts the keys whose values differ or that only one side has.
func countDifferent(a, b []byte) (n uint64) {
	values := make(map[uint64]uint64, len(a)/16)
	for ; len(a) >= 16; a = a[16:] {
		values[binary.BigEndian.Uint64(a)] = binary.BigEndian.Uint64(a[8:])
	}
	for ; len(b) >= 16; b = b[16:] {
		key := binary.BigEndian.Uint64(b)
		if value, ok := values[key]; !ok || value != binary.BigEndian.Uint64(b[8:]) {
			n++
		}
		delete(values, key)
	}
	return n + uint64(len(values))
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
		writeJSON(w, digestAnswer{})
		return
	}
	switch {
	case !query.Has("part"):
		writeJSON(w, c.answer())
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
	a := digestAnswer{Ready: c.done, Term: c.position.Term, Index: c.position.Index, Busy: errors.Is(c.err, errBusy)}
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

func (r *Replicator) noteVerified(report *VerifyReport) {
	r.verified.Store(report)
	r.log.Info("compared the nodes' data", "index", report.Index, "members", len(report.Members), "equal", report.Equal())
}

// verifyPeriodically compares the members every Config.VerifyInterval while this one leads. What another leader has done
// counts: its checkpoint came past here.
func (r *Replicator) verifyPeriodically(ctx context.Context) {
	if r.cfg.VerifyInterval == 0 {
		return
	}
	ticker := time.NewTicker(max(r.cfg.VerifyInterval/20, 10*time.Millisecond))
	defer ticker.Stop()
	began := time.Now()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		last := began
		if c := r.checkpoint.Load(); c != nil && c.begun.After(last) {
			last = c.begun
		}
		if time.Since(last) < r.cfg.VerifyInterval || r.leader.Load() != r.identity.ID || len(r.membership.list()) < 2 {
			continue
		}
		began = time.Now()
		limited, cancel := context.WithTimeout(ctx, r.cfg.VerifyInterval)
		if _, err := r.Verify(limited); err != nil {
			r.log.Warn("the nodes' data could not be compared", "err", err)
		}
		cancel()
	}
}

package raft

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Digest makes mapStore a Digester. Keys before a slash name the part.
func (s *mapStore) Digest(ctx context.Context, snap *Snapshot, item func(part string, key, value uint64)) error {
	s.mu.Lock()
	digesting := s.digesting
	s.mu.Unlock()
	if digesting != nil {
		select {
		case <-digesting:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	data := make(map[string]string)
	if err := json.NewDecoder(snap.Data).Decode(&data); err != nil {
		return err
	}
	for key, value := range data {
		part := "main"
		if name, _, ok := strings.Cut(key, "/"); ok {
			part = name
		}
		item(part, fnvOf(key), fnvOf(value))
	}
	return nil
}

func fnvOf(s string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(s))
	return mix(h.Sum64(), 1)
}

// corrupt changes what a backend holds behind its node's back.
func (s *mapStore) corrupt(change func(data map[string]string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s.data)
}

// Doubt makes mapStore a Doubter.
func (s *mapStore) Doubt() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	why := s.doubt
	s.doubt = nil
	return why
}

// DigestVersion makes mapStore a DigestVersioner.
func (s *mapStore) DigestVersion() int { return int(s.digestVersion.Load()) }

func (c *testCluster) verify(i int) VerifyReport {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	report, err := c.nodes[i].Verify(ctx)
	if err != nil {
		c.t.Fatal(err)
	}
	return report
}

func (c *testCluster) follower() int { return (c.leader() + 1) % len(c.nodes) }

// Programs of unlike versions may tell the same state in other ways: nobody is taken out of service for that.
func TestUnlikeDigestsAreNotCompared(t *testing.T) {
	c := newTestCluster(t, 3, nil)
	leader := c.leader()
	c.propose(leader, "k=v")
	c.converged()
	odd := (leader + 1) % 3
	c.stores[odd].digestVersion.Store(1)
	c.stores[odd].corrupt(func(data map[string]string) { data["k"] = "told in another way" })
	report := c.verify(leader)
	if report.Differs() || report.Equal() {
		t.Errorf("differs %t, equal %t", report.Differs(), report.Equal())
	}
	for _, m := range report.Members {
		want := ""
		if m.URL == c.urls[odd] {
			want = unlikeDigest
		}
		if m.Problem != want {
			t.Errorf("%s: %q, want %q", m.URL, m.Problem, want)
		}
	}
	// A leader of before there were versions says none.
	r, answer := c.nodes[odd], new(digestAnswer)
	query := url.Values{"id": {strconv.FormatUint(r.checkpoint.Load().id, 16)}}
	if err := c.nodes[leader].askPeer(t.Context(), c.urls[odd], pathDigest, query, answer); err != nil || !answer.Ready || answer.usable() {
		t.Errorf("%+v, %v", answer, err)
	}
}

func TestVerifyEqual(t *testing.T) {
	c := newTestCluster(t, 3, often)
	stopLoad := c.load(func(i, n int) string { return fmt.Sprintf("p%d/%d=%d", i, n%50, n) })
	for i := range 3 { // asked of any member
		report := c.verify(i)
		if !report.Equal() || len(report.Members) != 3 || report.Members[0].Items != report.Members[1].Items || report.Index == 0 {
			t.Errorf("report is %+v", report)
		}
	}
	stopLoad()
	leader := c.nodes[c.leader()].Status()
	if leader.Verified == nil || !leader.Verified.Equal() {
		t.Errorf("the leader's status tells of %+v", leader.Verified)
	}
}

// A member whose data was changed behind its back is found, taken out of service, and repaired.
func TestVerifyFindsAndRepairs(t *testing.T) {
	for _, leads := range []bool{false, true} {
		t.Run(fmt.Sprint("leader=", leads), func(t *testing.T) {
			c := newTestCluster(t, 3, nil)
			for i := range 200 {
				c.propose(0, fmt.Sprintf("a/%d=%d", i, i))
				c.propose(0, fmt.Sprintf("b/%d=%d", i, i))
			}
			c.converged()
			odd := c.follower()
			if leads {
				odd = c.leader()
			}
			c.stores[odd].corrupt(func(data map[string]string) {
				data["a/7"] = "other"
				delete(data, "a/8")
				data["a/new"] = "x"
				data["c/1"] = "y"
			})
			report := c.verify((odd + 1) % 3)
			i := slices.IndexFunc(report.Members, func(m VerifiedMember) bool { return m.URL == c.urls[odd] })
			want := []PartDifference{{Part: "a", Items: 3}, {Part: "c", Items: 1}}
			if !slices.Equal(report.Members[i].Differences, want) || report.Equal() {
				t.Errorf("report is %+v", report)
			}
			status := c.nodes[odd].Status()
			if !status.Quarantined || status.Serving || !strings.Contains(status.Problem, "3 keys of a, 1 keys of c") {
				t.Errorf("status of the odd node: %+v", status)
			}
			if err := c.nodes[odd].Read(context.Background(), func(context.Context) error { return nil }); !errors.Is(err, ErrNotDone) {
				t.Errorf("the odd node answers a read: %v", err)
			}
			eventually(t, "another leader", func() bool { return c.nodes[(odd+1)%3].Status().Leader != c.nodes[odd].identity.ID })
			c.propose((odd+1)%3, "a/9=later")

			// It stays out of service over a restart.
			c.stop(odd)
			c.start(odd)
			if status := c.nodes[odd].Status(); !status.Quarantined || status.Serving {
				t.Errorf("status after a restart: %+v", status)
			}
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			defer cancel()
			if err := c.nodes[odd].Repair(ctx); err != nil {
				t.Fatal(err)
			}
			if err := c.nodes[odd].Repair(ctx); !errors.Is(err, ErrRefused) {
				t.Errorf("repaired again: %v", err)
			}
			c.propose(odd, "a/10=later")
			c.converged()
			if report := c.verify(odd); !report.Equal() {
				t.Errorf("after the repair: %+v", report)
			}
			// Its own snapshot is that of the others now.
			c.stores[odd].wipe()
			c.converged()
		})
	}
}

// A leader whose Store says that its data may differ does not serve, also after a restart, until it was compared with the others
// and, where it differs, filled from them.
func TestDoubt(t *testing.T) {
	for _, differs := range []bool{false, true} {
		t.Run(fmt.Sprint("differs=", differs), func(t *testing.T) {
			c := newTestCluster(t, 3, nil)
			c.count(50)
			c.converged()
			odd := c.leader()
			c.stores[odd].corrupt(func(data map[string]string) {
				if differs {
					data["x"] = "y"
				}
				c.stores[odd].doubt = errors.New("it was seen in the mirror")
			})
			eventually(t, "the node to stop serving", func() bool {
				status := c.nodes[odd].Status()
				return status.Quarantined && !status.Serving && strings.Contains(status.Problem, "seen in the mirror")
			})
			eventually(t, "another leader", func() bool { return c.nodes[(odd+1)%3].Status().Leader != c.nodes[odd].identity.ID })
			c.stop(odd)
			c.start(odd)
			ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
			defer cancel()
			if err := c.nodes[odd].Repair(ctx); err != nil {
				t.Fatal(err)
			}
			c.propose(odd, "z=later")
			c.converged()
		})
	}
}

// One that is alone has nobody to differ from, and nobody to repair it.
func TestDoubtOfOne(t *testing.T) {
	c := newTestCluster(t, 1, nil)
	c.propose(0, "a=1")
	c.stores[0].corrupt(func(map[string]string) { c.stores[0].doubt = errors.New("it was seen in the mirror") })
	eventually(t, "the doubt to be heard", func() bool {
		c.stores[0].mu.Lock()
		defer c.stores[0].mu.Unlock()
		return c.stores[0].doubt == nil
	})
	c.propose(0, "a=2")
	if status := c.nodes[0].Status(); status.Quarantined {
		t.Errorf("status is %+v", status)
	}
}

// With AutoRepair and an interval nobody has to do anything, also while the snapshots of that position are gone already.
func TestVerifyByItself(t *testing.T) {
	c := newTestCluster(t, 3, func(cfg *Config) {
		often(cfg)
		cfg.AutoRepair = true
		cfg.VerifyInterval = 300 * time.Millisecond
	})
	c.count(50)
	c.converged()
	odd := c.follower()
	c.stores[odd].corrupt(func(data map[string]string) { data["x"] = "y" })
	eventually(t, "a report of the difference", func() bool {
		c.count(1)
		for _, r := range c.nodes {
			if v := r.Status().Verified; v != nil && !v.Equal() {
				return true
			}
		}
		return false
	})
	eventually(t, "the repair", func() bool {
		// Snapshots go on being taken, but not so fast that none can be fetched on a busy machine.
		c.count(5)
		time.Sleep(50 * time.Millisecond)
		return !c.nodes[odd].Status().Quarantined && c.stores[odd].get("x") == ""
	})
	c.converged()
}

// A comparison does not hold up changes of the members, and does not wait for a member that is removed meanwhile.
func TestVerifyBesideMembershipChange(t *testing.T) {
	c := newTestCluster(t, 3, nil)
	c.propose(0, "k=v")
	leader, slow := c.leader(), c.follower()
	c.stores[slow].digesting = make(chan struct{})
	type verified struct {
		report VerifyReport
		err    error
	}
	done := make(chan verified, 1)
	go func() {
		report, err := c.nodes[leader].Verify(context.Background())
		done <- verified{report, err}
	}()
	eventually(t, "a checkpoint", func() bool { return c.nodes[slow].checkpoint.Load() != nil })
	if err := c.nodes[leader].RemoveMember(context.Background(), c.urls[slow], false); err != nil {
		t.Fatal(err)
	}
	got := <-done
	if got.err != nil {
		t.Fatal(got.err)
	}
	for _, m := range got.report.Members {
		if (m.Problem != "") != (m.URL == c.urls[slow]) {
			t.Errorf("member %+v", m)
		}
	}
}

// A member that is started again knows nothing of the checkpoint: it is left out, and not waited for.
func TestVerifyMemberStartedAgain(t *testing.T) {
	c := newTestCluster(t, 3, nil)
	c.count(10)
	c.converged()
	leader := c.leader()
	slow := (leader + 1) % 3
	c.stores[slow].digesting = make(chan struct{})
	type verified struct {
		report VerifyReport
		err    error
	}
	done := make(chan verified, 1)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	go func() {
		report, err := c.nodes[leader].Verify(ctx)
		done <- verified{report, err}
	}()
	eventually(t, "a checkpoint", func() bool { return c.nodes[slow].checkpoint.Load() != nil })
	c.stop(slow)
	c.stores[slow].digesting = nil
	c.start(slow)
	got := <-done
	if got.err != nil {
		t.Fatal(got.err)
	}
	for _, m := range got.report.Members {
		if lost := strings.Contains(m.Problem, "lost the checkpoint"); lost != (m.URL == c.urls[slow]) {
			t.Errorf("member %+v", m)
		}
	}
}

// The snapshot that was compared is there for the odd member, however many more have been taken since.
func TestRepairFetchesWhatWasCompared(t *testing.T) {
	c := newTestCluster(t, 3, nil)
	c.count(20)
	c.converged()
	odd := c.follower()
	c.stores[odd].corrupt(func(data map[string]string) { data["x"] = "y" })
	compared := c.verify(odd)
	for range 3 {
		for i, r := range c.nodes {
			if i == odd {
				continue
			}
			c.propose(i, "n+")
			if err := r.Snapshot(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := c.nodes[odd].Repair(context.Background()); err != nil {
		t.Fatal(err)
	}
	c.converged()
	if last := c.nodes[c.leader()].Status().Verified; last == nil || last.Index != compared.Index {
		t.Errorf("compared again at %+v, after %d", last, compared.Index)
	}
}

// A member that was found to differ is repaired also when only one other is left, which is no majority of two.
func TestRepairOneOfTwo(t *testing.T) {
	c := newTestCluster(t, 3, nil)
	c.count(20)
	c.converged()
	odd := c.follower()
	c.stores[odd].corrupt(func(data map[string]string) { data["x"] = "y" })
	c.verify(odd)
	gone := 3 - odd - c.leader()
	if err := c.nodes[odd].RemoveMember(context.Background(), c.urls[gone], false); err != nil {
		t.Fatal(err)
	}
	c.stop(gone)
	leader := c.leader()
	c.stop(leader) // what it held for the comparison is forgotten with a later snapshot
	c.start(leader)
	c.count(1)
	if err := c.nodes[leader].Snapshot(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := c.nodes[odd].Repair(context.Background()); err != nil {
		t.Fatal(err)
	}
	if got := c.read(odd, "x"); got != "" {
		t.Errorf("it still holds %q", got)
	}
}

// A member that was found to differ, and has been filled otherwise since, is found to hold what the others hold.
func TestRepairOfWhatIsRight(t *testing.T) {
	c := newTestCluster(t, 3, nil)
	c.count(20)
	c.converged()
	odd := c.follower()
	c.stores[odd].corrupt(func(data map[string]string) { data["x"] = "y" })
	c.verify(odd)
	c.stores[odd].corrupt(func(data map[string]string) { delete(data, "x") })
	for i := range c.nodes { // what was compared is gone
		if i != odd {
			c.stop(i)
			c.start(i)
		}
	}
	c.count(1)
	for i, r := range c.nodes {
		if i != odd {
			if err := r.Snapshot(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := c.nodes[odd].Repair(context.Background()); err != nil {
		t.Fatal(err)
	}
	if n := len(c.stores[odd].restored()); n != 0 {
		t.Errorf("it was filled %d times", n)
	}
	c.propose(odd, "k=v")
}

// Without a majority that holds the same, nobody is taken out of service.
func TestVerifyWithoutMajority(t *testing.T) {
	c := newTestCluster(t, 3, nil)
	c.propose(0, "k=v")
	c.converged()
	for i, s := range c.stores {
		s.corrupt(func(data map[string]string) { data["own"] = fmt.Sprint(i) })
	}
	if report := c.verify(0); report.Equal() {
		t.Errorf("report is %+v", report)
	}
	for i, r := range c.nodes {
		if r.Status().Quarantined {
			t.Errorf("node %d is out of service", i)
		}
	}
}

func TestVerifyMemberMissing(t *testing.T) {
	c := newTestCluster(t, 3, nil)
	c.propose(0, "k=v")
	gone := c.follower()
	c.stop(gone)
	report := c.verify(c.leader())
	if report.Equal() || len(report.Members) != 3 {
		t.Fatalf("report is %+v", report)
	}
	for _, m := range report.Members {
		if (m.Problem != "") != (m.URL == c.urls[gone]) || len(m.Differences) > 0 {
			t.Errorf("member %+v", m)
		}
	}
}

// A member whose backend takes nothing is told as such, and so is a cluster of them, instead of waiting for as long as a
// comparison may take.
func TestVerifyWhereNothingIsApplied(t *testing.T) {
	t.Parallel()
	c := newTestCluster(t, 3, func(cfg *Config) { cfg.Timeout = time.Second })
	c.propose(0, "k=v")
	c.converged()
	down := c.follower()
	c.stores[down].fail(errBackendDown)
	for _, m := range c.verify(c.leader()).Members {
		if told := strings.Contains(m.Problem, errBackendDown.Error()); told != (m.URL == c.urls[down]) {
			t.Errorf("member %+v", m)
		}
	}
	for _, s := range c.stores {
		s.fail(errBackendDown)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	_, err := c.nodes[0].Verify(ctx)
	if err == nil || ctx.Err() != nil {
		t.Errorf("got %v, %v", err, ctx.Err())
	}
}

type plainStore struct{ Store }

func TestVerifyNeedsADigester(t *testing.T) {
	c := newTestCluster(t, 1, func(cfg *Config) { cfg.Store = plainStore{cfg.Store} })
	if _, err := c.nodes[0].Verify(context.Background()); err == nil || !strings.Contains(err.Error(), "cannot be compared") {
		t.Errorf("got %v", err)
	}
}

func TestCountDifferences(t *testing.T) {
	var all, some partDigest
	for i := range uint64(1000) {
		all.add(mix(i, 0), i)
		some.add(mix(999-i, 0), 999-i)
	}
	if all != some {
		t.Error("the order of the items matters")
	}
	some.add(1, 1)
	if all == some || all.buckets == some.buckets {
		t.Error("one more item is not noticed")
	}
}

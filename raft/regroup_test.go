package raft

import (
	"slices"
	"testing"
	"time"

	etcdraft "go.etcd.io/etcd/raft/v3"
	"go.etcd.io/etcd/raft/v3/raftpb"
)

// regroupingLoop is a loop whose last entry is applied, and of which the test moves the clock.
type regroupingLoop struct {
	*Replicator
	now   time.Duration
	alarm time.Duration
	last  uint64
}

func newRegroupingLoop(t *testing.T) *regroupingLoop {
	t.Helper()
	l := &regroupingLoop{now: time.Second}
	l.Replicator = &Replicator{cfg: NewConfig(), disk: &diskLog{memory: etcdraft.NewMemoryStorage()}, waits: &waitQueue{}}
	l.leaseClock = func() time.Duration { return l.now }
	l.wakeIn = func(d time.Duration) { l.alarm = d }
	return l
}

// entry is an entry of so many proposals that took so long until it was applied.
func (l *regroupingLoop) entry(t *testing.T, size int, took time.Duration) {
	t.Helper()
	l.last++
	if err := l.disk.memory.Append([]raftpb.Entry{{Term: 1, Index: l.last}}); err != nil {
		t.Fatal(err)
	}
	l.commit.Store(l.last)
	l.applied.Store(l.last)
	l.proposedAt, l.regrouping.size = l.now, size
	l.now += took
}

func (l *regroupingLoop) queued(n int) { l.queue = slices.Repeat([]*proposal{{}}, n) }

func (l *regroupingLoop) wants(t *testing.T, missing int) {
	t.Helper()
	got, on := l.gathers()
	if got != missing || on != (missing > 0) {
		t.Fatalf("waits for %d more, gathers is %v; want %d", got, on, missing)
	}
}

func TestCrowdComesBackTogether(t *testing.T) {
	l := newRegroupingLoop(t)
	l.entry(t, 20, 4*time.Millisecond)
	l.queued(20)
	l.wants(t, 10)
	if l.alarm != time.Millisecond {
		t.Errorf("waits for them for %v", l.alarm)
	}
	l.now += time.Millisecond / 4
	l.queued(25)
	l.wants(t, 5)
	if l.alarm != 3*time.Millisecond/4 {
		t.Errorf("waits for them for %v more", l.alarm)
	}
	l.queued(30)
	l.wants(t, 0)
	l.queued(1)
	l.wants(t, 0) // not twice after the same entry
}

func TestFewAreNotWaitedFor(t *testing.T) {
	for _, tc := range []struct{ size, queued, missing int }{
		{8, 7, 0},
		{0, 16, 0}, // nobody to come back
		{8, 8, 4},
		{40, 1, 29},
	} {
		l := newRegroupingLoop(t)
		l.entry(t, tc.size, time.Millisecond)
		l.queued(tc.queued)
		l.wants(t, tc.missing)
	}
}

func TestPatienceWithCrowd(t *testing.T) {
	for took, want := range map[time.Duration]time.Duration{
		2 * time.Millisecond: time.Millisecond / 2,
		time.Second:          leastGather,
	} {
		l := newRegroupingLoop(t)
		l.entry(t, 20, took)
		l.queued(20)
		l.wants(t, 10)
		if l.alarm != want {
			t.Errorf("after an entry that took %v it waits for %v, want %v", took, l.alarm, want)
		}
	}
}

// A crowd that does not come back is waited for less and less often.
func TestCrowdThatStaysAway(t *testing.T) {
	l := newRegroupingLoop(t)
	waited := 0
	for range 1 << (mostMissed + 1) {
		l.entry(t, 20, time.Millisecond)
		l.queued(20)
		if missing, on := l.gathers(); on {
			waited++
			if missing != 10 {
				t.Fatalf("waits for %d more", missing)
			}
			l.now += l.alarm
			l.wants(t, 0)
		}
	}
	if waited > mostMissed+1 {
		t.Errorf("waited after %d entries", waited)
	}
	// And once it comes, each time again.
	for l.regrouping.rest > 0 {
		l.entry(t, 20, time.Millisecond)
		l.queued(20)
		l.wants(t, 0)
	}
	for range 3 {
		l.entry(t, 20, time.Millisecond)
		l.queued(20)
		l.wants(t, 10)
		l.queued(40)
		l.wants(t, 0)
	}
}

// The clients of other nodes are not waited for. They have to hear of the commit.
func TestOnlyOwnCrowdIsWaitedFor(t *testing.T) {
	own, others := &proposal{}, &proposal{verdict: make(chan bool, 1)}
	for _, tc := range []struct {
		own, others, queued int
		missing             int
		withholds           bool
	}{
		{20, 0, 20, 10, true},
		{20, 20, 20, 10, false},
		{0, 40, 20, 0, false},
	} {
		l := newRegroupingLoop(t)
		l.mail, l.leading = newMailbox(), true
		l.cfg.MaxApplyLag = 1
		l.entry(t, 0, time.Millisecond)
		l.regrouping.proposed(append(slices.Repeat([]*proposal{own}, tc.own), slices.Repeat([]*proposal{others}, tc.others)...))
		l.queued(tc.queued)
		l.wants(t, tc.missing)
		if tc.missing == 0 {
			continue
		}
		l.dispatch()
		if l.gathering.on != tc.withholds {
			t.Errorf("%d of its own and %d of others: withholds is %v", tc.own, tc.others, l.gathering.on)
		}
	}
}

func TestMailboxWakesForThoseWhoAreMissing(t *testing.T) {
	woken := func(b *mailbox) bool {
		select {
		case <-b.signal:
			return true
		default:
			return false
		}
	}
	b := newMailbox()
	b.gather(true, 2)
	if b.propose(&proposal{}); woken(b) {
		t.Error("woken by the first of two")
	}
	if b.propose(&proposal{}); !woken(b) {
		t.Error("not woken by the second")
	}
	// They may have come before the loop knows how many it waits for.
	b.gather(true, 0)
	if b.propose(&proposal{}); woken(b) {
		t.Error("woken while it gathers whatever comes")
	}
	if b.gather(true, 3); !woken(b) {
		t.Error("not woken although all are there")
	}
}

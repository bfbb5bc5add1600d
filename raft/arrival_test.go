package raft

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// Those who came first to one node are served first, whichever of them came to the queue first.
func TestWaitersAreServedInTheOrderOfTheirArrival(t *testing.T) {
	other := &waitLink{origin: 2}
	for _, test := range []struct {
		name  string
		links map[uint64]*waitLink
		times map[uint64]arrival
		want  string
	}{
		{"registered in order", nil, map[uint64]arrival{1: 10, 2: 20, 3: 30}, "1 2 3"},
		{"registered in another order", nil, map[uint64]arrival{1: 30, 2: 20, 3: 10}, "3 2 1"},
		{"in the middle", nil, map[uint64]arrival{1: 10, 2: 30, 3: 20}, "1 3 2"},
		{"of unknown arrival", nil, map[uint64]arrival{1: 30, 3: 10}, "3 1 2"},
		{"nothing is known", nil, nil, "1 2 3"},
		{"of another node, by whose clock", map[uint64]*waitLink{2: other}, map[uint64]arrival{1: 30, 2: 10, 3: 20}, "3 1 2"},
		{"all of another node", map[uint64]*waitLink{1: other, 2: other, 3: other}, map[uint64]arrival{1: 30, 2: 10, 3: 20}, "2 3 1"},
	} {
		for _, push := range []string{"push k a b c", "script"} {
			t.Run(test.name+", "+push, func(t *testing.T) {
				x := newQueueTest()
				x.arrived = test.times
				for id := uint64(1); id <= 3; id++ {
					x.link = test.links[id]
					x.entry(fmt.Sprint(id, " pop k"))
					x.land(t, fmt.Sprint("nil ", id))
				}
				var ids []uint64
				x.q.begin(1, nil)
				cmds := []Command{{Data: []byte(push)}}
				x.q.command(group{cmds: cmds}, cmds)
				for _, g := range x.q.groups[1:] {
					ids = append(ids, g.id&^kindMask)
				}
				if got := fmt.Sprint(ids); got != "["+test.want+"]" {
					t.Errorf("served %s, want %s", got, test.want)
				}
			})
		}
	}
}

// One that is late finds those who came after it being tried, or as good as served, and is before them all the same.
func TestWaiterThatIsLate(t *testing.T) {
	x := newQueueTest()
	x.arrived = map[uint64]arrival{1: 20, 2: 10}
	x.entry("1 pop k")
	x.entry("2 pop k") // both may fly
	if got := x.entry("push k a"); got != "push k a" {
		t.Fatalf("an entry has %q", got)
	}
	x.land(t, "nil 1", "nil 2")
	if got := x.entry(); got != "2 try:k pop k" {
		t.Fatalf("then %q", got)
	}
	x.land(t, "ok 2")
	if got := x.entry("push k b"); got != "push k b; 1 try:k pop k" {
		t.Errorf("at last %q", got)
	}
}

// Only so many are remembered, and nobody once nobody waits.
func TestArrivalsAreForgotten(t *testing.T) {
	x := newQueueTest()
	x.q.room = 1000
	for id := uint64(1); id <= 3*farBack; id++ {
		x.entry(fmt.Sprint(id, " pop k"))
	}
	if len(x.q.recent) != farBack {
		t.Errorf("%d are remembered", len(x.q.recent))
	}
	for id := uint64(1); id <= 3*farBack; id++ {
		x.land(t, fmt.Sprint("ok ", id))
	}
	if len(x.q.recent) != 0 {
		t.Errorf("%d are remembered, and nobody waits", len(x.q.recent))
	}
}

func TestProposalsAreQueuedInTheOrderOfTheirArrival(t *testing.T) {
	handed := make(chan bool)
	for _, test := range []struct {
		queue, come []*proposal
		want        []arrival
	}{
		{nil, []*proposal{{arrived: 3}, {arrived: 1}, {arrived: 2}}, []arrival{1, 2, 3}},
		{[]*proposal{{arrived: 2}, {arrived: 4}}, []*proposal{{arrived: 3}, {arrived: 1}}, []arrival{1, 2, 3, 4}},
		// What nothing is known of stays, and those that it is known of pass it.
		{[]*proposal{{arrived: 2}, {}}, []*proposal{{arrived: 1}, {}, {arrived: 4}, {arrived: 3}}, []arrival{1, 2, 0, 0, 3, 4}},
		// Times of another node's clock say nothing here.
		{[]*proposal{{arrived: 9, verdict: handed}}, []*proposal{{arrived: 5, verdict: handed}, {arrived: 1}}, []arrival{9, 5, 1}},
	} {
		r := &Replicator{queue: test.queue}
		r.enqueue(test.come)
		var got []arrival
		for _, p := range r.queue {
			got = append(got, p.arrived)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("queued %v, want %v", got, test.want)
		}
	}
}

func TestArrivalsGoToTheLeader(t *testing.T) {
	waits := func(at arrival) *proposal {
		return &proposal{group: group{id: idWaits}, arrived: at, wait: &wait{}}
	}
	header := formatArrivals([]*proposal{waits(7), {arrived: 5}, waits(0)})
	handed := []*proposal{{group: group{id: idWaits}}, {}, {group: group{id: idWaits}}}
	if err := setArrivals(handed, header); err != nil || handed[0].arrived != 7 || handed[1].arrived != 0 || handed[2].arrived != 0 {
		t.Errorf("%q was read as %v, %v, %v: %v", header, handed[0].arrived, handed[1].arrived, handed[2].arrived, err)
	}
	for _, bad := range []string{"1", "1,2,3", "1,x", "1,-2", ","} {
		if setArrivals(handed, bad) == nil {
			t.Errorf("%q was taken", bad)
		}
	}
	if formatArrivals(slices.Repeat([]*proposal{waits(1)}, maxArrivals+1)) != "" {
		t.Error("the header has no bound")
	}
}

// Over the whole way, on the leader and through a follower.
func TestWaitInTheOrderOfArrival(t *testing.T) {
	c := newListCluster(t, 3)
	c.leader()
	for i := range c.nodes {
		late := time.Now()
		early := late.Add(-time.Microsecond)
		second := c.waitArrived(i, late, "pop k")
		c.must(second.parked, "wait")
		first := c.waitArrived(i, early, "pop k")
		c.must(first.parked, "wait")
		c.propose(i, "push k x")
		c.answered(first, "x")
		c.propose(i, "push k y")
		c.answered(second, "y")
	}
}

// A time before the process was made is the first there is, not none.
func TestArrivalOf(t *testing.T) {
	r := &Replicator{made: time.Now()}
	for at, want := range map[time.Time]arrival{{}: 0, r.made.Add(-time.Hour): 1, r.made.Add(5): 5} {
		if got := r.arrivalOf(at); got != want {
			t.Errorf("%v is %d, want %d", at, got, want)
		}
	}
}

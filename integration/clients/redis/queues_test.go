//go:build clients

package redis

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

var (
	rq     = library{name: "RQ", protocol: 2, argv: pythonProgram("queue_rq.py")}
	celery = library{name: "Celery", protocol: 2, argv: pythonProgram("queue_celery.py")}
)

// TestQueues runs what applications do with the queues of Python, at a plain redis-server first, then with a producer and
// a worker at different nodes.
func TestQueues(t *testing.T) {
	c := startCluster(t)
	plain := startRedis(t)
	leader, others := leaderFirst(t, c)
	for i, l := range []library{rq, celery} {
		t.Run(l.name, func(t *testing.T) {
			for _, target := range []struct {
				name  string
				addrs []string
			}{
				{"redis-server", []string{plain.Addr()}},
				{"leader", addresses(leader, others[0], others[1])},
				{"follower", addresses(others[0], leader, others[1])},
			} {
				events := l.run(t, "tour", fmt.Sprintf("queue%d-%s", i, target.name), "", target.addrs...).awaitEnd(t, 2*time.Minute)
				t.Logf("%s at the %s: %s", names(events, "version")[0], target.name, strings.Join(names(events, "did"), ", "))
			}
		})
	}
	awaitEqual(t, c)
}

// TestQueuesLeaderChange kills the leader, at which one of the producers is, while jobs are added at all nodes. Both queues
// go on by themselves. They take an element off a list before they note that they have it, so a job whose worker loses its
// connection between the two is lost, with a plain redis-server too; nothing else may be.
func TestQueuesLeaderChange(t *testing.T) {
	for _, test := range []struct {
		library
		what string
	}{{rq, "job"}, {celery, "task"}} {
		t.Run(test.name, func(t *testing.T) {
			c := startCluster(t)
			leader, others := leaderFirst(t, c)
			p := test.run(t, "work", "queue", "", addresses(leader, others[0], others[1])...)
			changeLeader(t, c, leader, func(when string) { awaitCount(t, p, "took", test.what, 40, when) })
			check(t, p.stdin.Close())
			events := p.awaitEnd(t, 90*time.Second)
			acked, unknown, took := ids(events, "ack")[test.what], ids(events, "unknown")[test.what], ids(events, "took")[test.what]
			for id := range took {
				if acked[id]+unknown[id] == 0 {
					t.Errorf("%s was processed and never added", id)
				}
			}
			t.Logf("%s: %d added, %d of unknown outcome, %d processed, %d failures of the worker", names(events, "version")[0],
				len(acked), len(unknown), len(took), count(events, "failed")[test.what])
			awaitEqual(t, c)
		})
	}
}

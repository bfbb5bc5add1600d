//go:build clients

package redis

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

var caching = []library{
	{name: "node-redis 6 with a cache", protocol: 3, argv: nodeProgram("caching.js", "redis")},
	{name: "node-redis 5 with a cache", protocol: 3, argv: nodeProgram("caching.js", "redis5")},
}

// TestCaches runs client-side caches at each node, at a plain redis-server first.
func TestCaches(t *testing.T) {
	c := startCluster(t)
	plain := startRedis(t)
	leader, others := leaderFirst(t, c)
	for i, l := range caching {
		t.Run(l.name, func(t *testing.T) {
			for name, addrs := range map[string][]string{
				"redis-server": {plain.Addr()}, "leader": addresses(leader, others[0]), "follower": addresses(others[0], leader),
			} {
				events := l.run(t, "tour", fmt.Sprintf("cache%d-%s", i, name), "", addrs...).awaitEnd(t, 2*time.Minute)
				t.Logf("%s at the %s: %s", names(events, "version")[0], name, strings.Join(names(events, "did"), ", "))
			}
		})
	}
	awaitEqual(t, c)
}

// TestCachesLeaderChange has caches at all nodes and writers too, and kills the leader. In the end no cache is stale.
func TestCachesLeaderChange(t *testing.T) {
	c := startCluster(t)
	leader, others := leaderFirst(t, c)
	p := caching[0].run(t, "work", "caches", "", addresses(others[0], others[1], leader)...)
	changeLeader(t, c, leader, func(when string) { awaitCount(t, p, "ack", "count", 200, when) })
	check(t, p.stdin.Close())
	events := p.awaitEnd(t, 90*time.Second)
	t.Logf("%s: %d writes; %s", names(events, "version")[0], count(events, "ack")["count"], strings.Join(names(events, "did"), ", "))
	awaitEqual(t, c)
}

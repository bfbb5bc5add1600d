package profile

import (
	"strings"
	"testing"
)

const script = `12345/12353 
	ffffffff81e2ba8d sock_poll
	ffffffff8172f2da ep_item_poll.isra.0
	           4fc74 runtime.netpoll
	           91655 runtime.mcall

12345/12349 
	           24ab7 runtime.lock2
	          5c3da6 github.com/nexus-replication/nexus/raft.(*Replicator).Propose
	          827ba2 github.com/nexus-replication/nexus/proxy/redis.(*session).propose

  777/12349 
	ffffffff8172f2da ep_item_poll.isra.0
	          5c3da6 go.etcd.io/etcd/server/v3/wal.(*WAL).Save
	          5c3da6 github.com/nexus-replication/nexus/raft.(*Replicator).runLoop

  777/1
	          5c3da6 
`

func TestShares(t *testing.T) {
	all, err := Parse(strings.NewReader(script))
	if err != nil || len(all) != 4 {
		t.Fatalf("%d samples, %v", len(all), err)
	}
	got := Shares(all, func(pid int) bool { return pid == 12345 })
	want := []Share{{"propose and wait", 0.5, 0}, {"scheduler of Go", 0.5, 0.5}}
	if len(got) != len(want) || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("%+v, want %+v", got, want)
	}
	got = Shares(all, func(pid int) bool { return pid == 777 })
	if len(got) != 2 || got[0].Stage != "log: write and fsync" || got[0].Kernel != 0.5 || got[1].Stage != other {
		t.Errorf("%+v", got)
	}
	var b strings.Builder
	if err := Fold(&b, all); err != nil {
		t.Fatal(err)
	}
	if want := "scheduler of Go;runtime.mcall;runtime.netpoll;ep_item_poll.isra.0;sock_poll 1\n"; !strings.Contains(b.String(), want) {
		t.Errorf("no %q in %s", want, b.String())
	}
}

func TestParseRefuses(t *testing.T) {
	for _, bad := range []string{"\tffff main.main\n", "x/1\n"} {
		if _, err := Parse(strings.NewReader(bad)); err == nil {
			t.Errorf("Parse(%q) = nil error", bad)
		}
	}
}

package redis

import "testing"

func TestCommandsAreCountedUnderTheirNames(t *testing.T) {
	p := startProxy(t)
	c := dial(t, p.addr)
	for _, line := range []string{"SET k v", "SET k v", "GET k", "CONFIG GET save", "NEXUS STATUS", "ACL WHOAMI", "ZADD z 1 a"} {
		c.cmd(line)
	}
	counts, kinds := make(map[string]float64), make(map[string]float64)
	for name, m := range series(t, p.server, "nexus_redis_commands_total") {
		counts[name] = m.GetCounter().GetValue()
	}
	for name, m := range series(t, p.server, "nexus_redis_commands_by_kind_total") {
		kinds[name] = m.GetCounter().GetValue()
	}
	want := map[string]float64{"set": 2, "get": 1, "config|get": 1, "nexus|status": 1, "acl|whoami": 1, "zadd": 1}
	for name, n := range want {
		if counts[name] != n {
			t.Errorf("%s: counted %v times, want %v", name, counts[name], n)
		}
		delete(counts, name)
	}
	if len(counts) > 0 {
		t.Errorf("counted what nobody asked for: %v", counts)
	}
	if kinds["read"] != 1 || kinds["write"] != 3 {
		t.Errorf("counted as %v, want one read and three writes", kinds)
	}
}

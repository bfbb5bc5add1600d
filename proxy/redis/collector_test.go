package redis

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

func TestCommandsAreCountedUnderTheirNames(t *testing.T) {
	p := startProxy(t)
	c := dial(t, p.addr)
	for _, line := range []string{"SET k v", "SET k v", "GET k", "CONFIG GET save", "NEXUS STATUS", "ACL WHOAMI", "ZADD z 1 a"} {
		c.cmd(line)
	}
	counts, kinds := make(map[string]float64), make(map[string]float64)
	ch := make(chan prometheus.Metric, 1000)
	p.server.Collector().Collect(ch)
	close(ch)
	for m := range ch {
		var out dto.Metric
		if err := m.Write(&out); err != nil {
			t.Fatal(err)
		}
		for _, l := range out.GetLabel() {
			switch l.GetName() {
			case "command":
				counts[l.GetValue()] = out.GetCounter().GetValue()
			case "kind":
				kinds[l.GetValue()] = out.GetCounter().GetValue()
			}
		}
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

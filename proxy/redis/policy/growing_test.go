package policy

import (
	"slices"
	"testing"

	"github.com/nexus-replication/nexus/proxy/redis/redistest"
)

// TestGrowingIsTheServers compares the commands that need memory with those that the server refuses for lack of it.
func TestGrowingIsTheServers(t *testing.T) {
	cl := redistest.Dial(t)
	var denied []string
	var walk func(list any)
	walk = func(list any) {
		for _, c := range list.([]any) {
			cmd := c.([]any)
			if slices.Contains(cmd[2].([]any), any("denyoom")) {
				denied = append(denied, cmd[0].(string))
			}
			walk(cmd[9])
		}
	}
	walk(cl.Do("COMMAND"))
	for _, name := range denied {
		if !growing[name] {
			t.Errorf("%s is not among those that grow", name)
		}
	}
	if len(denied) != len(growing) {
		t.Errorf("%d commands grow, the server has %d", len(growing), len(denied))
	}
}

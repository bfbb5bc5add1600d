package redis

import (
	appliers "github.com/nexus-replication/nexus/appliers/redis"
	"github.com/nexus-replication/nexus/proxy/redis/policy"
)

// Requires returns the commands that clients may run on a backend. One that was renamed or disabled there, or that
// takes other arguments, would not do on that node what it does on the others.
func Requires() []appliers.CommandArity {
	var list []appliers.CommandArity
	for _, spec := range policy.NewTable().Specs() {
		if spec.Policy != policy.Refused && spec.Policy != policy.Local {
			list = append(list, appliers.CommandArity{Name: spec.Name, Arity: spec.Arity})
		}
	}
	return list
}

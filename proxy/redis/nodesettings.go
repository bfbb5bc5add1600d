package redis

import (
	"maps"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/nexus-replication/nexus/proxy/redis/policy"
)

// nodeSettings are parameters that a node keeps by itself. Most are about replicas in the sense of Redis, of which a node has
// none: they are told back, and mean nothing, as for a Redis without replicas. So are those about files of the backend: what is
// acknowledged is in the log, whatever they say.
type nodeSettings struct {
	// minReplicas is min-replicas-to-write: as there are no replicas, with it nothing is written through this node.
	minReplicas atomic.Int64

	mu     sync.Mutex
	values map[string]string
}

const errTextFewReplicas = "NOREPLICAS Not enough good replicas to write."

// idleSettings are those that mean nothing, with the defaults of Redis.
var idleSettings = map[string]string{
	"masterauth": "", "masteruser": "", "min-replicas-max-lag": "10", "repl-backlog-size": "1048576",
	"repl-ping-replica-period": "10", "repl-timeout": "60", "replica-read-only": "yes", "replica-serve-stale-data": "yes",
}

// fileSettings are about the backend's files. Until a client sets one, it is as the backend has it.
var fileSettings = []string{
	"aof-use-rdb-preamble", "appendfsync", "appendonly", "auto-aof-rewrite-min-size", "auto-aof-rewrite-percentage",
	"no-appendfsync-on-rewrite", "save", "stop-writes-on-bgsave-error",
}

func newNodeSettings() *nodeSettings { return &nodeSettings{values: maps.Clone(idleSettings)} }

// get returns the value of one of these settings.
func (n *nodeSettings) get(name string) (value string, ok bool) {
	if name == "min-replicas-to-write" {
		return strconv.FormatInt(n.minReplicas.Load(), 10), true
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	value, ok = n.values[name]
	if value == "" && name != "save" {
		return "", false // masterauth, which is nobody's business unless a client has set it
	}
	return value, ok
}

// set takes a setting that policy has checked.
func (n *nodeSettings) set(name, value string) {
	if name == "min-replicas-to-write" {
		number, _ := parseInt([]byte(value))
		n.minReplicas.Store(number)
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, ok := n.values[name]; ok || slices.Contains(fileSettings, name) {
		n.values[name] = value
	}
}

// lacksReplicas reports whether writes are refused.
func (n *nodeSettings) lacksReplicas() bool { return n.minReplicas.Load() > 0 }

// refuseWithoutReplicas answers a write while there are too few replicas, and reports whether it did.
func (s *session) refuseWithoutReplicas(d policy.Decision, args [][]byte) bool {
	if !s.srv.settings.lacksReplicas() || !s.writesNow(d, args) || isScriptCall(d.Spec.Name) {
		return false
	}
	s.endPhase()
	s.abort()
	text := errTextFewReplicas
	if d.Spec.Name == "exec" {
		s.endMulti()
		text = "EXECABORT Transaction discarded because of: " + text
	}
	s.out = appendError(s.out, text)
	return true
}

// writesNow reports whether a command, or for EXEC one that was queued, may write. Scripts that say that they do not are
// taken at their word.
func (s *session) writesNow(d policy.Decision, args [][]byte) bool {
	if d.Spec.Name == "exec" {
		return s.multi != nil && s.multi.writes(s)
	}
	return d.Policy.Writes() && d.Spec.Name != "script|load" && !s.readsOnly(d.Spec.Name, args)
}

func isScriptCall(name string) bool { return name == "eval" || name == "evalsha" || name == "fcall" }

package redis

import (
	"hash/maphash"
	"sync"

	"github.com/nexus-replication/nexus/proxy/redis/policy"
	"github.com/nexus-replication/nexus/proxy/redis/script"
)

// tries remembers which scripts and functions write, as far as this node has seen. Those that do run from the log; the
// others are tried as reads first, which costs no entry, keeps nobody waiting but this node, and can be killed. A try
// that comes to a write has done nothing, and the call goes to the log. So all that is remembered may be wrong.
type tries struct {
	seed  maphash.Seed
	table *policy.Table

	mu        sync.Mutex
	scripts   map[uint64]bool // true: writes
	functions map[uint64]bool
}

// maxTries bounds each map of tries.
const maxTries = 10_000

func newTries(table *policy.Table) *tries {
	return &tries{seed: maphash.MakeSeed(), table: table, scripts: make(map[uint64]bool), functions: make(map[uint64]bool)}
}

// worth reports whether a command of scripts or functions is to be tried as a read.
func (t *tries) worth(name string, args [][]byte) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch name {
	case "eval":
		key := maphash.Bytes(t.seed, args[1])
		writes, known := t.scripts[key]
		if !known {
			writes = t.learn(args[1])
		}
		return !writes
	case "script|load":
		t.learn(args[2])
	case "evalsha":
		return !t.scripts[maphash.Bytes(t.seed, args[1])]
	case "fcall":
		return !t.functions[maphash.Bytes(t.seed, args[1])]
	}
	return false
}

// learn notes what a script says about itself. It is called with mu held.
func (t *tries) learn(body []byte) (writes bool) {
	writes = script.NamesWrite(body, t.writes)
	note(t.scripts, maphash.Bytes(t.seed, body), writes)
	if writes {
		note(t.scripts, maphash.String(t.seed, script.SHA(body)), true)
	}
	return writes
}

// failed notes that a command writes.
func (t *tries) failed(name string, args [][]byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if name == "fcall" {
		note(t.functions, maphash.Bytes(t.seed, args[1]), true)
		return
	}
	note(t.scripts, maphash.Bytes(t.seed, args[1]), true)
}

// forgetFunctions is called when other functions may be behind the names.
func (t *tries) forgetFunctions() {
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.functions)
}

func note(m map[uint64]bool, key uint64, writes bool) {
	if len(m) >= maxTries {
		clear(m)
	}
	m[key] = writes
}

// writes reports whether a command of that name goes through the log.
func (t *tries) writes(name string) bool {
	spec := t.table.Spec(name)
	return spec != nil && spec.Policy.Writes()
}

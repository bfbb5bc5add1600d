package redis

import (
	"fmt"
	"strconv"
)

// limitSetting is the limit of memory that entries may set. No backend ever gets it: a server with a limit of its own would
// refuse or evict what others keep. It is for those who propose, who can look at MemoryLimit before.
const limitSetting = "maxmemory"

// MemoryLimit returns the limit in bytes that entries have set, 0 if there is none. Safe for concurrent use.
func (b *Backend) MemoryLimit() int64 { return b.limit.Load() }

// keepSettings takes the settings that the backend has got up to its position.
func (b *Backend) keepSettings(s nodeSettings) {
	b.settings = s
	policy := s.policy()
	b.limit.Store(s.limit)
	b.policy.Store(&policy)
}

// withoutLimit returns a CONFIG SET with the limit that a backend has.
func withoutLimit(cmd []byte, scratch [][]byte) ([]byte, error) {
	pairs, err := parseSettings(cmd, scratch)
	if err != nil {
		return nil, err
	}
	args, limits := []string{"CONFIG", "SET"}, false
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i] == limitSetting {
			if _, err := parseLimit(pairs[i+1]); err != nil {
				return nil, err
			}
			limits = true
			pairs[i+1] = "0"
		}
		args = append(args, pairs[i], pairs[i+1])
	}
	if !limits {
		return cmd, nil
	}
	return appendStrings(nil, args...), nil
}

func parseLimit(value string) (int64, error) {
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%s is set to %.40q, which is no number of bytes", limitSetting, value)
	}
	return n, nil
}

//go:build failpoint

package redis

import (
	"os"
	"path/filepath"
	"testing"
)

// The process dies at each place of Restore in turn.
func TestProcessDiesAtFailpoint(t *testing.T) {
	data := large(t, 3)
	file := filepath.Join(t.TempDir(), "snapshot")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	s := startServer(t)
	for i, point := range []string{"redis.before-restore", "redis.after-replicaof", "redis.before-marker"} {
		dieInRestore(t, s, file, i > 0, "NEXUS_FAILPOINT="+point)
		b := newBackend(t, testConfig(s.addr))
		restoreAgain(t, b, data)
		mustApply(t, b, entry(2))
		if got := s.do(0, "DBSIZE"); got != ":3\r\n" {
			t.Errorf("%s: %q", point, got)
		}
	}
}

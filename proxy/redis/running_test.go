package redis

import (
	"bytes"
	"runtime"
	"strings"
	"testing"
	"time"

	backend "github.com/nexus-replication/nexus/appliers/redis"
)

// What others are told about a script stays as it was, although its session goes on and reads into the same memory.
func TestBusyStatsAreTheScripts(t *testing.T) {
	var r running
	r.after.Store(1)
	buffer := []byte("FCALLname0")
	script := r.begin(true, [][]byte{buffer[:5], buffer[5:9], buffer[9:]}, func() {})
	awaitCurrent(t, &r)
	seen := r.current()
	if !script.end() || r.current() != nil {
		t.Error("the script was not busy, or is still")
	}
	copy(buffer, bytes.Repeat([]byte("x"), len(buffer)))
	s := &session{protocol: backend.RESP2}
	got := string(s.appendBusyStats(nil, seen))
	want := "$14\r\nrunning_script\r\n*6\r\n$4\r\nname\r\n$4\r\nname\r\n$7\r\ncommand\r\n*3\r\n$5\r\nFCALL\r\n$4\r\nname\r\n$1\r\n0\r\n"
	if !strings.Contains(got, want) {
		t.Errorf("%q", got)
	}
}

func awaitCurrent(tb testing.TB, r *running) {
	tb.Helper()
	deadline := time.Now().Add(15 * time.Second)
	for r.current() == nil {
		if time.Now().After(deadline) {
			tb.Fatal("no script is busy")
		}
		runtime.Gosched()
	}
}

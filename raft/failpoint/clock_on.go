//go:build failpoint

package failpoint

import (
	"os"
	"strconv"
	"strings"
	"time"
)

// Now is what the wall clock of this node shows: that of the machine, put forward or back by the milliseconds that stand
// in the file which the environment variable NEXUS_CLOCK names.
func Now() time.Time {
	now := time.Now()
	data, err := os.ReadFile(os.Getenv("NEXUS_CLOCK"))
	if err != nil {
		return now
	}
	ms, err := strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64)
	if err != nil {
		return now // it is just being written
	}
	return now.Add(time.Duration(ms) * time.Millisecond)
}

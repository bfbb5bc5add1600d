//go:build failpoint

package failpoint

import (
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
)

var (
	armed  = sync.OnceValues(parse)
	passed atomic.Int64
)

func parse() (string, int64) {
	name, count, found := strings.Cut(os.Getenv("NEXUS_FAILPOINT"), ":")
	if !found {
		return name, 1
	}
	n, err := strconv.ParseInt(count, 10, 64)
	if err != nil {
		return name, 1
	}
	return name, n
}

// Hit kills the process as kill -9 does if the place called name is armed and its turn has come.
func Hit(name string) {
	place, turn := armed()
	if place != name || passed.Add(1) != turn {
		return
	}
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

// Redis_repl is one node of a replicated Redis: it stands in front of one redis-server, speaks the Redis protocol to
// clients, and keeps the server in step with those of the other nodes.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/nexus-replication/nexus/cmd/internal/node"
	"github.com/nexus-replication/nexus/cmd/internal/slack"
)

// Set by the linker.
var (
	version = "dev"
	commit  = "unknown"
	date    = "unknown"
)

// timerSlack is by how much timers may be late: much less than any timeout.
const timerSlack = time.Millisecond

func main() {
	slack.Allow(timerSlack)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	code := realMain(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func realMain(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	opts := newOptions()
	return node.Main(ctx, opts.Options, opts, args, getenv, stdout, stderr)
}

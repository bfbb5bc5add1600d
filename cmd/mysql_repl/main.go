// Mysql_repl is one node of a replicated MariaDB: it stands in front of one mariadbd, speaks the MySQL protocol to
// clients, and keeps the server in step with those of the other nodes.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/nexus-replication/nexus/cmd/internal/settings"
)

// Set by the linker.
var (
	version = "dev"
	commit  = "unknown"
	date    = "unknown"
)

// Exit codes.
const (
	exitOK = iota
	exitFailure
	exitUsage
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	code := realMain(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func realMain(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	opts := newOptions()
	set := opts.settings()
	err := set.Parse(args, getenv)
	switch {
	case errors.Is(err, settings.ErrHelp):
		if set.WriteHelp(stdout) != nil {
			return exitFailure
		}
		return exitOK
	case errors.Is(err, settings.ErrVersion):
		fmt.Fprintf(stdout, "mysql_repl %s (commit %s, %s)\n", version, commit, date)
		return exitOK
	case err == nil:
		err = opts.complete()
	}
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitUsage
	}
	log := opts.logger(stderr)
	if err := run(ctx, opts, log); err != nil {
		fmt.Fprintf(stderr, "mysql_repl: %v\n", err)
		return exitFailure
	}
	return exitOK
}

// Repl is the operator's command line: it saves and loads statements, and lists, adds and removes nodes, over the gRPC
// port of any node.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
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

// errUsage is wrapped by errors of the command line itself.
var errUsage = errors.New("usage")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	code := realMain(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func realMain(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	cmd, err := parse(args)
	switch {
	case err != nil:
	case cmd.version:
		fmt.Fprintf(stdout, "repl %s (commit %s, %s)\n", version, commit, date)
		return exitOK
	case cmd.man:
		fmt.Fprint(stdout, manPage())
		return exitOK
	case cmd.verb != nil && cmd.verb.offline && !cmd.help:
		err = completion(cmd.args[0], stdout)
	case cmd.help:
		fmt.Fprint(stdout, helpFor(cmd.verb))
		return exitOK
	default:
		err = cmd.run(ctx, stdout, stderr)
	}
	if err == nil {
		return exitOK
	}
	text := strings.Join(strings.Fields(strings.TrimPrefix(err.Error(), errUsage.Error()+": ")), " ")
	fmt.Fprintln(stderr, "repl: "+text)
	if errors.Is(err, errUsage) {
		return exitUsage
	}
	return exitFailure
}

// Repl is the operator's command line: it saves and loads statements, and lists, adds and removes nodes, over the gRPC
// port of any node.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
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
	code := exitFailure
	if errors.Is(err, errUsage) {
		code = exitUsage
	}
	if slices.ContainsFunc(args, asksForJSON) { // cmd is nil where the line cannot be read
		writeProblem(stderr, text, code)
	} else {
		fmt.Fprintln(stderr, "repl: "+text)
	}
	return code
}

func asksForJSON(arg string) bool {
	switch arg {
	case "-json", "--json", "-json=true", "--json=true":
		return true
	}
	return false
}

// problem is an error as -json has it.
type problem struct {
	Error string `json:"error"`
	// OutcomeUnknown is set where what was asked for may have been done, or be done yet.
	OutcomeUnknown bool `json:"outcomeUnknown"`
	ExitStatus     int  `json:"exitStatus"`
}

func writeProblem(w io.Writer, text string, code int) {
	p := problem{Error: text, OutcomeUnknown: strings.HasPrefix(text, "outcome unknown:"), ExitStatus: code}
	if err := json.NewEncoder(w).Encode(p); err != nil {
		fmt.Fprintln(w, "repl: "+text)
	}
}

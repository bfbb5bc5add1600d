package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/nexus-replication/nexus/cmd/internal/settings"
	"github.com/nexus-replication/nexus/proxy/admin"
	"github.com/nexus-replication/nexus/raft"
)

// Exit codes.
const (
	ExitOK = iota
	ExitFailure
	ExitUsage
)

// Program is what is said of a program in words and numbers.
type Program struct {
	Name    string // of its binary
	Data    string // what it replicates
	Server  string // the backend's binary
	Clients string // whose clients it serves

	// NodePort is that of the first node in the documentation, from which the defaults of the other ports follow; that
	// of clients is ProxyBelow less.
	NodePort, ProxyBelow int

	Version, Commit, Date string
}

// Definition is what only the program knows. Its methods are called in this order.
type Definition interface {
	// Settings declares the settings: see Options.Declare.
	Settings() *settings.Set
	// Complete checks what concerns more than one setting, and fills in what follows from others: see Options.Complete.
	Complete() error
	// Offline is the configuration for work on a data directory while the node does not run.
	Offline(log *slog.Logger) (raft.Config, error)
	// Build makes the parts of a node. It opens nothing.
	Build(log *slog.Logger) (*Node, error)
}

// Main runs the program until ctx ends, or until it cannot go on, and returns its exit code. opts are those that d
// declares and completes.
func Main(ctx context.Context, opts *Options, d Definition, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	p := opts.program
	set := d.Settings()
	err := set.Parse(args, getenv)
	switch {
	case errors.Is(err, settings.ErrHelp):
		if set.WriteHelp(stdout) != nil {
			return ExitFailure
		}
		return ExitOK
	case errors.Is(err, settings.ErrVersion):
		fmt.Fprintf(stdout, "%s %s (commit %s, %s)\n", p.Name, p.Version, p.Commit, p.Date)
		return ExitOK
	case err == nil:
		err = d.Complete()
	}
	if err != nil {
		fmt.Fprintln(stderr, err)
		return ExitUsage
	}
	events := admin.NewEvents(opts.logHandler(stderr))
	fold := newFold(events)
	for _, warning := range set.Misspelled(os.Environ()) {
		slog.New(fold).Warn(warning)
	}
	err = run(ctx, opts, d, slog.New(fold), events, stderr)
	fold.close()
	if err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", p.Name, err)
		return ExitFailure
	}
	return ExitOK
}

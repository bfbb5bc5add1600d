// Etcd drives an etcd server for the benchmarks, which start it and read the result from its standard output. It is a
// module of its own, with the server, so that neither concerns those who build Nexus.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/nexus-replication/nexus/bench/load"
)

func main() {
	addr := flag.String("addr", "", "host and port of the server")
	spec := flag.String("spec", "", "a load.Spec as JSON")
	d := flag.Duration("duration", time.Second, "how long it runs; 0s stores each key once")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *addr, *spec, *d); err != nil {
		fmt.Fprintln(os.Stderr, "etcd load:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, addr, text string, d time.Duration) error {
	var s load.Spec
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return fmt.Errorf("-spec: %w", err)
	}
	if err := s.Validate(); err != nil {
		return err
	}
	if s.Pipeline != 1 {
		return errors.New("etcd has no pipelines")
	}
	if d == 0 {
		return fill(ctx, addr, s.Keys, s.Size)
	}
	result, err := drive(ctx, addr, s, d)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(result)
}

package main

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// A child that lived this long is started again at once when it dies; one that did not waits longer each time.
const (
	healthyAfter = 10 * time.Second
	shortestWait = 500 * time.Millisecond
	longestWait  = 30 * time.Second
)

// supervise starts each child and starts it again when it dies, until ctx ends. The children still run when the
// channel it returns is closed: stopping them in order is the caller's.
func supervise(ctx context.Context, cl *cluster.Cluster, out io.Writer) <-chan struct{} {
	var wg sync.WaitGroup
	for _, n := range cl.Nodes {
		wg.Go(func() { keep(ctx, n.BackendProcess(), out) })
		wg.Go(func() { keep(ctx, &n.Process, out) })
	}
	done := make(chan struct{})
	go func() {
		wg.Wait()
		close(done)
	}()
	return done
}

func keep(ctx context.Context, p *cluster.Process, out io.Writer) {
	wait := shortestWait
	for ctx.Err() == nil {
		begin := time.Now()
		if err := p.Start(); err != nil {
			fmt.Fprintln(out, err)
		} else {
			select {
			case <-ctx.Done():
				return
			case <-p.Exited():
			}
			if time.Since(begin) >= healthyAfter {
				wait = shortestWait
			}
			fmt.Fprintf(out, "%s ended (%s), starts again in %v; the last of %s:\n  %s\n",
				p.Name, ending(p.Err()), wait, relative(p.Log), lastWords(p.Output()))
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		wait = min(2*wait, longestWait)
	}
}

func ending(err error) string {
	if err == nil {
		return "exit status 0"
	}
	return err.Error()
}

// lines is a Writer for several goroutines.
type lines struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}

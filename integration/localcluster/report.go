package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// When a node that does not serve is told of: first, and then ever more seldom.
const (
	lookEvery    = time.Second
	firstReport  = 5 * time.Second
	seldomReport = 2 * time.Minute
)

// watchServing tells which nodes do not serve, and what each waits for, until ctx ends.
func watchServing(ctx context.Context, clusters []*cluster.Cluster, out io.Writer) {
	var s silence
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(lookEvery):
		}
		rows := notServing(ctx, clusters)
		if ctx.Err() != nil {
			return
		}
		switch s.look(len(rows) > 0, time.Now()) {
		case tellWaiting:
			fmt.Fprint(out, waitingTable(rows))
		case tellServing:
			fmt.Fprintln(out, "All nodes serve now.")
		}
	}
}

// silence decides when there is something to say.
type silence struct {
	since, next time.Time
	pause       time.Duration
	said        bool
}

type telling int

const (
	tellNothing telling = iota
	tellWaiting
	tellServing
)

func (s *silence) look(waiting bool, now time.Time) telling {
	switch {
	case !waiting && s.said:
		*s = silence{}
		return tellServing
	case !waiting:
		*s = silence{}
		return tellNothing
	case s.since.IsZero():
		s.since, s.pause = now, firstReport
		s.next = now.Add(s.pause)
		return tellNothing
	case now.Before(s.next):
		return tellNothing
	}
	s.said = true
	s.pause = min(2*s.pause, seldomReport)
	s.next = now.Add(s.pause)
	return tellWaiting
}

// waitingRow is a node that does not serve.
type waitingRow struct{ name, why, log string }

func notServing(ctx context.Context, clusters []*cluster.Cluster) []waitingRow {
	var rows []waitingRow
	for _, cl := range clusters {
		for _, n := range cl.Nodes {
			if why := whyNotServing(ctx, n); why != "" {
				rows = append(rows, waitingRow{n.Name, why, relative(n.Log)})
			}
		}
	}
	return rows
}

func whyNotServing(ctx context.Context, n *cluster.Node) string {
	if !n.Running() {
		return "its process does not run"
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	err := n.Ready(ctx)
	switch {
	case err == nil:
		return ""
	case strings.Contains(err.Error(), "not serving: "):
		return strings.TrimPrefix(err.Error(), "not serving: ")
	}
	return "it does not answer on " + n.GRPCAddr()
}

func waitingTable(rows []waitingRow) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\nNot serving at %s:\n", time.Now().Format(time.TimeOnly))
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NODE\tWAITS FOR\tLOG")
	for _, r := range rows {
		fmt.Fprintf(w, "%s\t%s\t%s\n", r.name, r.why, r.log)
	}
	_ = w.Flush() // into memory
	return b.String()
}

// lastWords is what an operator wants to see of the output of a process that died: its last warnings and errors, or its
// last line if there are none.
func lastWords(output string) string {
	const most = 3
	lines := strings.Split(strings.TrimSpace(output), "\n")
	var words []string
	for _, line := range lines {
		if isAlarm(line) {
			words = append(words, line)
		}
	}
	if len(words) == 0 {
		words = lines
		return words[len(words)-1]
	}
	return strings.Join(words[max(0, len(words)-most):], "\n  ")
}

// isAlarm knows the forms of a node's messages and last line, of redis-server and of mariadbd.
func isAlarm(line string) bool {
	for _, mark := range []string{"level=WARN", "level=ERROR", `"level":"WARN"`, `"level":"ERROR"`, " # ", "[ERROR]", "[Warning]", "panic: "} {
		if strings.Contains(line, mark) {
			return true
		}
	}
	return strings.HasPrefix(line, "redis_repl: ") || strings.HasPrefix(line, "mysql_repl: ")
}

package clustertest

import (
	"encoding/json"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// CheckLog starts a cluster of one node and checks that its first lines say who it is, of which cluster, with which
// backend, where its data is and what is listening, in the form of -log-format, and that what clients do adds none.
func CheckLog(t *testing.T, opts cluster.Options, format string, requests func(n *cluster.Node)) {
	t.Helper()
	opts.Size, opts.Name, opts.Flags = 1, "orders", []string{"-log-format", format}
	n := New(t, opts).Nodes[0]
	Check(t, n.BackendProcess().Start())
	Check(t, n.StartReady(Within(t, 60*time.Second)))
	said := n.Output()
	if lines := strings.Count(said, "\n"); lines > 15 {
		t.Errorf("%d lines are more than a handful:\n%s", lines, said)
	}
	for what, attributes := range map[string][][2]string{
		"who":       {{"msg", "starting"}, {"program", ""}, {"version", ""}, {"node", n.URL()}},
		"cluster":   {{"msg", "starting"}, {"cluster", "orders"}},
		"ids":       {{"msg", "entered the cluster"}, {"cluster", ""}, {"id", ""}},
		"backend":   {{"msg", "starting"}, {"backend", n.BackendAddr()}},
		"server":    {{"msg", "backend opened"}, {"version", ""}},
		"data":      {{"msg", "starting"}, {"data", n.DataDir}},
		"listening": append([][2]string{{"msg", "running"}}, listening(t, n)...),
	} {
		if !hasLine(t, said, format, attributes) {
			t.Errorf("no line has %s, %v:\n%s", what, attributes, said)
		}
	}

	requests(n)
	for line := range strings.Lines(strings.TrimPrefix(n.Output(), said)) {
		if !strings.Contains(line, "part=raft") && !strings.Contains(line, `"part":"raft"`) { // an election, at most
			t.Errorf("requests wrote %s", line)
		}
	}
}

func listening(t *testing.T, n *cluster.Node) [][2]string {
	t.Helper()
	host, client, err := net.SplitHostPort(n.Addr())
	Check(t, err)
	return [][2]string{{"bind", host}, {"proxyPort", client}, {"grpcPort", strconv.Itoa(n.GRPC)}, {"metricsPort", strconv.Itoa(n.Metrics)}}
}

// hasLine looks for a line with all attributes, of which an empty value stands for any.
func hasLine(t *testing.T, text, format string, attributes [][2]string) bool {
	t.Helper()
	for line := range strings.Lines(text) {
		if hasAttributes(parseLine(t, line, format), attributes) {
			return true
		}
	}
	return false
}

func hasAttributes(line map[string]string, attributes [][2]string) bool {
	for _, a := range attributes {
		got, there := line[a[0]]
		if !there || got == "" || a[1] != "" && got != a[1] {
			return false
		}
	}
	return true
}

// parseLine fails the test where the line is not of the format.
func parseLine(t *testing.T, line, format string) map[string]string {
	t.Helper()
	parsed := make(map[string]string)
	if format == "json" {
		var values map[string]any
		if err := json.Unmarshal([]byte(line), &values); err != nil {
			t.Fatalf("%q is no JSON: %v", line, err)
		}
		for key, value := range values {
			parsed[key] = fmt.Sprint(value)
		}
		return parsed
	}
	for rest := strings.TrimSpace(line); rest != ""; {
		key, after, found := strings.Cut(rest, "=")
		if !found {
			t.Fatalf("%q has no attribute at %q", line, rest)
		}
		value, _, _ := strings.Cut(after, " ")
		if quoted, err := strconv.QuotedPrefix(after); err == nil {
			value = quoted
		}
		rest = strings.TrimPrefix(after[len(value):], " ")
		if unquoted, err := strconv.Unquote(value); err == nil {
			value = unquoted
		}
		parsed[key] = value
	}
	return parsed
}

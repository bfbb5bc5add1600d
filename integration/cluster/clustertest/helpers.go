package clustertest

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// Within returns a context of the test that ends after d.
func Within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// Check fails the test if err is not nil.
func Check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Eventually waits until condition holds, or fails the test with its last error.
func Eventually(t *testing.T, patience time.Duration, condition func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := condition()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %v still: %v", patience, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// Metric returns the value of a metric without labels, as a node tells it.
func Metric(t *testing.T, n *cluster.Node, name string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(Within(t, 40*time.Second), http.MethodGet, "http://"+n.MetricsAddr()+"/metrics", nil)
	Check(t, err)
	resp, err := http.DefaultClient.Do(req)
	Check(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	Check(t, err)
	for line := range strings.Lines(string(body)) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	t.Fatalf("%s has no metric %s", n.Name, name)
	return ""
}

// CheckMetricsToken checks that a node shows its metrics to those who know the token only.
func CheckMetricsToken(t *testing.T, n *cluster.Node, token string) {
	t.Helper()
	for given, want := range map[string]int{"": http.StatusUnauthorized, "wrong": http.StatusUnauthorized, token: http.StatusOK} {
		req, err := http.NewRequestWithContext(Within(t, 40*time.Second), http.MethodGet, "http://"+n.MetricsAddr()+"/metrics", nil)
		Check(t, err)
		if given != "" {
			req.Header.Set("Authorization", "Bearer "+given)
		}
		resp, err := http.DefaultClient.Do(req)
		Check(t, err)
		Check(t, resp.Body.Close())
		if resp.StatusCode != want {
			t.Errorf("metrics with the token %q: %s", given, resp.Status)
		}
	}
}

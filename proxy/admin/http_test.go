package admin

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/raft"
)

func startHTTP(t *testing.T, node Node) string {
	t.Helper()
	return startHTTPWith(t, HTTPConfig{Node: node})
}

func startHTTPWith(t *testing.T, cfg HTTPConfig) string {
	t.Helper()
	cfg.Build, cfg.Logger = Build{"v1", "abc", "today"}, slog.New(slog.DiscardHandler)
	s := NewHTTP(cfg)
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(lis) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 40*time.Second)
		defer cancel()
		_ = s.Close(ctx)
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return lis.Addr().String()
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestHTTPEndpoints(t *testing.T) {
	node := newFakeNode()
	base := "http://" + startHTTP(t, node)
	for path, want := range map[string]string{
		"/livez": "ok\n", "/readyz": "ok\n", "/": `href="/metrics"`,
	} {
		if code, body := get(t, base+path); code != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: %d %q", path, code, body)
		}
	}
	if code, _ := get(t, base+"/nosuch"); code != http.StatusNotFound {
		t.Errorf("/nosuch: %d", code)
	}
	node.set(func(s *raft.Status) { s.Serving, s.Problem = false, "backend down" })
	if code, body := get(t, base+"/readyz"); code != http.StatusServiceUnavailable || body != "backend down\n" {
		t.Errorf("/readyz: %d %q", code, body)
	}
	if code, _ := get(t, base+"/livez"); code != http.StatusOK {
		t.Errorf("/livez: %d", code)
	}
	node.set(func(s *raft.Status) { s.Problem, s.Role = "", "starting" })
	if _, body := get(t, base+"/readyz"); body != "the node is starting\n" {
		t.Errorf("/readyz: %q", body)
	}
	resp, err := http.Post(base+"/readyz", "text/plain", strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", resp.StatusCode)
	}
}

func TestHTTPMetrics(t *testing.T) {
	node := newFakeNode()
	node.set(func(s *raft.Status) { s.Lease = 1500 * time.Millisecond })
	_, body := get(t, "http://"+startHTTP(t, node)+"/metrics")
	for _, want := range []string{
		`nexus_build_info{commit="abc",date="today",version="v1"} 1`,
		`nexus_raft_role{role="leader"} 1`, `nexus_raft_role{role="follower"} 0`,
		"nexus_raft_term 3", "nexus_raft_commit_index 12", "nexus_raft_applied_index 11", "nexus_raft_has_leader 1",
		"nexus_raft_is_leader 1", "nexus_raft_lease_seconds 1.5", "nexus_serving 1", "nexus_raft_members 2",
		"nexus_raft_learners 1", `nexus_raft_peer_match_index{url="http://127.0.0.1:9023"} 10`, "go_goroutines ", "process_start_time_seconds ",
	} {
		if !strings.Contains(body, "\n"+want) {
			t.Errorf("metrics lack %q", want)
		}
	}
}

// Without the token a stranger learns whether the node lives and is ready, and nothing else.
func TestHTTPToken(t *testing.T) {
	node := newFakeNode()
	base := "http://" + startHTTPWith(t, HTTPConfig{Node: node, Token: "sesame"})
	for name, tc := range map[string]struct {
		show func(*http.Request)
		code int
	}{
		"nothing":            {func(*http.Request) {}, http.StatusUnauthorized},
		"another token":      {func(r *http.Request) { r.Header.Set("Authorization", "Bearer sesam") }, http.StatusUnauthorized},
		"an empty token":     {func(r *http.Request) { r.Header.Set("Authorization", "Bearer ") }, http.StatusUnauthorized},
		"another password":   {func(r *http.Request) { r.SetBasicAuth("sesame", "") }, http.StatusUnauthorized},
		"the token":          {func(r *http.Request) { r.Header.Set("Authorization", "Bearer sesame") }, http.StatusOK},
		"it as the password": {func(r *http.Request) { r.SetBasicAuth("anybody", "sesame") }, http.StatusOK},
	} {
		for _, path := range []string{"/metrics", "/", "/status.json"} {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			tc.show(req)
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if resp.StatusCode != tc.code {
				t.Errorf("%s with %s: %s", path, name, resp.Status)
			}
			if asks := resp.Header.Get("WWW-Authenticate") != ""; asks != (tc.code == http.StatusUnauthorized) {
				t.Errorf("%s with %s: a browser is asked for a password: %v", path, name, asks)
			}
		}
	}
	node.set(func(s *raft.Status) { s.Serving, s.Problem = false, "backend 10.0.0.3 down" })
	if code, body := get(t, base+"/readyz"); code != http.StatusServiceUnavailable || body != "not ready\n" {
		t.Errorf("/readyz: %d %q", code, body)
	}
	if code, body := get(t, base+"/livez"); code != http.StatusOK || body != "ok\n" {
		t.Errorf("/livez: %d %q", code, body)
	}
}

// A client that does not finish its request is cut off.
func TestHTTPHostile(t *testing.T) {
	addr := startHTTP(t, newFakeNode())
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nX: "+strings.Repeat("x", 64<<10)+"\r\n\r\n"); err != nil {
		return // cut off while sending
	}
	_ = conn.SetReadDeadline(time.Now().Add(8 * time.Second))
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err == nil && !strings.Contains(line, "431") {
		t.Errorf("a huge header is answered %q", line)
	}
}

// With ?sync the node must also have caught up.
func TestReadySync(t *testing.T) {
	node := newFakeNode()
	base := "http://" + startHTTP(t, node)
	if code, body := get(t, base+"/readyz?sync"); code != http.StatusOK || body != "ok\n" {
		t.Errorf("%d %q", code, body)
	}
	node.fail(fmt.Errorf("%w: no answer within 900ms: no leader", raft.ErrNotDone))
	if code, body := get(t, base+"/readyz?sync"); code != http.StatusServiceUnavailable || !strings.Contains(body, "no leader") {
		t.Errorf("%d %q", code, body)
	}
	if code, _ := get(t, base+"/readyz"); code != http.StatusOK {
		t.Errorf("%d without sync", code)
	}
}

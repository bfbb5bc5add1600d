package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// TestPrometheus has a real Prometheus scrape a node and evaluate the alerts, where Debian's package is there.
func TestPrometheus(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"prometheus", "promtool"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is not installed (Debian: apt-get install prometheus)", program)
		}
	}
	rules := must(filepath.Abs("../deploy/prometheus"))(t)
	cmd := exec.CommandContext(within(t, 60*time.Second), "promtool", "test", "rules", "nexus.rules.test.yaml")
	cmd.Dir = rules
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("test the alerts: %v\n%s", err, out)
	}

	checkDashboard(t)

	c := newCluster(t, cluster.Options{Size: 1})
	check(t, c.StartReady(within(t, 40*time.Second)))
	n := c.Nodes[0]
	check(t, client(t, n, 0).Set(within(t, 40*time.Second), "k", "v", 0).Err())
	lint := exec.CommandContext(within(t, 40*time.Second), "promtool", "check", "metrics")
	resp, err := http.Get("http://" + n.MetricsAddr() + "/metrics")
	check(t, err)
	defer resp.Body.Close()
	metrics := must(io.ReadAll(resp.Body))(t)
	lint.Stdin = bytes.NewReader(metrics)
	for _, want := range []string{"nexus_raft_fsync_seconds_count", `nexus_raft_proposals_total{outcome="done"}`, "nexus_raft_commit_seconds_count", "nexus_raft_apply_seconds_count"} {
		if !bytes.Contains(metrics, []byte("\n"+want)) || bytes.Contains(metrics, []byte("\n"+want+" 0\n")) {
			t.Errorf("%s was not counted", want)
		}
	}
	if out, err := lint.CombinedOutput(); err != nil {
		t.Errorf("check the metrics: %v\n%s", err, out)
	}

	dir, port := t.TempDir(), must(cluster.FreePort())(t)
	config := fmt.Sprintf(`global: {scrape_interval: 200ms, evaluation_interval: 200ms}
rule_files: [%s/nexus.rules.yaml]
scrape_configs: [{job_name: nexus, static_configs: [{targets: [%s]}]}]
`, rules, n.MetricsAddr())
	check(t, os.WriteFile(filepath.Join(dir, "prometheus.yaml"), []byte(config), 0o644))
	p := &cluster.Process{
		Name: "prometheus", Path: must(exec.LookPath("prometheus"))(t), Log: filepath.Join(dir, "log"),
		Args: []string{
			"--config.file", filepath.Join(dir, "prometheus.yaml"), "--storage.tsdb.path", filepath.Join(dir, "data"),
			"--web.listen-address", cluster.Address(port),
		},
	}
	check(t, p.Start())
	t.Cleanup(func() { check(t, p.Kill()) })
	eventually(t, 40*time.Second, func() error {
		query := url.Values{"query": {`nexus_serving{job="nexus"} == 1 and on() count(nexus_redis_commands_total) > 0`}}
		resp, err := http.Get("http://" + cluster.Address(port) + "/api/v1/query?" + query.Encode())
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		var answer struct {
			Status string
			Data   struct{ Result []any }
		}
		if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
			return err
		}
		if answer.Status != "success" || len(answer.Data.Result) != 1 {
			return fmt.Errorf("Prometheus answers %+v; its log: %s", answer, strings.TrimSpace(p.Output()))
		}
		return nil
	})
}

// checkDashboard has promtool read every query of the dashboard, as a rule.
func checkDashboard(t *testing.T) {
	t.Helper()
	var dashboard struct {
		Panels []struct{ Targets []struct{ Expr string } }
	}
	check(t, json.Unmarshal(must(os.ReadFile("../deploy/grafana/nexus.json"))(t), &dashboard))
	variables := strings.NewReplacer("$__rate_interval", "1m", "$job", ".*", "$instance", ".*")
	type rule struct {
		Record string `json:"record"`
		Expr   string `json:"expr"`
	}
	var rules []rule
	for _, p := range dashboard.Panels {
		for _, target := range p.Targets {
			rules = append(rules, rule{fmt.Sprint("query", len(rules)), variables.Replace(target.Expr)})
		}
	}
	// JSON is YAML.
	text := must(json.Marshal(map[string]any{"groups": []any{map[string]any{"name": "dashboard", "rules": rules}}}))(t)
	path := filepath.Join(t.TempDir(), "dashboard.yaml")
	check(t, os.WriteFile(path, text, 0o644))
	if out, err := exec.CommandContext(within(t, 40*time.Second), "promtool", "check", "rules", path).CombinedOutput(); err != nil {
		t.Errorf("check the queries of the dashboard: %v\n%s", err, out)
	}
}

package integration

import (
	"encoding/json"
	"fmt"
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

	c := newCluster(t, cluster.Options{Size: 1})
	check(t, c.StartReady(within(t, 30*time.Second)))
	n := c.Nodes[0]
	check(t, client(t, n, 0).Set(within(t, 10*time.Second), "k", "v", 0).Err())
	lint := exec.CommandContext(within(t, 30*time.Second), "promtool", "check", "metrics")
	resp, err := http.Get("http://" + n.MetricsAddr() + "/metrics")
	check(t, err)
	defer resp.Body.Close()
	lint.Stdin = resp.Body
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
	eventually(t, 30*time.Second, func() error {
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

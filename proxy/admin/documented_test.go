package admin

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var metricName = regexp.MustCompile(`nexus_(?:raft|redis|mysql|backend|serving|quarantined|verified|build|certificate)[a-z_]*`)

// registered are the names of metrics in the source of the programs.
func registered(t *testing.T) map[string]bool {
	t.Helper()
	literal := regexp.MustCompile(`"(` + metricName.String() + `)"`)
	names := make(map[string]bool)
	for _, dir := range []string{"raft", "proxy", "appliers", "cmd"} {
		err := filepath.WalkDir("../../"+dir, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			for _, m := range literal.FindAllStringSubmatch(string(text), -1) {
				if !strings.HasSuffix(m[1], "_") {
					names[m[1]] = true
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(names) < 40 {
		t.Fatalf("only %d metrics were found: %v", len(names), names)
	}
	return names
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// docs/metrics.md has every metric, and no other.
func TestMetricsAreDocumented(t *testing.T) {
	names := registered(t)
	row := regexp.MustCompile("(?m)^\\| `([a-z_]+)(?:\\{[a-z,]+\\})?` \\| (?:gauge|counter|histogram) \\| \\S")
	documented := make(map[string]bool)
	for _, m := range row.FindAllStringSubmatch(read(t, "../../docs/metrics.md"), -1) {
		if documented[m[1]] {
			t.Errorf("%s is documented twice", m[1])
		}
		documented[m[1]] = true
		if !names[m[1]] {
			t.Errorf("%s is documented, but there is no such metric", m[1])
		}
	}
	for name := range names {
		if !documented[name] {
			t.Errorf("%s is not in docs/metrics.md", name)
		}
	}
}

// What the dashboard and the alerts ask for exists.
func TestMetricsOfDashboardsExist(t *testing.T) {
	names := registered(t)
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr, LegendFormat string }
		}
	}
	if err := json.Unmarshal([]byte(read(t, "../../deploy/grafana/nexus.json")), &dashboard); err != nil {
		t.Fatal(err)
	}
	asked := make(map[string][]string)
	labels := labelsOf(t)
	for _, p := range dashboard.Panels {
		for _, target := range p.Targets {
			checkLabels(t, p.Title, target.Expr, target.LegendFormat, labels)
			found := metricName.FindAllString(target.Expr, -1)
			if len(found) == 0 && !strings.Contains(target.Expr, "process_") {
				t.Errorf("panel %q: %q asks for no metric of Nexus", p.Title, target.Expr)
			}
			asked["panel "+p.Title] = append(asked["panel "+p.Title], found...)
		}
	}
	if len(asked) < 10 {
		t.Errorf("the dashboard has %d panels", len(asked))
	}
	everything := fmt.Sprint(asked)
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_]+)(?:\\{[a-z,]+\\})?` \\| histogram").FindAllStringSubmatch(read(t, "../../docs/metrics.md"), -1) {
		if !strings.Contains(everything, m[1]) {
			t.Errorf("no panel shows the histogram %s", m[1])
		}
	}
	asked["the alerts"] = metricName.FindAllString(read(t, "../../deploy/prometheus/nexus.rules.yaml"), -1)
	for where, list := range asked {
		for _, name := range list {
			parts := []string{name}
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				parts = append(parts, strings.TrimSuffix(name, suffix))
			}
			if !slices.ContainsFunc(parts, func(n string) bool { return names[n] }) {
				t.Errorf("%s asks for %s, which does not exist", where, name)
			}
		}
	}
}

// labelsOf are the labels of each metric, as documented.
func labelsOf(t *testing.T) map[string][]string {
	t.Helper()
	labels := make(map[string][]string)
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_]+)\\{([a-z,]+)\\}`").FindAllStringSubmatch(read(t, "../../docs/metrics.md"), -1) {
		labels[m[1]] = strings.Split(m[2], ",")
	}
	return labels
}

// checkLabels fails the test where a query or its legend has a label that none of its metrics has.
func checkLabels(t *testing.T, panel, expr, legend string, labels map[string][]string) {
	t.Helper()
	there := []string{"job", "instance"} // of Prometheus
	for _, name := range metricName.FindAllString(expr, -1) {
		there = append(there, labels[name]...)
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			if base, cut := strings.CutSuffix(name, suffix); cut {
				there = append(append(there, labels[base]...), "le")
			}
		}
	}
	var used []string
	for _, m := range regexp.MustCompile(`by \(([a-z, ]+)\)`).FindAllStringSubmatch(expr, -1) {
		used = append(used, strings.Split(m[1], ", ")...)
	}
	for _, m := range regexp.MustCompile(`\{\{([a-z]+)\}\}`).FindAllStringSubmatch(legend, -1) {
		used = append(used, m[1])
	}
	for _, label := range used {
		if !slices.Contains(there, label) {
			t.Errorf("panel %q: no metric of %q has the label %s", panel, expr, label)
		}
	}
}

// Each alert is documented and has a test in which it fires, and nothing else is called one.
func TestAlertsAreDocumentedAndTested(t *testing.T) {
	tests, guide := read(t, "../../deploy/prometheus/nexus.rules.test.yaml"), read(t, "../../docs/operations.md")
	name := regexp.MustCompile(`\bNexus[A-Z][A-Za-z]+`)
	alerts := make(map[string]bool)
	for _, m := range regexp.MustCompile(`- alert: (\w+)`).FindAllStringSubmatch(read(t, "../../deploy/prometheus/nexus.rules.yaml"), -1) {
		alerts[m[1]] = true
		if !regexp.MustCompile(`alertname: ` + m[1] + `\n +exp_alerts:\n +- `).MatchString(tests) {
			t.Errorf("no test has %s fire", m[1])
		}
		if !strings.Contains(guide, "`"+m[1]+"`") {
			t.Errorf("%s is not in docs/operations.md", m[1])
		}
	}
	for _, called := range name.FindAllString(tests+guide, -1) {
		if !alerts[called] {
			t.Errorf("there is no alert %s", called)
		}
	}
}

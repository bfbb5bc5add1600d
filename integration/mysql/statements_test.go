package mysql

import (
	"io"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// byKind returns the values of a metric of a node by its label kind.
func byKind(t *testing.T, n *cluster.Node, name string) map[string]float64 {
	t.Helper()
	resp, err := http.Get("http://" + n.MetricsAddr() + "/metrics")
	check(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	check(t, err)
	found := make(map[string]float64)
	for _, m := range regexp.MustCompile(`(?m)^`+name+`\{kind="([a-z ]+)"\} (\S+)$`).FindAllStringSubmatch(string(body), -1) {
		value, err := strconv.ParseFloat(m[2], 64)
		check(t, err)
		found[m[1]] = value
	}
	return found
}

// Each statement is counted once under its kind, however it is executed, and its errors are. The log tells of the slow
// ones, here all, without what they were about.
func TestStatementsAreTimed(t *testing.T) {
	t.Parallel()
	_, leader := startCluster(t, "-log-slower-than", "1ns")
	ctx := t.Context()
	conn, err := open(t, leader).Conn(ctx)
	check(t, err)
	defer conn.Close()
	before, failed := byKind(t, leader, "nexus_mysql_statements_seconds_count"), byKind(t, leader, "nexus_mysql_statement_errors_total")
	for _, text := range []string{
		"CREATE DATABASE timed", "CREATE TABLE timed.secret_table (id INT PRIMARY KEY, v VARCHAR(20))",
		"INSERT INTO timed.secret_table VALUES (1, 'secret-value'); INSERT INTO timed.secret_table VALUES (2, 'secret-value')",
		"BEGIN", "UPDATE timed.secret_table SET v='b'", "SELECT * FROM timed.secret_table FOR UPDATE", "COMMIT",
		"PREPARE p FROM 'SELECT 1'", "EXECUTE p", "DO 1",
	} {
		if _, err := conn.ExecContext(ctx, text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
	prepared, err := conn.PrepareContext(ctx, "INSERT INTO timed.secret_table VALUES (?, ?)")
	check(t, err)
	for _, id := range []int{3, 3} { // the second is a duplicate
		_, err = prepared.ExecContext(ctx, id, "secret-value")
	}
	if err == nil {
		t.Error("a duplicate key is no error")
	}
	if _, err := conn.ExecContext(ctx, "SECRETWORD 'secret-value'"); err == nil {
		t.Error("an unknown statement is no error")
	}
	after, failedAfter := byKind(t, leader, "nexus_mysql_statements_seconds_count"), byKind(t, leader, "nexus_mysql_statement_errors_total")
	for kind, want := range map[string]struct{ count, errors float64 }{
		"ddl": {2, 0}, "write": {5, 1}, "begin": {1, 0}, "commit": {1, 0}, "locking read": {1, 0}, "prepare": {1, 0}, "execute": {1, 0},
		"read": {1, 0}, "refused": {1, 1}, "rollback": {0, 0},
	} {
		if got := after[kind] - before[kind]; got != want.count {
			t.Errorf("%s: timed %v times, want %v", kind, got, want.count)
		}
		if got := failedAfter[kind] - failed[kind]; got != want.errors {
			t.Errorf("%s: %v errors, want %v", kind, got, want.errors)
		}
	}
	log, err := os.ReadFile(leader.Log)
	check(t, err)
	for _, want := range []string{
		`level=WARN msg="slow statement" part=proxy kind=ddl verb=CREATE took=`, "kind=write verb=INSERT took=", "kind=refused verb=\"\" took=", "failed=true",
	} {
		if !strings.Contains(string(log), want) {
			t.Errorf("the log lacks %s", want)
		}
	}
	if strings.Contains(strings.ToLower(string(log)), "secret") {
		t.Errorf("the log tells what the client said:\n%s", log)
	}
}

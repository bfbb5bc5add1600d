package mysql

import (
	"database/sql"
	"fmt"
	"io"
	"net/http"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// TestSecretsStaySecret looks for passwords and tokens wherever somebody could read them.
func TestSecretsStaySecret(t *testing.T) {
	t.Parallel()
	secrets := []string{"hunter2-root", "hunter2-admin", "hunter2-read", "hunter2-metrics", "hunter2-app", "hunter2-wrong"}
	config := filepath.Join(t.TempDir(), "node.yaml")
	check(t, os.WriteFile(config, []byte("mysqlConnUrl: root:hunter2-root@tcp(BACKEND)/nexus\ngrpcReadToken: hunter2-read\nlog-level: debug\nlog-slower-than: 1us\n"), 0o600))
	c := newCluster(t, cluster.Options{Size: 1, Flags: []string{"-config", config}})
	n := c.Nodes[0]
	data, err := os.ReadFile(config)
	check(t, err)
	check(t, os.WriteFile(config, []byte(strings.Replace(string(data), "BACKEND", n.BackendAddr(), 1)), 0o600))
	n.Args = without(n.Args, "-mysqlConnUrl")
	n.Env = []string{"NEXUS_GRPC_TOKEN=hunter2-admin", "NEXUS_METRICS_TOKEN=hunter2-metrics"}
	check(t, n.MariaDB.StartReady(within(t, 60*time.Second)))
	server, err := n.MariaDB.Client()
	check(t, err)
	execute(t, server, "SET sql_log_bin=0; SET PASSWORD FOR root@localhost=PASSWORD('hunter2-root'); "+
		"CREATE OR REPLACE USER root@'127.0.0.1' IDENTIFIED BY 'hunter2-root'; GRANT ALL ON *.* TO root@'127.0.0.1' WITH GRANT OPTION")
	check(t, server.Close())
	check(t, n.Start())
	eventually(t, 60*time.Second, func() error { return readyz(n) })

	ctx := within(t, 60*time.Second)
	shown := map[string]string{}
	root := openAs(t, n, "root", "hunter2-root", "", nil)
	execute(t, root, "CREATE USER app@'%' IDENTIFIED BY 'hunter2-app'", "CREATE USER other@'%'", "SET PASSWORD FOR other@'%'=PASSWORD('hunter2-app')",
		"ALTER USER other@'%' IDENTIFIED BY 'hunter2-app'", "GRANT SELECT ON *.* TO app@'%'")
	for name, db := range map[string]*sql.DB{
		"a wrong password":  openAs(t, n, "app", "hunter2-wrong", "", nil),
		"a wrong statement": root,
	} {
		_, err := db.ExecContext(ctx, "CREATE USER app@'%' IDENTIFIED BY 'hunter2-app'") // it exists
		if err == nil {
			t.Errorf("%s: no error", name)
		} else {
			shown[name] = err.Error()
		}
	}
	for _, page := range []string{"/metrics", "/", "/readyz", "/status.json"} {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.MetricsAddr()+page, nil)
		check(t, err)
		req.SetBasicAuth("", "hunter2-metrics")
		resp, err := http.DefaultClient.Do(req)
		check(t, err)
		body, err := io.ReadAll(resp.Body)
		check(t, err)
		check(t, resp.Body.Close())
		if resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", page, resp.Status)
		}
		shown[page] = string(body)
	}
	for _, verb := range []string{"status", "listNodes"} {
		for _, token := range []string{"hunter2-read", "hunter2-wrong"} {
			shown["repl "+verb+" "+token[:9]] = replWith(t, n, []string{"NEXUS_GRPC_TOKEN=" + token}, verb)
		}
	}
	cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", n.Pid()))
	check(t, err)
	shown["ps"] = string(cmdline)
	shown["its log"] = n.Output()
	for name, args := range map[string][]string{
		"a wrong address":       {"-mysqlConnUrl", "root:hunter2-root@nowhere"},
		"a unix socket":         {"-mysqlConnUrl", "root:hunter2-root@unix(/s)/"},
		"equal tokens":          {"-grpcToken", "hunter2-read"},
		"a server that is away": {"-mysqlConnUrl", "root:hunter2-root@tcp(127.0.0.1:1)/", "-nexus-force-new-cluster"},
		"a port that is used":   {},
	} {
		out, err := osexec.CommandContext(ctx, nodeBinary, append(append([]string{}, n.Args...), args...)...).CombinedOutput()
		if err == nil {
			t.Errorf("%s: no error: %s", name, out)
		}
		shown[name] = string(out)
	}
	for where, text := range shown {
		if text == "" {
			t.Errorf("%s shows nothing", where)
		}
		for _, secret := range secrets {
			if strings.Contains(text, secret) {
				t.Errorf("%s shows %s: %s", where, secret, text)
			}
		}
	}
}

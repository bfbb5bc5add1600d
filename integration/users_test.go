package integration

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-redis/redis/v8"

	"github.com/nexus-replication/nexus/integration/cluster"
)

func userClient(t *testing.T, n *cluster.Node, user, password string) *redis.Client {
	t.Helper()
	db := redis.NewClient(&redis.Options{Addr: n.Addr(), Username: user, Password: password, MaxRetries: -1})
	t.Cleanup(func() { db.Close() })
	return db
}

// TestUsers: every node enforces the file that it was given, scripts get the rights of who runs them on all replicas, and
// SIGHUP has the file read again.
func TestUsers(t *testing.T) {
	t.Parallel()
	users := filepath.Join(t.TempDir(), "users.acl")
	const root, alice = "user root on >root-secret ~* &* +@all", "user alice on >alice-secret ~a:* +@all -@dangerous"
	check(t, os.WriteFile(users, []byte(root+"\n"+alice+"\n"), 0o600))
	c := startCluster(t, "-users", users)
	ctx := within(t, 60*time.Second)
	const script = "return redis.call('set', ARGV[1], ARGV[2])"
	for i, n := range c.Nodes {
		if err := client(t, n, 0).Ping(ctx).Err(); err == nil || !strings.HasPrefix(err.Error(), "NOAUTH") {
			t.Errorf("%s: somebody unknown: %v", n.Name, err)
		}
		db := userClient(t, n, "alice", "alice-secret")
		key := fmt.Sprint("a:", i)
		check(t, db.Set(ctx, key, "v", 0).Err())
		check(t, db.Eval(ctx, script, nil, key, "w").Err())
		if err := db.Set(ctx, "b", "v", 0).Err(); err == nil || !strings.HasPrefix(err.Error(), "NOPERM") {
			t.Errorf("%s: SET of another's key: %v", n.Name, err)
		}
		if err := db.Eval(ctx, script, nil, "b", "w").Err(); err == nil || !strings.Contains(err.Error(), "can't access at least one of the keys") {
			t.Errorf("%s: a script that sets another's key: %v", n.Name, err)
		}
	}
	for _, n := range c.Nodes {
		if got := must(userClient(t, n, "root", "root-secret").Keys(ctx, "*").Result())(t); len(got) != 3 {
			t.Errorf("%s has %v, want what alice may write, and nothing else", n.Name, got)
		}
	}

	old := userClient(t, c.Nodes[0], "alice", "alice-secret").Conn(ctx)
	check(t, old.Ping(ctx).Err())
	check(t, os.WriteFile(users, []byte(root+"\nuser alice on >changed ~a:* +@all\n"), 0o600))
	check(t, syscall.Kill(c.Nodes[0].Pid(), syscall.SIGHUP))
	eventually(t, 40*time.Second, func() error {
		return userClient(t, c.Nodes[0], "alice", "changed").Ping(ctx).Err()
	})
	if err := old.Ping(ctx).Err(); err == nil {
		t.Error("a client of a user that has changed is still answered")
	}
	check(t, os.WriteFile(users, []byte("user alice +nosuch >root-secret\n"), 0o600))
	check(t, syscall.Kill(c.Nodes[0].Pid(), syscall.SIGHUP))
	eventually(t, 40*time.Second, func() error {
		if out := c.Nodes[0].Output(); !strings.Contains(out, "+nosuch") {
			return fmt.Errorf("nothing about the wrong rule: %s", out)
		}
		return nil
	})
	check(t, userClient(t, c.Nodes[0], "alice", "changed").Ping(ctx).Err())
}

// TestSecretsStaySecret looks for passwords and tokens wherever somebody could read them.
func TestSecretsStaySecret(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := func(name, text string) string {
		p := filepath.Join(dir, name)
		check(t, os.WriteFile(p, []byte(text), 0o600))
		return p
	}
	secrets := []string{"hunter2-root", "hunter2-admin", "hunter2-read", "hunter2-backend", "hunter2-wrong"}
	users := path("users.acl", "user root on >hunter2-root ~* &* +@all\n")
	config := path("node.yaml", "grpcReadToken: hunter2-read\nlog-level: debug\n")
	c := newCluster(t, cluster.Options{Size: 1, Flags: []string{"-users", users, "-config", config}})
	n := c.Nodes[0]
	n.Env = []string{"NEXUS_GRPC_TOKEN=hunter2-admin", "NEXUS_REDIS_USERNAME=nexus", "NEXUS_REDIS_PASSWORD=hunter2-backend"}
	n.Backend.Args = append(n.Backend.Args, "--user", "nexus", "on", ">hunter2-backend", "~*", "&*", "+@all")
	check(t, n.Backend.StartReady(within(t, 40*time.Second)))
	check(t, n.Start())
	eventually(t, 40*time.Second, func() error { return readyz(n) })

	ctx := within(t, 40*time.Second)
	if err := userClient(t, n, "root", "hunter2-wrong").Ping(ctx).Err(); err == nil {
		t.Error("a wrong password is taken")
	}
	db := userClient(t, n, "root", "hunter2-root")
	shown := map[string]string{}
	for _, args := range [][]any{{"CONFIG", "SET", "slowlog-log-slower-than", "0"}, {"AUTH", "root", "hunter2-root"}, {"HELLO", "2", "AUTH", "root", "hunter2-root"},
		{"SLOWLOG", "GET", "-1"}, {"ACL", "LIST"}, {"ACL", "LOG"}, {"ACL", "GETUSER", "root"}, {"CONFIG", "GET", "*"}, {"INFO", "everything"}, {"CLIENT", "LIST"}, {"NEXUS", "STATUS"}} {
		v := db.Do(ctx, args...).Val()
		shown[fmt.Sprint(args[:2])] = fmt.Sprint(v)
	}
	for _, page := range []string{"/metrics", "/", "/readyz", "/events"} {
		resp, err := http.Get("http://" + n.MetricsAddr() + page)
		check(t, err)
		shown[page] = string(must(io.ReadAll(resp.Body))(t))
		resp.Body.Close()
	}
	for _, verb := range []string{"status", "listNodes"} {
		for _, token := range []string{"hunter2-read", "hunter2-wrong"} {
			shown["repl "+verb+" "+token[:9]] = replWith(t, n, []string{"NEXUS_GRPC_TOKEN=" + token}, verb)
		}
	}
	shown["ps"] = string(must(os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", n.Pid())))(t))
	shown["its log"] = n.Output()
	for name, args := range map[string][]string{
		"two ways for passwords": {"-users", users, "-proxyPassword", "hunter2-root"},
		"equal tokens":           {"-grpcToken", "hunter2-read", "-grpcReadToken", "hunter2-read"},
		"a wrong file":           {"-users", path("wrong.acl", "user a on >hunter2-root #hunter2-admin <hunter2-read !hunter2-wrong (>hunter2-backend\n")},
	} {
		out, err := exec.CommandContext(ctx, nodeBinary, append(append([]string{}, n.Args...), args...)...).CombinedOutput()
		if err == nil {
			t.Errorf("%s: no error", name)
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

package integration

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-redis/redis/v8"

	"github.com/nexus-replication/nexus/integration/cluster"
	"github.com/nexus-replication/nexus/integration/cluster/clustertest"
)

// TestSecurity runs a cluster in which everything is protected: TLS between nodes, for clients and for operators, with
// certificates on both ends, a password, and tokens.
func TestSecurity(t *testing.T) {
	t.Parallel()
	certs := t.TempDir()
	check(t, cluster.WriteCertificates(certs, "127.0.0.1"))
	pem := func(name string) string { return filepath.Join(certs, name+".pem") }
	c := newCluster(t, cluster.Options{Flags: []string{
		"-nexus-peer-cert", pem("node"), "-nexus-peer-key", pem("node-key"), "-nexus-peer-ca", pem("ca"),
		"-proxyCert", pem("node"), "-proxyKey", pem("node-key"), "-proxyCA", pem("ca"),
		"-grpcCert", pem("node"), "-grpcKey", pem("node-key"),
		"-bind", "0.0.0.0",
	}})
	var urls []string
	for _, n := range c.Nodes {
		urls = append(urls, strings.Replace(n.URL(), "http:", "https:", 1))
	}
	for i, n := range c.Nodes {
		n.Args = append(n.Args, "-nexus-cluster-url", strings.Join(urls, ","), "-nexus-node-url", urls[i])
		n.Env = []string{"NEXUS_PROXY_PASSWORD=secret", "NEXUS_GRPC_TOKEN=admin-token", "NEXUS_GRPC_READ_TOKEN=read-token", "NEXUS_METRICS_TOKEN=metrics-token"}
		check(t, n.Backend.StartReady(within(t, 40*time.Second)))
		check(t, n.Start())
	}
	for _, n := range c.Nodes {
		eventually(t, 40*time.Second, func() error { return readyz(n) })
	}

	ctx := within(t, 40*time.Second)
	for i, n := range c.Nodes {
		db := redis.NewClient(&redis.Options{
			Addr: n.Addr(), Password: "secret", MaxRetries: -1, TLSConfig: clientTLS(t, certs, "client"),
		})
		t.Cleanup(func() { db.Close() })
		key := fmt.Sprint("key", i)
		check(t, db.Set(ctx, key, strings.Repeat("x", 1<<20), 0).Err())
		if got := must(db.Get(ctx, key).Result())(t); len(got) != 1<<20 {
			t.Errorf("read %d bytes", len(got))
		}
	}

	n := c.Nodes[0]
	for name, cfg := range map[string]*tls.Config{
		"without TLS":                   nil,
		"without a certificate":         clientTLS(t, certs, ""),
		"without knowing the authority": {Certificates: clientTLS(t, certs, "client").Certificates},
	} {
		db := redis.NewClient(&redis.Options{Addr: n.Addr(), Password: "secret", MaxRetries: -1, TLSConfig: cfg, DialTimeout: time.Second})
		if err := db.Ping(ctx).Err(); err == nil {
			t.Errorf("a client %s is answered", name)
		}
		db.Close()
	}
	for name, tc := range map[string]struct {
		token, verb string
		want        string
	}{
		"the token of an operator":     {"admin-token", "listNodes", "Current cluster members:"},
		"an operator moves the leader": {"admin-token", "transferLeader", "Current cluster members:"},
		"somebody looks":               {"read-token", "status", "Serving:"},
		"somebody who may look acts":   {"read-token", "transferLeader", "repl: the token is good for looking only"},
		"a wrong token":                {"wrong", "status", "repl: the token is not one of this node's"},
		"no token":                     {"", "status", "repl: this node asks for a token"},
	} {
		if out := replWith(t, n, []string{"NEXUS_GRPC_TOKEN=" + tc.token, "NEXUS_TLS_CA=" + pem("ca")}, tc.verb); !strings.Contains(out, tc.want) {
			t.Errorf("%s: %s prints %q, want %q", name, tc.verb, out, tc.want)
		}
	}
	if out := replWith(t, n, []string{"NEXUS_GRPC_TOKEN=admin-token"}, "status"); !strings.HasPrefix(out, "repl: ") {
		t.Errorf("without TLS: %q", out)
	}
	clustertest.CheckMetricsToken(t, n, "metrics-token")
	for _, n := range c.Nodes {
		for _, secret := range []string{"secret", "admin-token", "read-token", "metrics-token"} {
			if strings.Contains(n.Output(), secret) {
				t.Errorf("%s has written %q to its log", n.Name, secret)
			}
		}
	}
}

// TestCertificateIsReadAgain: a certificate that was replaced on disk is shown to whoever connects from then on, and who is
// connected notices nothing. While certificate and key do not fit each other, the last pair that did is shown.
func TestCertificateIsReadAgain(t *testing.T) {
	t.Parallel()
	certs, later := t.TempDir(), t.TempDir()
	for _, dir := range []string{certs, later} {
		check(t, cluster.WriteCertificates(dir, "127.0.0.1"))
	}
	old, renewed := clientTLS(t, certs, ""), clientTLS(t, later, "")
	pem := func(dir, name string) string { return filepath.Join(dir, name+".pem") }
	c := newCluster(t, cluster.Options{Size: 1, Flags: []string{"-proxyCert", pem(certs, "node"), "-proxyKey", pem(certs, "node-key")}})
	n := c.Nodes[0]
	check(t, n.Backend.StartReady(within(t, 40*time.Second)))
	check(t, n.Start())
	eventually(t, 40*time.Second, func() error { return readyz(n) })

	connected, subscriber := must(dialTLS(t, n, old))(t), must(dialTLS(t, n, old))(t)
	subscriber.send(t, "SUBSCRIBE news")
	for range 6 {
		subscriber.line(t)
	}
	replaced := func(file string) {
		t.Helper()
		check(t, os.WriteFile(pem(certs, file), must(os.ReadFile(pem(later, file)))(t), 0o600))
	}
	const unusable = `nexus_certificate_unusable{port="proxy"}`
	replaced("node-key")
	if _, err := dialTLS(t, n, old); err != nil {
		t.Errorf("the old certificate is not shown while only the key was replaced: %v", err)
	}
	if got := metricOf(t, n, unusable); got != "1" {
		t.Errorf("%s is %s while only the key was replaced", unusable, got)
	}
	if !strings.Contains(n.Output(), "the files of the certificate cannot be used") {
		t.Error("the log does not tell of it")
	}
	replaced("node")
	if got := metricOf(t, n, unusable); got != "0" {
		t.Errorf("%s is %s when both were replaced", unusable, got)
	}
	if _, err := dialTLS(t, n, renewed); err != nil {
		t.Errorf("the new certificate is not shown: %v", err)
	}
	if _, err := dialTLS(t, n, old); err == nil {
		t.Error("the old certificate is shown")
	}
	connected.send(t, "SET k v", "PUBLISH news x")
	for _, want := range []string{"+OK", ":1"} {
		if got := connected.line(t); got != want {
			t.Errorf("who was connected before is answered %q, want %q", got, want)
		}
	}
	if got := subscriber.line(t); got != "*3" {
		t.Errorf("a subscriber of before got %q", got)
	}
}

// dialTLS returns a client that has been answered over TLS.
func dialTLS(t *testing.T, n *cluster.Node, cfg *tls.Config) (*lineClient, error) {
	t.Helper()
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	conn, err := tls.DialWithDialer(dialer, "tcp", n.Addr(), cfg)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { conn.Close() })
	check(t, conn.SetDeadline(time.Now().Add(60*time.Second)))
	c := &lineClient{conn, bufio.NewReader(conn)}
	c.send(t, "PING")
	if got := c.line(t); got != "+PONG" {
		return nil, fmt.Errorf("PING is answered %q", got)
	}
	return c, nil
}

func readyz(n *cluster.Node) error {
	resp, err := http.Get("http://" + n.MetricsAddr() + "/readyz")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", n.Name, resp.Status)
	}
	return nil
}

// clientTLS trusts the authority in dir and shows the certificate called name, if it is not empty.
func clientTLS(t *testing.T, dir, name string) *tls.Config {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(must(os.ReadFile(filepath.Join(dir, "ca.pem")))(t))
	cfg := &tls.Config{RootCAs: roots}
	if name != "" {
		cert := must(tls.LoadX509KeyPair(filepath.Join(dir, name+".pem"), filepath.Join(dir, name+"-key.pem")))(t)
		cfg.Certificates = []tls.Certificate{cert}
	}
	return cfg
}

// replWith returns what repl prints, on either stream, with env added to the environment.
func replWith(t *testing.T, n *cluster.Node, env []string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(within(t, 40*time.Second), replBinary, append([]string{n.GRPCAddr()}, args...)...)
	cmd.Env = append(os.Environ(), env...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	_ = cmd.Run() // some are to fail; what they say is what counts
	return out.String()
}

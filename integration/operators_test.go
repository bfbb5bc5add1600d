package integration

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// Operators can be known by their certificates, such as "make certs" makes, instead of by tokens.
func TestOperatorsWithCertificates(t *testing.T) {
	t.Parallel()
	certs, others := t.TempDir(), t.TempDir()
	for _, dir := range []string{certs, others} {
		out, err := exec.CommandContext(within(t, 120*time.Second), "go", "run", "./makecerts", "-dir", dir, "127.0.0.1").CombinedOutput()
		if err != nil || !strings.Contains(string(out), "client-key.pem") {
			t.Fatalf("%v: %s", err, out)
		}
	}
	pem := func(dir, name string) string { return filepath.Join(dir, name+".pem") }
	c := newCluster(t, cluster.Options{Size: 1, Flags: []string{
		"-grpcCert", pem(certs, "node"), "-grpcKey", pem(certs, "node-key"), "-grpcCA", pem(certs, "ca")}})
	n := c.Nodes[0]
	check(t, n.Backend.StartReady(within(t, 40*time.Second)))
	check(t, n.Start())
	eventually(t, 60*time.Second, func() error { return readyz(n) })

	as := func(trusted, dir string) []string {
		env := []string{"NEXUS_TLS_CA=" + pem(trusted, "ca")}
		if dir != "" {
			env = append(env, "NEXUS_TLS_CERT="+pem(dir, "client"), "NEXUS_TLS_KEY="+pem(dir, "client-key"))
		}
		return env
	}
	for name, tc := range map[string]struct {
		env []string
		ok  bool
	}{
		"an operator":                 {as(certs, certs), true},
		"no certificate":              {as(certs, ""), false},
		"one of another authority":    {as(certs, others), false},
		"who does not trust the node": {as(others, certs), false},
		"no TLS":                      {nil, false},
	} {
		for _, verb := range []string{"status", "snapshot"} {
			out := replWith(t, n, tc.env, verb)
			if ok := strings.Contains(out, "Serving:") || strings.Contains(out, "Snapshot at log index"); ok != tc.ok {
				t.Errorf("%s, %s: %s", name, verb, out)
			}
		}
	}
}

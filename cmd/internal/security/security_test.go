package security

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nexus-replication/nexus/integration/cluster"
)

func TestCheck(t *testing.T) {
	files := Files{Cert: "c", Key: "k", CA: "a"}
	everywhere := Listening{Bind: "0.0.0.0", Proxy: true, Metrics: true}
	for _, tc := range []struct {
		name   string
		opts   Options
		listen Listening
		want   string
	}{
		{"on this machine nothing is asked for", Options{}, Listening{Bind: "127.0.0.1", Proxy: true}, ""},
		{"localhost", Options{}, Listening{Bind: "localhost", Proxy: true}, ""},
		{"IPv6", Options{}, Listening{Bind: "::1", Proxy: true}, ""},
		{"beyond it, nodes must know each other", Options{}, everywhere, "-nexus-peer-cert, -nexus-peer-key and -nexus-peer-ca"},
		{"and clients", Options{Peers: files}, everywhere, "passwords or certificates for its clients"},
		{"and operators", Options{Peers: files, Proxy: files}, everywhere, "-grpcToken, or -grpcCA"},
		{"and monitoring", Options{Peers: files, Proxy: files, GRPC: files}, everywhere, "-metricsToken, or -metricsPort 0"},
		{"all known", Options{Peers: files, Proxy: files, GRPC: files, MetricsToken: "m"}, everywhere, ""},
		{"by token", Options{Peers: files, Proxy: files, AdminToken: "t", MetricsToken: "m"}, everywhere, ""},
		{"no port for monitoring", Options{Peers: files, Proxy: files, GRPC: files}, Listening{Bind: "0.0.0.0", Proxy: true}, ""},
		{"by password", Options{Peers: files, AdminToken: "t"}, Listening{Bind: "10.0.0.1", Proxy: true, ClientsKnown: true}, ""},
		{"no port for clients", Options{Peers: files, AdminToken: "t"}, Listening{Bind: "10.0.0.1"}, ""},
		{"consent", Options{Insecure: true}, everywhere, ""},
		{"a certificate without its key", Options{GRPC: Files{Cert: "c"}}, everywhere, "flag -grpcCert and -grpcKey go together"},
		{"an authority without a certificate", Options{Proxy: Files{CA: "a"}}, everywhere, "flag -proxyCA is given without -proxyCert"},
		{"peers without an authority", Options{Peers: Files{Cert: "c", Key: "k"}}, everywhere, "flag -nexus-peer-ca is missing"},
		{"a token for looking alone", Options{ReadToken: "r"}, Listening{Bind: "127.0.0.1"}, "without -grpcToken"},
		{"twice the same token", Options{ReadToken: "r", AdminToken: "r"}, Listening{Bind: "127.0.0.1"}, "the same as -grpcToken"},
	} {
		err := tc.opts.Check(tc.listen)
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v, want %q", tc.name, err, tc.want)
		}
		if err != nil && (strings.Contains(err.Error(), `"r"`)) {
			t.Errorf("%s: %v tells a secret", tc.name, err)
		}
	}
}

// A listener and a client go on with the last good pair of files.
func TestFilesHalfReplaced(t *testing.T) {
	dir, later := t.TempDir(), t.TempDir()
	for _, d := range []string{dir, later} {
		if err := cluster.WriteCertificates(d, "127.0.0.1"); err != nil {
			t.Fatal(err)
		}
	}
	pem := func(dir, name string) string { return filepath.Join(dir, name+".pem") }
	files := Files{Cert: pem(dir, "node"), Key: pem(dir, "node-key"), CA: pem(dir, "ca")}
	server, toClients, err := files.Server("grpc", slog.New(slog.DiscardHandler))
	if err != nil || toClients == nil {
		t.Fatalf("server: %v, %v", toClients, err)
	}
	client, toServers, err := files.Client("backend", slog.New(slog.DiscardHandler))
	if err != nil || toServers == nil {
		t.Fatalf("client: %v, %v", toServers, err)
	}
	before := toClients.Current()
	data, err := os.ReadFile(pem(later, "node"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(files.Cert, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := server.GetCertificate(nil); err != nil || got != before {
		t.Errorf("the server shows %v, %v", got, err)
	}
	if got, err := client.GetClientCertificate(nil); err != nil || !got.Leaf.Equal(before.Leaf) {
		t.Errorf("the client shows %v, %v", got, err)
	}
	if _, _, err := files.Server("grpc", slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a node starts with a certificate and another's key")
	}
}

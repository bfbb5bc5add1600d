package raft

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// authority signs certificates for tests.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	next int64
	// early is how much sooner certificates end than an hour from now.
	early time.Duration
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir(), next: 1}
	a.cert, a.key = a.make(&x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, "ca")
	return a
}

func (a *authority) file(name string) string { return filepath.Join(a.dir, name+".pem") }

// make writes a certificate and its key into files called name and name-key.
func (a *authority) make(template *x509.Certificate, name string) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(a.next)
	a.next++
	template.Subject = pkix.Name{CommonName: name}
	template.NotBefore, template.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(time.Hour-a.early)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{name: {Type: "CERTIFICATE", Bytes: der}, name + "-key": {Type: "EC PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(a.file(file), pem.EncodeToMemory(block), 0o600); err != nil {
			a.t.Fatal(err)
		}
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert, key
}

// node returns files for a node on this machine.
func (a *authority) node(name string) *TLSFiles {
	a.make(&x509.Certificate{
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, name)
	return &TLSFiles{Cert: a.file(name), Key: a.file(name + "-key"), CA: a.file("ca")}
}

// A cluster with certificates replicates, sends snapshots, and lets nobody in without one.
func TestTLS(t *testing.T) {
	ca := newAuthority(t)
	files := ca.node("node")
	c := newTestCluster(t, 3, func(cfg *Config) {
		cfg.TLS = files
		cfg.NodeURL = secure(cfg.NodeURL)
		for i := range cfg.ClusterURLs {
			cfg.ClusterURLs[i] = secure(cfg.ClusterURLs[i])
		}
		cfg.SnapshotCount = 20
	})
	behind := (c.leader() + 1) % 3
	c.stop(behind)
	for i := range 60 {
		c.propose((behind+1)%3, "k="+strings.Repeat("x", i))
	}
	// The certificate is read again for each connection: that of this restart is another one.
	ca.node("node")
	c.start(behind)
	c.converged()
	c.propose(behind, "k=last")
	for i := range 3 {
		if got := c.read(i, "k"); got != "last" {
			t.Errorf("node %d reads %q", i, got)
		}
	}

	url := secure(c.urls[0]) + pathIdentity
	stranger := newAuthority(t)
	for name, cfg := range map[string]*tls.Config{
		"no certificate":              {RootCAs: pool(ca)},
		"one of another authority":    {RootCAs: pool(ca), Certificates: []tls.Certificate{load(t, stranger.node("node"))}},
		"does not know our authority": {RootCAs: pool(stranger), Certificates: []tls.Certificate{load(t, files)}},
	} {
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: cfg}}
		if resp, err := client.Get(url); err == nil {
			resp.Body.Close()
			t.Errorf("%s: a stranger is answered %s", name, resp.Status)
		}
		client.CloseIdleConnections()
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool(ca), Certificates: []tls.Certificate{load(t, files)}}}}
	resp, err := client.Get(url)
	if err != nil {
		t.Fatalf("a node with a certificate is not answered: %v", err)
	}
	resp.Body.Close()
	client.CloseIdleConnections()
}

// Members go on with each other while the files of one are half replaced, also with one that was started again meanwhile.
func TestTLSHalfReplaced(t *testing.T) {
	ca := newAuthority(t)
	unused := []*TLSFiles{ca.node("a"), ca.node("b"), ca.node("c")}
	files := make(map[string]*TLSFiles)
	var mu sync.Mutex // nodes start together
	c := newTestCluster(t, 3, func(cfg *Config) {
		unhurried(cfg) // handshakes take long on a busy machine, and who misses its leader for long refuses
		cfg.NodeURL = secure(cfg.NodeURL)
		for i := range cfg.ClusterURLs {
			cfg.ClusterURLs[i] = secure(cfg.ClusterURLs[i])
		}
		mu.Lock()
		defer mu.Unlock()
		if files[cfg.NodeURL] == nil {
			files[cfg.NodeURL], unused = unused[0], unused[1:]
		}
		cfg.TLS = files[cfg.NodeURL]
	})
	for _, behind := range []int{1, 0} { // a follower's files, the leader's
		leader := c.leader()
		half, other := (leader+behind)%3, (leader+2)%3
		of := files[secure(c.urls[half])]
		key, err := os.ReadFile(of.Key)
		if err != nil {
			t.Fatal(err)
		}
		ca.node(strings.TrimSuffix(filepath.Base(of.Cert), ".pem"))
		newKey, err := os.ReadFile(of.Key)
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, of.Key, key) // the certificate is new, its key is not
		c.stop(other)
		c.start(other)
		want := fmt.Sprint("half", half)
		c.propose(half, "k="+want)
		c.propose(other, "j="+want)
		c.converged()
		for i := range 3 {
			if got := c.read(i, "k") + c.read(i, "j"); got != want+want {
				t.Errorf("node %d reads %q", i, got)
			}
		}
		writeFile(t, of.Key, newKey)
	}
}

// Nodes with TLS and nodes without tell each other apart, and those whose certificate has ended.
func TestTLSThatCannotWork(t *testing.T) {
	ca := newAuthority(t)
	node := func(url string, files *TLSFiles) *Replicator {
		c := &testCluster{t: t, urls: []string{url}, dirs: []string{t.TempDir()}, stores: []*mapStore{newMapStore()}}
		cfg := c.config(0)
		cfg.TLS = files
		r, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.listen(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			r.cancel(ErrStopped)
			if err := r.release(); err != nil {
				t.Error(err)
			}
		})
		return r
	}
	plain := node(freeURL(t), nil)
	secret := node(secure(freeURL(t)), ca.node("a"))
	ca.early = 2 * time.Hour
	ended := node(secure(freeURL(t)), ca.node("b"))
	for _, tc := range []struct {
		asks *Replicator
		url  string
		want string
	}{
		{plain, strings.Replace(secret.cfg.NodeURL, "https://", "http://", 1), "wants TLS, this node has none"},
		{secret, secure(plain.cfg.NodeURL), "has no TLS, this node has"},
		{secret, ended.cfg.NodeURL, "shows a certificate that is valid from "},
		{ended, secret.cfg.NodeURL, "refuses the certificate of this node: tls: expired certificate"},
	} {
		if _, err := tc.asks.introduce(t.Context(), tc.url); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", tc.url, err, tc.want)
		}
	}
}

// A URL with the port of a gRPC server, or of a database, is told to be one.
func TestWrongPort(t *testing.T) {
	c := newTestCluster(t, 1, nil)
	for _, says := range []string{"\x00\x00\x00\x04\x00\x00\x00\x00\x00", "-ERR unknown command 'GET'\r\n"} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		var server sync.WaitGroup
		server.Go(func() {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, 1<<10)) // what is said before the question counts for no answer
			_, _ = io.WriteString(conn, says)     // the asker notices what is missing
			_ = conn.Close()
		})
		_, err = c.nodes[0].introduce(t.Context(), "http://"+l.Addr().String())
		_ = l.Close()
		server.Wait()
		if err == nil || !strings.Contains(err.Error(), "is not for other nodes") {
			t.Errorf("%q: %v", says, err)
		}
	}
}

func writeFile(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func secure(url string) string { return strings.Replace(url, "http://", "https://", 1) }

func pool(a *authority) *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

func load(t *testing.T, f *TLSFiles) tls.Certificate {
	t.Helper()
	cert, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func TestTLSConfig(t *testing.T) {
	files := newAuthority(t).node("node")
	base := NewConfig()
	base.Store, base.DataDir = newMapStore(), t.TempDir()
	base.NodeURL, base.ClusterURLs = "https://127.0.0.1:1", []string{"https://127.0.0.1:1"}
	base.TLS = files
	for _, tc := range []struct {
		change func(*Config)
		want   string
	}{
		{func(*Config) {}, ""},
		{func(c *Config) { c.TLS = nil }, "want http://127.0.0.1:1, or certificates"},
		{func(c *Config) { c.NodeURL = "http://127.0.0.1:1" }, "want https://127.0.0.1:1"},
		{func(c *Config) { c.TLS = &TLSFiles{Cert: files.Cert} }, "want a certificate, its key and"},
		{func(c *Config) { c.TLS = &TLSFiles{Cert: files.Cert, Key: files.Key, CA: files.CA + ".no"} }, "no such file"},
		{func(c *Config) { c.TLS = &TLSFiles{Cert: files.CA, Key: files.Key, CA: files.CA} }, "does not match"},
	} {
		cfg := base
		tc.change(&cfg)
		r, err := New(cfg)
		if tc.want == "" {
			if err != nil {
				t.Error(err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("got %v, want %q", err, tc.want)
		}
		if r != nil {
			_ = r.Stop(context.Background())
		}
	}
}

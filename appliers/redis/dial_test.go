package redis

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/raft"
)

// certificate writes one for 127.0.0.1 that has signed itself, and returns who trusts it.
func certificate(t testing.TB) (cert, key string, trust *tls.Config) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool := x509.NewCertPool()
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool.AddCert(parsed)
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key, &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
}

// startTLS is a server with a port for TLS beside the plain one, and the configuration to reach it there.
func startTLS(t testing.TB) (*server, Config) {
	t.Helper()
	cert, key, trust := certificate(t)
	addr, port := freePort(t)
	s := startServer(t, "--tls-port", port, "--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", cert, "--tls-replication", "yes")
	cfg := testConfig(addr)
	cfg.TLS = trust
	return s, cfg
}

func startUnix(t testing.TB) (*server, Config) {
	t.Helper()
	dir, err := os.MkdirTemp("", "nx") // a path of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	return startServer(t, "--unixsocket", socket), testConfig("unix:" + socket)
}

// Everything that a node does with its backend works over TLS and over a unix socket.
func TestOtherWaysToTheBackend(t *testing.T) {
	for name, start := range map[string]func(testing.TB) (*server, Config){"TLS": startTLS, "unix": startUnix} {
		t.Run(name, func(t *testing.T) {
			s, cfg := start(t)
			b := openBackend(t, cfg)
			mustApply(t, b, entry(1, op("SET", "k", strings.Repeat("x", 3<<20))))
			data := takeSnapshot(t, b)
			replies, done, err := b.ReadAs(context.Background(), RESP2, 0, command("STRLEN", "k"), 1)
			if err != nil || done != 1 || string(replies) != ":3145728\r\n" {
				t.Errorf("read %q, %d, %v", replies, done, err)
			}
			sub, err := b.Subscriber(context.Background(), RESP2)
			if err != nil {
				t.Fatal(err)
			}
			_ = sub.Close()

			mustApply(t, b, entry(2, op("SET", "k", "later")))
			if err := b.Restore(context.Background(), testID, snapshotOf(data, 1)); err != nil {
				t.Fatal(err)
			}
			if got := s.do(0, "STRLEN", "k"); got != ":3145728\r\n" {
				t.Errorf("after the restore: %q", got)
			}
			isItself(t, s)
		})
	}
}

func TestTLSOfAStranger(t *testing.T) {
	_, cfg := startTLS(t)
	_, _, cfg.TLS = certificate(t)
	b := newBackend(t, cfg)
	ctx, cancel := context.WithTimeout(context.Background(), 40*time.Second)
	defer cancel()
	if _, err := b.Open(ctx, testID); err == nil || !strings.Contains(err.Error(), "TLS with the backend") {
		t.Errorf("got %v", err)
	}
}

func TestSocketErrors(t *testing.T) {
	for addr, want := range map[string]string{"unix:": "want unix: and the path of a socket", "host": "want host:port"} {
		cfg := testConfig(addr)
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", addr, err)
		}
	}
	cfg := testConfig("unix:/run/x")
	cfg.TLS = &tls.Config{}
	if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), "does not go with TLS") {
		t.Errorf("got %v", err)
	}
}

// A plain server does not answer a greeting of TLS: who asks for that is told which setting it is.
func TestTLSToAPlainServer(t *testing.T) {
	s := startServer(t)
	cfg := testConfig(s.addr)
	cfg.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	_, err := newBackend(t, cfg).Open(context.Background(), testID)
	if err == nil || !strings.Contains(err.Error(), "leave out -redisTLS") {
		t.Errorf("got %v", err)
	}
}

// Nor does a server of something else speak RESP.
func TestNoRedisServer(t *testing.T) {
	addr := startStranger(t, "HTTP/1.1 400 Bad Request\r\n\r\n")
	_, err := newBackend(t, testConfig(addr)).Open(context.Background(), testID)
	if err == nil || !strings.Contains(err.Error(), "is it a redis-server, and without TLS?") {
		t.Errorf("got %v", err)
	}
}

// A server of MySQL's protocol greets whoever comes. It is none for which the node would wait.
func TestMariaDBIsNoRedisServer(t *testing.T) {
	addr := startStranger(t, "J\x00\x00\x00\x0a11.8.2-MariaDB\x00\x05\x00\x00\x00abcdefgh\x00")
	for name, set := range map[string]func(*Config){
		"plain":           func(*Config) {},
		"with a password": func(c *Config) { c.Password = "secret" },
		"with TLS":        func(c *Config) { c.TLS = &tls.Config{MinVersion: tls.VersionTLS12} },
	} {
		cfg := testConfig(addr)
		set(&cfg)
		_, err := newBackend(t, cfg).Open(context.Background(), testID)
		var fatal *raft.FatalError
		want := "backend " + addr + " is a server of MySQL or MariaDB, where a redis-server is wanted: correct -redisHost and -redisPort"
		if !errors.As(err, &fatal) || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", name, err, want)
		}
	}
}

// startStranger starts a server that says something to everybody, and nothing else.
func startStranger(t *testing.T, greeting string) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			_, _ = nc.Write([]byte(greeting))
		}
	}()
	return ln.Addr().String()
}

package certificate

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// files are a certificate and its key on disk.
type files struct {
	t         *testing.T
	cert, key string
}

func newFiles(t *testing.T) *files {
	t.Helper()
	dir := t.TempDir()
	return &files{t, filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")}
}

// made returns a new certificate with a serial number, and its key.
func (f *files) made(serial int64) (cert, key []byte) {
	f.t.Helper()
	return f.madeFor(serial, time.Time{}, time.Unix(2_000_000_000+serial, 0))
}

func (f *files) madeFor(serial int64, from, until time.Time) (cert, key []byte) {
	f.t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(f.t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), NotBefore: from, NotAfter: until}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	check(f.t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	check(f.t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
}

func (f *files) write(path string, data []byte) {
	f.t.Helper()
	check(f.t, os.WriteFile(path, data, 0o600))
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// gathered are the metrics of s, which all have its port.
func gathered(t *testing.T, s *Source) string {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	check(t, registry.Register(s))
	families, err := registry.Gather()
	check(t, err)
	var texts []string
	for _, f := range families {
		m := f.GetMetric()[0]
		if label := m.GetLabel()[0]; label.GetName() != "port" || label.GetValue() != "proxy" {
			t.Errorf("%s has the label %v", f.GetName(), label)
		}
		texts = append(texts, fmt.Sprintf("%s %.0f", f.GetName(), m.GetGauge().GetValue()))
	}
	return strings.Join(texts, ", ")
}

func TestLastGoodPairIsKept(t *testing.T) {
	f := newFiles(t)
	cert, key := f.made(1)
	f.write(f.cert, cert)
	f.write(f.key, key)
	var log bytes.Buffer
	s, err := Open("proxy", f.cert, f.key, slog.New(slog.NewTextHandler(&log, nil)))
	check(t, err)
	shows := func(when string, serial int64, unusable int) {
		t.Helper()
		if got := s.Current().Leaf.SerialNumber.Int64(); got != serial {
			t.Errorf("%s, certificate %d is shown, want %d", when, got, serial)
		}
		want := fmt.Sprintf("nexus_certificate_expiry_timestamp_seconds %d, nexus_certificate_unusable %d", 2_000_000_000+serial, unusable)
		if got := gathered(t, s); got != want {
			t.Errorf("%s, the metrics are %s, want %s", when, got, want)
		}
	}
	warnings := func(want int) {
		t.Helper()
		if got := strings.Count(log.String(), "level=WARN"); got != want {
			t.Errorf("%d warnings, want %d:\n%s", got, want, &log)
		}
	}
	shows("at first", 1, 0)
	warnings(0)

	newCert, newKey := f.made(2)
	f.write(f.cert, newCert)
	shows("with the new certificate alone", 1, 1)
	warnings(1)
	if !strings.Contains(log.String(), "private key does not match public key") {
		t.Errorf("the log does not say why:\n%s", &log)
	}
	f.write(f.key, newKey)
	shows("with both", 2, 0)
	warnings(1)
	if !strings.Contains(log.String(), "the certificate was replaced") {
		t.Errorf("the log does not tell of the new one:\n%s", &log)
	}

	check(t, os.Remove(f.key))
	shows("without a key", 2, 1)
	f.write(f.key, newKey[:len(newKey)/2])
	shows("with half a key", 2, 1)
	warnings(3)
	f.write(f.key, newKey)
	shows("with it again", 2, 0)
	warnings(3)
}

// A pair that nobody would accept, as an old one that was put back by mistake, does not replace one that everybody accepts.
func TestInvalidPairIsNotTaken(t *testing.T) {
	f := newFiles(t)
	put := func(cert, key []byte) {
		f.write(f.cert, cert)
		f.write(f.key, key)
	}
	var log bytes.Buffer
	hour := time.Now().Add(time.Hour)
	put(f.madeFor(1, time.Time{}, hour.Add(-2*time.Hour)))
	s, err := Open("proxy", f.cert, f.key, slog.New(slog.NewTextHandler(&log, nil)))
	check(t, err) // it is all there is
	shows := func(serial int64) {
		t.Helper()
		if got := s.Current().Leaf.SerialNumber.Int64(); got != serial {
			t.Errorf("certificate %d is shown, want %d", got, serial)
		}
	}
	shows(1)
	put(f.madeFor(2, time.Time{}, hour))
	shows(2)
	put(f.madeFor(3, time.Time{}, hour.Add(-2*time.Hour)))
	shows(2)
	put(f.madeFor(4, hour, hour.Add(time.Hour)))
	shows(2)
	if got := strings.Count(log.String(), "level=WARN"); got != 3 {
		t.Errorf("%d warnings, want 3:\n%s", got, &log)
	}
}

// Who shows what nobody accepts says so, once, also where it was good when it was read.
func TestEndOfPairIsTold(t *testing.T) {
	f := newFiles(t)
	end := time.Now().Add(2 * time.Second).Truncate(time.Second)
	cert, key := f.madeFor(1, time.Time{}, end)
	f.write(f.cert, cert)
	f.write(f.key, key)
	var log bytes.Buffer
	s, err := Open("proxy", f.cert, f.key, slog.New(slog.NewTextHandler(&log, nil)))
	check(t, err)
	early := log.String()
	if now := time.Now(); early != "" && now.Before(end) {
		t.Errorf("before the end: %s", early)
	}
	time.Sleep(time.Until(end.Add(time.Second)))
	for range 2 {
		s.Current()
	}
	if n := strings.Count(log.String(), "the certificate is not valid now"); n != 1 {
		t.Errorf("told %d times: %s", n, log.String())
	}
	log.Reset()
	_, err = Open("proxy", f.cert, f.key, slog.New(slog.NewTextHandler(&log, nil)))
	check(t, err)
	if !strings.Contains(log.String(), "the certificate is not valid now") {
		t.Errorf("at a start: %q", log.String())
	}
}

func TestBadPairIsRefusedAtFirst(t *testing.T) {
	f := newFiles(t)
	cert, _ := f.made(1)
	_, key := f.made(2)
	f.write(f.cert, cert)
	for _, test := range []struct{ what, want string }{{"no key", "key.pem: no such file"}, {"another's key", "does not match"}} {
		if _, err := Open("proxy", f.cert, f.key, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", test.what, err)
		}
		f.write(f.key, key)
	}
}

func TestUse(t *testing.T) {
	f := newFiles(t)
	cert, key := f.made(7)
	f.write(f.cert, cert)
	f.write(f.key, key)
	s, err := Open("proxy", f.cert, f.key, slog.New(slog.DiscardHandler))
	check(t, err)
	cfg := new(tls.Config)
	s.Use(cfg)
	server, err := cfg.GetCertificate(nil)
	if err != nil || server.Leaf.SerialNumber.Int64() != 7 {
		t.Errorf("a server shows %v, %v", server, err)
	}
	client, err := cfg.GetClientCertificate(nil)
	if err != nil || client.Leaf.SerialNumber.Int64() != 7 {
		t.Errorf("a client shows %v, %v", client, err)
	}
}

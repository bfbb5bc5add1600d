// Package certificate reads a certificate and its key from files that are replaced while the process runs.
//
// Two files cannot be replaced at once, and a renewal may go wrong. A Source goes on with the last pair that belonged
// together, and while that is valid, with no other that is not; it says so in the log, and has metrics for it.
package certificate

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Source is a certificate and its key, read again whenever somebody asks.
type Source struct {
	certFile, keyFile string
	log               *slog.Logger
	expiry, unusable  *prometheus.Desc

	mu        sync.Mutex
	pair      *tls.Certificate // the last good one
	cert, key []byte           // what it was made of
	problem   string           // of the files as they were read last; empty if they are pair
	invalid   bool             // that pair is not valid now was told
}

// Open reads a pair, which must be good, from PEM files. Name is what it is shown to, in messages and metrics.
func Open(name, certFile, keyFile string, log *slog.Logger) (*Source, error) {
	label := prometheus.Labels{"port": name}
	s := &Source{
		certFile: certFile, keyFile: keyFile,
		log: log.With("port", name, "file", certFile),
		expiry: prometheus.NewDesc("nexus_certificate_expiry_timestamp_seconds",
			"When the certificate that is shown ends, in seconds since 1970.", nil, label),
		unusable: prometheus.NewDesc("nexus_certificate_unusable",
			"1 while the files of the certificate cannot be used and the last one that could be is shown.", nil, label),
	}
	cert, key, err := s.read()
	if err != nil {
		return nil, err
	}
	if err := s.take(cert, key); err != nil {
		return nil, err
	}
	s.note(nil)
	return s, nil
}

// Current returns the pair in the files, or the last good one.
func (s *Source) Current() *tls.Certificate {
	s.mu.Lock()
	defer s.mu.Unlock()
	cert, key, err := s.read()
	if err == nil && (!bytes.Equal(cert, s.cert) || !bytes.Equal(key, s.key)) {
		if err = s.take(cert, key); err == nil {
			s.log.Info("the certificate was replaced", "until", s.pair.Leaf.NotAfter)
		}
	}
	s.note(err)
	return s.pair
}

// Use makes cfg show what is current, as a server and as a client.
func (s *Source) Use(cfg *tls.Config) {
	cfg.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.Current(), nil }
	cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return s.Current(), nil }
}

func (s *Source) read() (cert, key []byte, err error) {
	if cert, err = os.ReadFile(s.certFile); err != nil {
		return nil, nil, fmt.Errorf("read the certificate: %w", err)
	}
	if key, err = os.ReadFile(s.keyFile); err != nil {
		return nil, nil, fmt.Errorf("read the key of the certificate: %w", err)
	}
	return cert, key, nil
}

func (s *Source) take(cert, key []byte) error {
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return fmt.Errorf("%s with the key %s: %w", s.certFile, s.keyFile, err)
	}
	if now := time.Now(); s.pair != nil && isValid(s.pair, now) && !isValid(&pair, now) {
		return fmt.Errorf("%s is valid from %v until %v only", s.certFile, pair.Leaf.NotBefore, pair.Leaf.NotAfter)
	}
	s.pair, s.cert, s.key = &pair, cert, key
	return nil
}

func isValid(pair *tls.Certificate, at time.Time) bool {
	return !at.Before(pair.Leaf.NotBefore) && !at.After(pair.Leaf.NotAfter)
}

// note tells when the files become unusable, or unusable for another reason, and when what is shown stops being valid.
func (s *Source) note(err error) {
	problem := ""
	if err != nil {
		problem = err.Error()
	}
	if problem != "" && problem != s.problem {
		s.log.Warn("the files of the certificate cannot be used; the last one that could be is shown until they can", "err", problem,
			"until", s.pair.Leaf.NotAfter)
	}
	s.problem = problem
	invalid := !isValid(s.pair, time.Now())
	if invalid && !s.invalid {
		s.log.Warn("the certificate is not valid now, and nobody accepts it: replace it, or set the clock of this machine right",
			"from", s.pair.Leaf.NotBefore, "until", s.pair.Leaf.NotAfter)
	}
	s.invalid = invalid
}

// Describe implements prometheus.Collector.
func (s *Source) Describe(ch chan<- *prometheus.Desc) {
	ch <- s.expiry
	ch <- s.unusable
}

// Collect implements prometheus.Collector. It looks at the files, so that a problem shows before somebody connects.
func (s *Source) Collect(ch chan<- prometheus.Metric) {
	until := s.Current().Leaf.NotAfter
	s.mu.Lock()
	unusable := 0.0
	if s.problem != "" {
		unusable = 1
	}
	s.mu.Unlock()
	ch <- prometheus.MustNewConstMetric(s.expiry, prometheus.GaugeValue, float64(until.Unix()))
	ch <- prometheus.MustNewConstMetric(s.unusable, prometheus.GaugeValue, unusable)
}

package raft

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	tlsinfo "go.etcd.io/etcd/client/pkg/v3/transport"

	"github.com/nexus-replication/nexus/raft/certificate"
)

// TLSFiles names the PEM files with which members prove to each other that they belong together: each shows Cert, with
// its Key, and accepts only what CA has signed, on both ends of every connection. The host of a node URL must be a name
// or address in that node's certificate, which must be good for servers and for clients.
//
// Cert and Key are read anew for each connection, so that they can be replaced while the node runs; CA is read at start.
// While the two do not fit each other, as when one was replaced, the last pair that did is shown. Connections that
// rafthttp opens are the exception: it tries them again until the files fit, and takes messages the other way meanwhile.
type TLSFiles struct {
	Cert, Key, CA string
}

func (f *TLSFiles) validate() error {
	if f.Cert == "" || f.Key == "" || f.CA == "" {
		return errors.New("want a certificate, its key and the certificate of the authority")
	}
	return nil
}

// peerTLS is what the two ends of a connection between members need; all nil without TLS.
type peerTLS struct {
	info           tlsinfo.TLSInfo // for rafthttp
	server, client *tls.Config
	source         *certificate.Source
}

// unmet is why the node at url could not be asked. Texts do not change from one try to the next while the reason is the same.
func unmet(url string, err error) error {
	var invalid x509.CertificateInvalidError
	var op *net.OpError
	switch {
	case errors.Is(err, http.ErrSchemeMismatch):
		return fmt.Errorf("node %s has no TLS, this node has: all nodes of a cluster have certificates and https:// URLs, or none has", url)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && invalid.Cert != nil:
		return fmt.Errorf("node %s shows a certificate that is valid from %v until %v only: give it another, or set the clock of this machine right",
			url, invalid.Cert.NotBefore.Format(time.RFC3339), invalid.Cert.NotAfter.Format(time.RFC3339))
	case strings.Contains(err.Error(), "malformed HTTP"): // net/http has no type for it
		return fmt.Errorf("what listens at %s is not for other nodes: give the URL that its node has as its own, not the port for clients, monitoring or operators", url)
	case errors.As(err, &op) && op.Op == "remote error":
		return fmt.Errorf("node %s refuses the certificate of this node: %w", url, op.Err)
	}
	return fmt.Errorf("node %s does not answer: %w", url, err)
}

func loadPeerTLS(f *TLSFiles, log *slog.Logger) (peerTLS, error) {
	if f == nil {
		return peerTLS{}, nil
	}
	p := peerTLS{info: tlsinfo.TLSInfo{
		CertFile: f.Cert, KeyFile: f.Key, TrustedCAFile: f.CA, ClientCertAuth: true, Logger: newZap(log),
	}}
	if err := certificate.CheckAuthority(f.CA); err != nil {
		return p, fmt.Errorf("load the certificate for connections between nodes: %w", err)
	}
	var err error
	if p.source, err = certificate.Open("peers", f.Cert, f.Key, log); err != nil {
		return p, fmt.Errorf("load the certificate for connections between nodes: %w", err)
	}
	if p.server, err = p.info.ServerConfig(); err != nil {
		return p, fmt.Errorf("load the certificate for connections between nodes: %w", err)
	}
	if p.client, err = p.info.ClientConfig(); err != nil {
		return p, fmt.Errorf("load the certificate for connections between nodes: %w", err)
	}
	p.source.Use(p.server)
	p.source.Use(p.client)
	// The node has one certificate for both directions, and speaks the protocol of rafthttp only.
	p.server.NextProtos = []string{"http/1.1"}
	return p, nil
}

package security

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"

	"go.etcd.io/etcd/client/pkg/v3/transport"

	"github.com/nexus-replication/nexus/cmd/internal/settings"
	"github.com/nexus-replication/nexus/raft"
	"github.com/nexus-replication/nexus/raft/certificate"
)

// Options are the settings.
type Options struct {
	Peers    Files // between nodes
	Proxy    Files // for clients of the database
	GRPC     Files // for operators
	Insecure bool

	// AdminToken lets its bearer do anything over gRPC, ReadToken only look.
	AdminToken, ReadToken string
	// MetricsToken lets its bearer see more over HTTP than whether the node lives and is ready.
	MetricsToken string
}

// Files are PEM files.
type Files struct {
	// Cert and Key are read anew for each connection; while they do not fit, the last pair that did is shown.
	Cert, Key string
	// CA has signed the certificates that the other side must show. Empty: none is asked for.
	CA string
}

// Declare adds the settings to s.
func (o *Options) Declare(s *settings.Set) {
	file := func(name string, value *string, usage string) settings.Setting {
		return settings.Setting{Name: name, Value: settings.String(value), Usage: usage}
	}
	s.Group("Who may come; certificates and keys are PEM files, and are read again for each connection",
		file("nexus-peer-cert", &o.Peers.Cert, "Certificate of this node, for servers and for clients, with the host of its node URL. Node URLs are https then."),
		file("nexus-peer-key", &o.Peers.Key, "Its key."),
		file("nexus-peer-ca", &o.Peers.CA, "Certificate of the authority that has signed those of all nodes."),
		file("proxyCert", &o.Proxy.Cert, "Certificate for database clients, who must use TLS then."),
		file("proxyKey", &o.Proxy.Key, "Its key."),
		file("proxyCA", &o.Proxy.CA, "Certificate of the authority of database clients, who must show a certificate then."),
		file("grpcCert", &o.GRPC.Cert, "Certificate for operators, who must use TLS then: repl -tls-ca."),
		file("grpcKey", &o.GRPC.Key, "Its key."),
		file("grpcCA", &o.GRPC.CA, "Certificate of the authority of operators, who must show a certificate then."),
		settings.Setting{Name: "grpcToken", Value: settings.String(&o.AdminToken), Secret: true,
			Usage: "Token that lets its bearer do anything over gRPC; without one, whoever reaches the port may."},
		settings.Setting{Name: "grpcReadToken", Value: settings.String(&o.ReadToken), Secret: true,
			Usage: "Token that lets its bearer look, but change nothing; needs -grpcToken."},
		settings.Setting{Name: "metricsToken", Value: settings.String(&o.MetricsToken), Secret: true,
			Usage: "Token that is asked of whoever wants more over HTTP than /livez and /readyz: as a bearer token, or as the password of any user."},
		settings.Setting{Name: "insecure", Value: settings.Bool(&o.Insecure),
			Usage: "Open ports beyond this machine also where anybody who reaches them may come in."},
	)
}

// Listening says what a node opens and how its clients are known, for Check.
type Listening struct {
	Bind string
	// Proxy is false where no clients are served. ClientsKnown is true where they must give a password.
	Proxy, ClientsKnown bool
	// Metrics is false where nothing is served over HTTP.
	Metrics bool
}

// Error names the setting that is wrong.
type Error struct{ Setting, Problem, Want string }

func (e *Error) Error() string {
	return fmt.Sprintf("flag -%s %s, want %s", e.Setting, e.Problem, e.Want)
}

// Check reports what does not go together, as an *Error.
func (o *Options) Check(l Listening) error {
	for name, f := range map[string]*Files{"nexus-peer-": &o.Peers, "proxy": &o.Proxy, "grpc": &o.GRPC} {
		if err := f.check(name); err != nil {
			return err
		}
	}
	if o.Peers.Cert != "" && o.Peers.CA == "" {
		return &Error{"nexus-peer-ca", "is missing", "the authority of all nodes' certificates"}
	}
	if o.ReadToken != "" && o.AdminToken == "" {
		return &Error{"grpcReadToken", "is given without -grpcToken", "both"}
	}
	if o.ReadToken != "" && o.ReadToken == o.AdminToken {
		return &Error{"grpcReadToken", "is the same as -grpcToken", "another one"}
	}
	if o.Insecure || IsLoopback(l.Bind) {
		return nil
	}
	open := fmt.Sprintf("%q opens to other machines, for anybody, ", l.Bind)
	const consent = ", or -insecure where the network lets nobody else in"
	switch {
	case o.Peers.CA == "":
		return &Error{"bind", open + "the port of the node URL", "-nexus-peer-cert, -nexus-peer-key and -nexus-peer-ca" + consent}
	case l.Proxy && !l.ClientsKnown && o.Proxy.CA == "":
		return &Error{"bind", open + "the port of -proxyPort", "passwords or certificates for its clients" + consent}
	case o.AdminToken == "" && o.GRPC.CA == "":
		return &Error{"bind", open + "the port of -grpcPort", "-grpcToken, or -grpcCA for certificates of operators" + consent}
	case l.Metrics && o.MetricsToken == "":
		return &Error{"bind", open + "the port of -metricsPort", "-metricsToken, or -metricsPort 0 for none" + consent}
	}
	return nil
}

func (f *Files) check(prefix string) error {
	name := func(part string) string {
		if strings.HasSuffix(prefix, "-") {
			return prefix + strings.ToLower(part)
		}
		return prefix + part
	}
	switch {
	case (f.Cert == "") != (f.Key == ""):
		return &Error{name("Cert"), "and -" + name("Key") + " go together", "both or neither"}
	case f.CA != "" && f.Cert == "":
		return &Error{name("CA"), "is given without -" + name("Cert"), "both"}
	}
	return nil
}

// IsLoopback reports whether nobody on another machine reaches what is bound to host.
func IsLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// PeerFiles returns what package raft needs, or nil.
func (o *Options) PeerFiles() *raft.TLSFiles {
	if o.Peers.Cert == "" {
		return nil
	}
	return &raft.TLSFiles{Cert: o.Peers.Cert, Key: o.Peers.Key, CA: o.Peers.CA}
}

// Server returns the configuration of a listener, and the certificate that it shows; both nil where none is given. Name
// is what the certificate is called in messages and metrics.
func (f *Files) Server(name string, log *slog.Logger) (*tls.Config, *certificate.Source, error) {
	if f.Cert == "" {
		return nil, nil, nil
	}
	if err := f.checkAuthority(); err != nil {
		return nil, nil, err
	}
	info := transport.TLSInfo{CertFile: f.Cert, KeyFile: f.Key, TrustedCAFile: f.CA, ClientCertAuth: f.CA != ""}
	cfg, err := info.ServerConfig()
	if err != nil {
		return nil, nil, fmt.Errorf("load certificate %s: %w", f.Cert, err)
	}
	source, err := certificate.Open(name, f.Cert, f.Key, log)
	if err != nil {
		return nil, nil, fmt.Errorf("load certificate: %w", err)
	}
	source.Use(cfg)
	return cfg, source, nil
}

func (f *Files) checkAuthority() error {
	if f.CA == "" {
		return nil
	}
	return certificate.CheckAuthority(f.CA)
}

// Client returns the configuration of a client that trusts CA, and shows Cert if there is one, as Server does; nil where
// no file is given.
func (f *Files) Client(name string, log *slog.Logger) (*tls.Config, *certificate.Source, error) {
	if *f == (Files{}) {
		return nil, nil, nil
	}
	if (f.Cert == "") != (f.Key == "") {
		return nil, nil, errors.New("a certificate and its key go together")
	}
	if err := f.checkAuthority(); err != nil {
		return nil, nil, err
	}
	info := transport.TLSInfo{CertFile: f.Cert, KeyFile: f.Key, TrustedCAFile: f.CA}
	cfg, err := info.ClientConfig()
	if err != nil {
		return nil, nil, fmt.Errorf("load certificates: %w", err)
	}
	if f.Cert == "" {
		return cfg, nil, nil
	}
	source, err := certificate.Open(name, f.Cert, f.Key, log)
	if err != nil {
		return nil, nil, fmt.Errorf("load certificate: %w", err)
	}
	source.Use(cfg)
	return cfg, source, nil
}

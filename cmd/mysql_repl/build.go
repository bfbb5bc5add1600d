package main

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	appliers "github.com/nexus-replication/nexus/appliers/mysql"
	"github.com/nexus-replication/nexus/cmd/internal/node"
	proxy "github.com/nexus-replication/nexus/proxy/mysql"
	"github.com/nexus-replication/nexus/raft"
	"github.com/nexus-replication/nexus/raft/certificate"
)

var _ node.Definition = (*options)(nil)

// Offline implements node.Definition.
func (o *options) Offline(log *slog.Logger) (raft.Config, error) {
	backend, _, err := o.newBackend(log)
	if err != nil {
		return raft.Config{}, err
	}
	return o.raftConfig(backend, log), nil
}

// Build implements node.Definition.
func (o *options) Build(log *slog.Logger) (*node.Node, error) {
	backend, toBackend, err := o.newBackend(log)
	if err != nil {
		return nil, err
	}

	proxyCfg := proxy.NewConfig()
	proxyCfg.Advertise = o.advertised()
	proxyCfg.Account = proxy.Account{User: o.backend.User, Password: o.backend.Passwd}
	proxyCfg.LeaseReads = o.LeaseReads
	proxyCfg.Timeout, proxyCfg.LogSlower = o.Timeout, o.LogSlower
	proxyCfg.MaxConnections, proxyCfg.MaxPacket = o.maxConnections, o.maxRequest
	proxyCfg.MaxClientRate = o.maxClientRate
	proxyCfg.WriteTimeout, proxyCfg.HandshakeTimeout = o.patience, o.handshake
	proxyCfg.LockTimeout, proxyCfg.EventTimeout = o.tableLock, o.eventTimeout
	proxyCfg.TLSOptional = o.tlsOptional
	proxyCfg.Logger = log.With("part", "proxy")
	toClients, err := o.protectClients(&proxyCfg)
	if err != nil {
		return nil, err
	}

	replicator, err := raft.New(o.raftConfig(backend, log))
	if err != nil {
		return nil, err
	}
	clients, err := proxy.New(proxyCfg, replicator, backend)
	if err != nil {
		return nil, err
	}
	return &node.Node{
		Replicator:   replicator,
		Proxy:        clients,
		Read:         clients.ServeReading,
		Datastore:    proxy.NewStatements(clients, o.backend.User, o.backend.Passwd, o.backend.DBName),
		Collectors:   []prometheus.Collector{proxy.NewCollector(clients, backend)},
		Certificates: []*certificate.Source{toClients, toBackend},
		Backend:      o.backend.Addr,
	}, nil
}

// protectClients puts TLS before clients, and between a follower that hands one over and the leader. It returns the
// certificate that clients are shown, if there is one; that for other nodes is raft's.
func (o *options) protectClients(cfg *proxy.Config) (toClients *certificate.Source, err error) {
	if cfg.TLS, toClients, err = o.Security.Proxy.Server("proxy", cfg.Logger); err != nil {
		return nil, err
	}
	if cfg.PeerServer, _, err = o.Security.Peers.Server("peers", cfg.Logger); err != nil {
		return nil, err
	}
	cfg.PeerClient, _, err = o.Security.Peers.Client("peers", cfg.Logger)
	return toClients, err
}

// newBackend also returns the certificate that the backend is shown, if there is one.
func (o *options) newBackend(log *slog.Logger) (backend *appliers.Backend, shown *certificate.Source, err error) {
	cfg := appliers.NewConfig()
	cfg.Addr, cfg.Socket = o.backend.Addr, o.mysqlSocket
	cfg.User, cfg.Password = o.backend.User, o.backend.Passwd
	cfg.MaxTransactionBytes = o.maxTransaction
	cfg.Logger = log.With("part", "backend")
	if o.mysqlTLS {
		if cfg.TLS, shown, err = o.mysqlFiles.Client("backend", cfg.Logger); err != nil {
			return nil, nil, fmt.Errorf("TLS for the backend: %w", err)
		}
		if cfg.TLS == nil {
			cfg.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
		}
	}
	backend, err = appliers.New(cfg)
	return backend, shown, err
}

// applyInterval lets a follower take over several entries in one transaction of its server, which costs about as much as the rows
// of one.
const applyInterval = 20 * time.Millisecond

func (o *options) raftConfig(backend raft.Store, log *slog.Logger) raft.Config {
	cfg := o.RaftConfig(backend, log)
	// The proxy bounds each of its calls; a schema change may take longer than any of them.
	cfg.Timeout = time.Hour
	cfg.ApplyInterval = applyInterval
	cfg.MaxProposalBytes = o.maxTransaction + 1<<20 // with what sequences and others that commit at the same time add
	return cfg
}

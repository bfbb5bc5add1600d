package main

import (
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	appliers "github.com/nexus-replication/nexus/appliers/mysql"
	"github.com/nexus-replication/nexus/cmd/internal/node"
	proxy "github.com/nexus-replication/nexus/proxy/mysql"
	"github.com/nexus-replication/nexus/raft"
)

var _ node.Definition = (*options)(nil)

// Offline implements node.Definition.
func (o *options) Offline(log *slog.Logger) (raft.Config, error) {
	backend, err := o.newBackend(log)
	if err != nil {
		return raft.Config{}, err
	}
	return o.raftConfig(backend, log), nil
}

// Build implements node.Definition.
func (o *options) Build(log *slog.Logger) (*node.Node, error) {
	backend, err := o.newBackend(log)
	if err != nil {
		return nil, err
	}

	proxyCfg := proxy.NewConfig()
	proxyCfg.Advertise = o.advertised()
	proxyCfg.LeaseReads = o.LeaseReads
	proxyCfg.Timeout, proxyCfg.LogSlower = o.Timeout, o.LogSlower
	proxyCfg.MaxConnections, proxyCfg.MaxPacket = o.maxConnections, o.maxRequest
	proxyCfg.WriteTimeout, proxyCfg.HandshakeTimeout = o.patience, o.handshake
	proxyCfg.LockTimeout = o.tableLock
	proxyCfg.TLSOptional = o.tlsOptional
	proxyCfg.Logger = log.With("part", "proxy")
	if err := o.protectClients(&proxyCfg); err != nil {
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
		Replicator: replicator,
		Proxy:      clients,
		Read:       clients.ServeReading,
		Datastore:  proxy.NewStatements(clients, o.backend.User, o.backend.Passwd, o.backend.DBName),
		Collectors: []prometheus.Collector{proxy.NewCollector(clients, backend)},
		Backend:    o.backend.Addr,
	}, nil
}

// protectClients puts TLS before clients, and between a follower that hands one over and the leader.
func (o *options) protectClients(cfg *proxy.Config) (err error) {
	if cfg.TLS, err = o.Security.Proxy.Server(); err != nil {
		return err
	}
	if cfg.PeerServer, err = o.Security.Peers.Server(); err != nil {
		return err
	}
	cfg.PeerClient, err = o.Security.Peers.Client()
	return err
}

func (o *options) newBackend(log *slog.Logger) (*appliers.Backend, error) {
	cfg := appliers.NewConfig()
	cfg.Addr = o.backend.Addr
	cfg.User, cfg.Password = o.backend.User, o.backend.Passwd
	cfg.MaxTransactionBytes = o.maxTransaction
	cfg.Logger = log.With("part", "backend")
	return appliers.New(cfg)
}

func (o *options) raftConfig(backend raft.Store, log *slog.Logger) raft.Config {
	cfg := o.RaftConfig(backend, log)
	// The proxy bounds each of its calls; a schema change may take longer than any of them.
	cfg.Timeout = time.Hour
	cfg.MaxProposalBytes = o.maxTransaction + 1<<20 // with what sequences and others that commit at the same time add
	return cfg
}

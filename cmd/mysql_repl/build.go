package main

import (
	"encoding/json"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	appliers "github.com/nexus-replication/nexus/appliers/mysql"
	"github.com/nexus-replication/nexus/cmd/internal/node"
	"github.com/nexus-replication/nexus/proxy/admin"
	proxy "github.com/nexus-replication/nexus/proxy/mysql"
	"github.com/nexus-replication/nexus/raft"
)

// maxTransactionBytes bounds the rows of one transaction.
const maxTransactionBytes = 256 << 20

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
	events := admin.NewEvents(log.Handler())
	log = slog.New(events)
	backend, err := o.newBackend(log)
	if err != nil {
		return nil, err
	}

	proxyCfg := proxy.NewConfig()
	proxyCfg.Advertise = o.advertised()
	proxyCfg.LeaseReads = o.LeaseReads
	proxyCfg.Timeout = o.Timeout
	proxyCfg.MaxConnections = o.maxConnections
	proxyCfg.TLSOptional = o.tlsOptional
	proxyCfg.Logger = log.With("part", "proxy")
	if err := o.protectClients(&proxyCfg); err != nil {
		return nil, err
	}

	var web *admin.HTTPServer
	raftCfg := o.raftConfig(backend, log)
	raftCfg.About = func() json.RawMessage { return web.About() }
	replicator, err := raft.New(raftCfg)
	if err != nil {
		return nil, err
	}
	clients, err := proxy.New(proxyCfg, replicator, backend)
	if err != nil {
		return nil, err
	}

	adminCfg := admin.NewConfig()
	adminCfg.Node = replicator
	adminCfg.Datastore = proxy.NewStatements(clients, o.backend.User, o.backend.Passwd, o.backend.DBName)
	adminCfg.Version = version
	adminCfg.Timeout = o.Timeout
	adminCfg.Tokens = admin.Tokens{Admin: o.security.AdminToken, Read: o.security.ReadToken}
	if adminCfg.TLS, err = o.security.GRPC.Server(); err != nil {
		return nil, err
	}
	adminCfg.Logger = log.With("part", "admin")
	operators, err := admin.New(adminCfg)
	if err != nil {
		return nil, err
	}
	web = admin.NewHTTP(admin.HTTPConfig{
		Node:       replicator,
		Build:      admin.Build{Version: version, Commit: commit, Date: date},
		Collectors: []prometheus.Collector{proxy.NewCollector(clients, backend), replicator.Collector()},
		Events:     events,
		Logger:     adminCfg.Logger,
	})
	return &node.Node{
		Log:        log,
		Replicator: replicator,
		Proxy:      clients,
		Read:       clients.ServeReading,
		Admin:      operators,
		HTTP:       web,
		Backend:    o.backend.Addr,
	}, nil
}

// protectClients puts TLS before clients, and between a follower that hands one over and the leader.
func (o *options) protectClients(cfg *proxy.Config) (err error) {
	if cfg.TLS, err = o.security.Proxy.Server(); err != nil {
		return err
	}
	if cfg.PeerServer, err = o.security.Peers.Server(); err != nil {
		return err
	}
	cfg.PeerClient, err = o.security.Peers.Client()
	return err
}

func (o *options) newBackend(log *slog.Logger) (*appliers.Backend, error) {
	cfg := appliers.NewConfig()
	cfg.Addr = o.backend.Addr
	cfg.User, cfg.Password = o.backend.User, o.backend.Passwd
	cfg.Logger = log.With("part", "backend")
	return appliers.New(cfg)
}

func (o *options) raftConfig(backend raft.Store, log *slog.Logger) raft.Config {
	cfg := o.RaftConfig(backend, log)
	cfg.TLS = o.security.PeerFiles()
	// The proxy bounds each of its calls; a schema change may take longer than any of them.
	cfg.Timeout = time.Hour
	cfg.MaxProposalBytes = maxTransactionBytes
	return cfg
}

package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	appliers "github.com/nexus-replication/nexus/appliers/redis"
	"github.com/nexus-replication/nexus/cmd/internal/node"
	"github.com/nexus-replication/nexus/proxy/admin"
	proxy "github.com/nexus-replication/nexus/proxy/redis"
	"github.com/nexus-replication/nexus/proxy/redis/guard"
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
	events := admin.NewEvents(log.Handler())
	log = slog.New(events)
	backend, err := o.newBackend(log)
	if err != nil {
		return nil, err
	}

	proxyCfg := proxy.NewConfig()
	proxyCfg.Databases, proxyCfg.ReservedDB = databases, o.metadataDB
	proxyCfg.Version = version
	proxyCfg.Password, proxyCfg.UsersFile = o.proxyPassword, o.usersFile
	proxyCfg.Limits, proxyCfg.MaxClientRate = o.limits.guard(), o.limits.rate
	proxyCfg.Timeout = o.Timeout
	proxyCfg.Logger = log.With("part", "proxy")

	raftCfg := o.raftConfig(backend, log)
	var web *admin.HTTPServer
	raftCfg.About = func() json.RawMessage { return web.About() }
	raftCfg.Sequencer = proxy.NewSequencer(proxyCfg, backend)
	replicator, err := raft.New(raftCfg)
	if err != nil {
		return nil, err
	}
	proxyCfg.Verifier = replicator
	clients, err := proxy.New(proxyCfg, replicator, backend)
	if err != nil {
		return nil, err
	}
	clientTLS, err := o.security.Proxy.Server()
	if err != nil {
		return nil, err
	}

	adminCfg := admin.NewConfig()
	adminCfg.Node = replicator
	adminCfg.Datastore = proxy.NewScripts(replicator, backend, proxy.ScriptsConfig{Databases: databases, ReservedDB: o.metadataDB})
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
	var reload func() error
	if o.usersFile != "" {
		reload = clients.LoadUsers
	}
	web = admin.NewHTTP(admin.HTTPConfig{
		Node:       replicator,
		Build:      admin.Build{Version: version, Commit: commit, Date: date},
		Collectors: []prometheus.Collector{clients.Collector(), backend.Collector(), replicator.Collector()},
		Events:     events,
		Logger:     adminCfg.Logger,
	})
	return &node.Node{
		Reload:     reload,
		Log:        log,
		Replicator: replicator,
		Proxy:      clients,
		Admin:      operators,
		HTTP:       web,
		Backend:    o.redisAddr(),
		Secure:     secure(clientTLS, o.limits.handshake),
		Background: expire(proxy.NewExpirer(proxyCfg, replicator, backend), log),
	}, nil
}

// secure returns what puts TLS behind a listener, or nil without a configuration.
func secure(cfg *tls.Config, handshakeTimeout time.Duration) func(net.Listener) net.Listener {
	if cfg == nil {
		return nil
	}
	return func(ln net.Listener) net.Listener { return guard.NewTLSListener(ln, cfg, handshakeTimeout) }
}

// expire ends with the replicator; without it, keys would only expire when somebody meets them.
func expire(expirer *proxy.Expirer, log *slog.Logger) func() {
	return func() {
		if err := expirer.Run(context.Background()); err != nil {
			log.Error("expirer stopped", "err", err)
		}
	}
}

func (o *options) newBackend(log *slog.Logger) (*appliers.Backend, error) {
	cfg := appliers.NewConfig()
	cfg.Addr = o.redisAddr()
	cfg.Username, cfg.Password = o.redisUsername, o.redisPassword
	if o.redisTLS {
		files, err := o.redisFiles.Client()
		if err != nil {
			return nil, fmt.Errorf("TLS for the backend: %w", err)
		}
		if files == nil {
			files = &tls.Config{MinVersion: tls.VersionTLS12}
		}
		cfg.TLS = files
	}
	cfg.Databases, cfg.MetadataDB = databases, o.metadataDB
	cfg.Require = proxy.Requires()
	cfg.Logger = log.With("part", "backend")
	return appliers.New(cfg)
}

func (o *options) raftConfig(backend raft.Store, log *slog.Logger) raft.Config {
	cfg := o.RaftConfig(backend, log)
	cfg.TLS = o.security.PeerFiles()
	return cfg
}

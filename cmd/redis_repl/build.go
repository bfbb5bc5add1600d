package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	appliers "github.com/nexus-replication/nexus/appliers/redis"
	"github.com/nexus-replication/nexus/cmd/internal/node"
	proxy "github.com/nexus-replication/nexus/proxy/redis"
	"github.com/nexus-replication/nexus/proxy/redis/guard"
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
	return o.RaftConfig(backend, log), nil
}

// Build implements node.Definition.
func (o *options) Build(log *slog.Logger) (*node.Node, error) {
	backend, toBackend, err := o.newBackend(log)
	if err != nil {
		return nil, err
	}

	proxyCfg := proxy.NewConfig()
	proxyCfg.Databases, proxyCfg.ReservedDB = databases, o.metadataDB
	proxyCfg.Version = version
	proxyCfg.Password, proxyCfg.UsersFile = o.proxyPassword, o.usersFile
	proxyCfg.Limits, proxyCfg.MaxClientRate = o.limits.guard(), o.limits.rate
	proxyCfg.HandshakeTimeout, proxyCfg.IdleTimeout = o.limits.handshake, o.limits.idle
	proxyCfg.Timeout, proxyCfg.LogSlower = o.Timeout, o.LogSlower
	proxyCfg.Logger = log.With("part", "proxy")

	raftCfg := o.RaftConfig(backend, log)
	raftCfg.Sequencer = proxy.NewSequencer(proxyCfg, backend)
	raftCfg.CommandVersion, raftCfg.CommandsInUse = appliers.CommandVersion, backend.CommandsInUse
	replicator, err := raft.New(raftCfg)
	if err != nil {
		return nil, err
	}
	proxyCfg.Verifier = replicator
	clients, err := proxy.New(proxyCfg, replicator, backend)
	if err != nil {
		return nil, err
	}
	clientTLS, toClients, err := o.Security.Proxy.Server("proxy", proxyCfg.Logger)
	if err != nil {
		return nil, err
	}

	var reload func() error
	if o.usersFile != "" {
		reload = clients.LoadUsers
	}
	return &node.Node{
		Replicator:   replicator,
		Proxy:        clients,
		Datastore:    proxy.NewScripts(replicator, backend, proxy.ScriptsConfig{Databases: databases, ReservedDB: o.metadataDB}),
		Collectors:   []prometheus.Collector{clients.Collector(), backend.Collector()},
		Certificates: []*certificate.Source{toClients, toBackend},
		Backend:      o.redisAddr(),
		Secure:       secure(clientTLS, o.limits.handshake),
		Reload:       reload,
		Background:   expire(proxy.NewExpirer(proxyCfg, replicator, backend), log),
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

// newBackend also returns the certificate that the backend is shown, if there is one.
func (o *options) newBackend(log *slog.Logger) (backend *appliers.Backend, shown *certificate.Source, err error) {
	cfg := appliers.NewConfig()
	cfg.Addr = o.redisAddr()
	cfg.Username, cfg.Password = o.redisUsername, o.redisPassword
	cfg.Databases, cfg.MetadataDB = databases, o.metadataDB
	cfg.Require = proxy.Requires()
	cfg.Logger = log.With("part", "backend")
	if o.redisTLS {
		if cfg.TLS, shown, err = o.redisFiles.Client("backend", cfg.Logger); err != nil {
			return nil, nil, fmt.Errorf("TLS for the backend: %w", err)
		}
		if cfg.TLS == nil {
			cfg.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
		}
	}
	backend, err = appliers.New(cfg)
	return backend, shown, err
}

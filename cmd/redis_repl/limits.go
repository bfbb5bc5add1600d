package main

import (
	"time"

	"github.com/nexus-replication/nexus/cmd/internal/settings"
	"github.com/nexus-replication/nexus/proxy/redis/guard"
)

// limits bound what clients may take of a node.
type limits struct {
	clients   int
	request   int // bytes
	rate      int // commands a second
	patience  time.Duration
	handshake time.Duration
	idle      time.Duration
}

func defaultLimits() limits {
	d := guard.DefaultLimits()
	return limits{clients: d.MaxConns, request: int(d.MaxFrame), patience: d.WriteTimeout, handshake: 10 * time.Second}
}

func (l *limits) settings() []settings.Setting {
	return []settings.Setting{
		{Name: "maxClients", Value: settings.Int(&l.clients, 1, 1_000_000),
			Usage: "Number of Redis clients at one time; more get \"max number of clients reached\"."},
		{Name: "maxRequest", Value: settings.Int(&l.request, 1<<16, 1<<34),
			Usage: "Bytes of one request of a Redis client; a longer one is an error and its connection is closed. One argument has 512 MiB at most."},
		{Name: "maxClientRate", Value: settings.Int(&l.rate, 0, 100_000_000),
			Usage: "Commands a second of one Redis client, of which one second's worth may come at once; what is more waits. 0 for no limit."},
		{Name: "slowClientTimeout", Value: settings.Duration(&l.patience, 100*time.Millisecond, time.Hour),
			Usage: "Time for which a Redis client may take nothing of what is sent to it before it is closed. Meanwhile no more is read from it, so replies do not pile up."},
		{Name: "handshakeTimeout", Value: settings.Duration(&l.handshake, 100*time.Millisecond, time.Hour),
			Usage: "Time that a Redis client may take for the TLS handshake, and then to log in where it must."},
		{Name: "idleTimeout", Value: settings.Duration(&l.idle, 0, 1000*time.Hour),
			Usage: "Time after which a Redis client is closed that asks for nothing and is not subscribed; 0s for never."},
	}
}

// guard returns the limits for the listener.
func (l *limits) guard() guard.Limits {
	g := guard.DefaultLimits()
	g.MaxConns, g.MaxFrame, g.WriteTimeout = l.clients, int64(l.request), l.patience
	g.MaxBulk = min(g.MaxBulk, g.MaxFrame)
	return g
}

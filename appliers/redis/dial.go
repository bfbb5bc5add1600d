package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
)

// endpoint is where the backend is, as package net takes it.
func (c *Config) endpoint() (network, address string) {
	if path, ok := strings.CutPrefix(c.Addr, "unix:"); ok {
		return "unix", path
	}
	return "tcp", c.Addr
}

// dial makes a connection, with TLS where that is asked for.
func dial(ctx context.Context, cfg *Config) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, cfg.DialTimeout)
	defer cancel()
	network, address := cfg.endpoint()
	nc, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil || cfg.TLS == nil {
		return nc, err
	}
	settings := cfg.TLS
	if settings.ServerName == "" {
		settings = settings.Clone()
		if settings.ServerName, _, err = net.SplitHostPort(address); err != nil {
			_ = nc.Close()
			return nil, err
		}
	}
	secure := tls.Client(nc, settings)
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = nc.Close()
		var plain tls.RecordHeaderError
		if errors.As(err, &plain) || errors.Is(err, context.DeadlineExceeded) { // redis-server waits for the end of a line
			return nil, fmt.Errorf("TLS with the backend %s: %w: does it speak TLS on that port (tls-port)? Else leave out -redisTLS", address, err)
		}
		return nil, fmt.Errorf("TLS with the backend %s: %w", address, err)
	}
	return secure, nil
}

//go:build !linux

package main

import (
	"io"
	"net"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// hold only looks whether a port is free: what is bound cannot be shared here.
func hold(port int) (io.Closer, error) {
	l, err := net.Listen("tcp", cluster.Address(port))
	if err != nil {
		return nil, err
	}
	if err := l.Close(); err != nil {
		return nil, err
	}
	return io.NopCloser(nil), nil
}

func holderOf(_ int, err error) holder {
	return holder{who: err.Error() + "; \"lsof -i\" shows who is there"}
}

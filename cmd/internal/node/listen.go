package node

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"
)

// listener is a port of this node, with the flag that chose it.
type listener struct {
	flag string
	port int
	net.Listener
}

func (o *Options) listeners() []listener {
	return []listener{
		{flag: "grpcPort", port: o.GRPCPort},
		{flag: "proxyPort", port: o.ProxyPort},
		{flag: "metricsPort", port: o.MetricsPort},
		{flag: "readOnlyPort", port: o.ReadPort},
	}
}

// ports are the open ones; nil for those that are not wanted.
type ports struct {
	grpc, proxy, read, metrics net.Listener
}

// listen opens all ports or none, before this node says a word to the others.
func listen(o *Options) (*ports, error) {
	var open []net.Listener
	byFlag := make(map[string]net.Listener)
	for _, l := range o.listeners() {
		if l.port == 0 {
			continue
		}
		addr := net.JoinHostPort(o.Bind, strconv.Itoa(l.port))
		ln, err := net.Listen("tcp", addr)
		if err != nil {
			for _, ln := range open {
				_ = ln.Close()
			}
			return nil, listenError(l.flag, addr, err)
		}
		open = append(open, ln)
		byFlag[l.flag] = ln
	}
	return &ports{grpc: byFlag["grpcPort"], proxy: byFlag["proxyPort"], read: byFlag["readOnlyPort"], metrics: byFlag["metricsPort"]}, nil
}

// listenError names the flag that is to be changed and how.
func listenError(flag, addr string, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("flag -%s: %s is in use by another process: stop that one, or choose another port", flag, addr)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("flag -bind: this machine has no address %s (port of -%s): choose one of its own, or 0.0.0.0 for all", addr, flag)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("flag -%s: %s may not be opened by this user: choose a port above 1023", flag, addr)
	}
	return fmt.Errorf("flag -%s: cannot listen on %s: %w", flag, addr, err)
}

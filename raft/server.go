package raft

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// listen opens the port of the node URL.
func (r *Replicator) listen() error {
	u, err := ParseNodeURL(r.cfg.NodeURL)
	if err != nil {
		return err
	}
	host := r.cfg.Bind
	if host == "" {
		host = u.Hostname()
	}
	addr := net.JoinHostPort(host, u.Port())
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("listen on %s for node URL %s: %w", addr, r.cfg.NodeURL, err)
	}
	if r.tls.server != nil {
		ln = tls.NewListener(ln, r.tls.server)
	}
	r.server = &http.Server{
		Handler:           r.handler(),
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          slog.NewLogLogger(r.log.Handler(), slog.LevelDebug),
	}
	r.spawn(func(context.Context) {
		if err := r.server.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			r.fail(fmt.Errorf("serve node URL: %w", err))
		}
	})
	return nil
}

// handler serves the node URL.
func (r *Replicator) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+pathIdentity, r.serveIdentity)
	mux.HandleFunc("POST "+pathPropose, r.ofCluster(r.servePropose))
	mux.HandleFunc("GET "+pathWait, r.ofCluster(r.serveWait))
	mux.HandleFunc("POST "+pathMembership, r.ofCluster(r.serveMembership))
	mux.HandleFunc("GET "+pathDigest, r.ofCluster(r.serveDigest))
	mux.HandleFunc("GET "+pathStatus, r.ofCluster(r.serveStatus))
	mux.HandleFunc("GET "+pathSnapshot, r.ofCluster(r.serveSnapshot))
	mux.HandleFunc("POST "+pathQuarantine, r.ofCluster(r.serveQuarantine))
	mux.HandleFunc("/", r.serveRaft)
	return mux
}

func (r *Replicator) serveRaft(w http.ResponseWriter, req *http.Request) {
	if !r.isRunning() {
		http.Error(w, r.refusalText(), http.StatusServiceUnavailable)
		return
	}
	r.transport.handler.ServeHTTP(w, req)
}

// ofCluster lets only requests of this cluster's members through.
func (r *Replicator) ofCluster(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		if !r.isRunning() {
			http.Error(w, r.refusalText(), http.StatusServiceUnavailable)
			return
		}
		if got, want := req.Header.Get(headerCluster), formatID(r.identity.Cluster); got != want {
			http.Error(w, fmt.Sprintf("request of cluster %q, this node is in cluster %s", got, want), http.StatusPreconditionFailed)
			return
		}
		next(w, req)
	}
}

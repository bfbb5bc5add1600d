package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/nexus-replication/nexus/raft"
)

// syncTimeout is how long /readyz?sync waits: less than those who probe do.
const syncTimeout = 900 * time.Millisecond

// HTTPConfig of an HTTPServer.
type HTTPConfig struct {
	Node  Node
	Build Build
	// Collectors have the metrics of the other parts of the program.
	Collectors []prometheus.Collector
	// Events are shown on the status page; may be nil.
	Events *Events
	// Token is asked of whoever wants more than to know whether the node lives and is ready; nobody is asked if it is empty.
	Token  string
	Logger *slog.Logger
}

// HTTPServer is the side for monitoring: /metrics, /livez, /readyz.
type HTTPServer struct {
	http *http.Server
	page *statusPage
}

// NewHTTP returns an HTTPServer that answers for cfg.Node.
func NewHTTP(cfg HTTPConfig) *HTTPServer {
	page := newStatusPage(cfg)
	return &HTTPServer{page: page, http: &http.Server{
		Handler: newHandler(cfg, page),
		// Whoever can reach the port can open connections; none may be kept for nothing.
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(cfg.Logger.Handler(), slog.LevelDebug),
	}}
}

// Serve answers on lis until Close. It closes lis.
func (s *HTTPServer) Serve(lis net.Listener) error {
	err := s.http.Serve(lis)
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// Close lets running requests end, until ctx is done.
func (s *HTTPServer) Close(ctx context.Context) error {
	if err := s.http.Shutdown(ctx); err != nil {
		_ = s.http.Close()
		return fmt.Errorf("close metrics: requests were broken off: %w", err)
	}
	return nil
}

func newHandler(cfg HTTPConfig, page *statusPage) http.Handler {
	registry := newRegistry(cfg.Node, cfg.Build)
	registry.MustRegister(cfg.Collectors...)
	door := newDoor(cfg.Token)
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", door.only(promhttp.HandlerFor(prometheus.Gatherers{registry, libraryGatherer{prometheus.DefaultGatherer}}, promhttp.HandlerOpts{
		MaxRequestsInFlight: 8,
		Timeout:             20 * time.Second,
	})))
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, "ok")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, req *http.Request) {
		switch problem := notReady(req, cfg.Node); {
		case problem == "":
			answer(w, http.StatusOK, "ok")
		case !door.opensTo(req):
			answer(w, http.StatusServiceUnavailable, "not ready")
		default:
			answer(w, http.StatusServiceUnavailable, problem)
		}
	})
	mux.Handle("GET /{$}", door.only(http.HandlerFunc(page.serveHTML)))
	mux.Handle("GET /status.json", door.only(http.HandlerFunc(page.serveJSON)))
	return mux
}

// notReady says why the node does not serve, or has not caught up if that is asked for.
func notReady(req *http.Request, node Node) string {
	if st := node.Status(); !st.Serving {
		return problem(st)
	}
	if req.URL.Query().Has("sync") {
		if err := catchUp(req.Context(), node); err != nil {
			return err.Error()
		}
	}
	return ""
}

// catchUp waits until this node has applied all that was acknowledged before, which a quorum must confirm.
func catchUp(ctx context.Context, node Node) error {
	ctx, cancel := context.WithTimeoutCause(ctx, syncTimeout, &raft.NoAnswerError{After: syncTimeout})
	defer cancel()
	return node.Read(ctx, func(context.Context) error { return nil })
}

func answer(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
	_, _ = io.WriteString(w, text+"\n")
}

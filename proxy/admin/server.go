package admin

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"

	"github.com/nexus-replication/nexus/proxy/admin/nexuspb"
	"github.com/nexus-replication/nexus/raft"
)

// Node is the member of the cluster that is administered.
type Node interface {
	Status() raft.Status
	// Read calls fn when everything is applied that was acknowledged before.
	Read(ctx context.Context, fn func(context.Context) error) error
	// Reports asks all members how they are.
	Reports(ctx context.Context) []raft.Report
	Members() []raft.Member
	AddMember(ctx context.Context, url string) error
	RemoveMember(ctx context.Context, url string, force bool) error
	ReplaceMember(ctx context.Context, url, by string) error
	// TransferLeadership moves the leadership to the member with the id; 0 lets the leader choose.
	TransferLeadership(ctx context.Context, id uint64) error
	Snapshot(ctx context.Context) error
	Verify(ctx context.Context) (raft.VerifyReport, error)
	Repair(ctx context.Context) error
	Backup(ctx context.Context, w io.Writer) (raft.BackupInfo, error)
}

// Datastore runs statements in the language of the backend. An error that has a method InvalidArgument() bool is the
// caller's doing; others are judged by the errors of package raft.
type Datastore interface {
	Save(ctx context.Context, data []byte, args map[string]string) ([]byte, error)
	Load(ctx context.Context, data []byte, args map[string]string) ([]byte, error)
}

// Config of a Server. NewConfig returns the defaults; a zero field is not a default.
type Config struct {
	Node      Node
	Datastore Datastore
	// Kind is that of the servers, Redis or MySQL, and may be left out.
	Kind string
	// Version is told to whoever asks.
	Version string
	// Timeout bounds Save and Load that carry no earlier deadline; MemberTimeout changes of membership and leadership,
	// and snapshots. A new member may have to be sent all data.
	Timeout       time.Duration
	MemberTimeout time.Duration
	// MaxRequestBytes bounds one request.
	MaxRequestBytes int
	// TLS of the port, or nil. Tokens that callers must show.
	TLS    *tls.Config
	Tokens Tokens
	Logger *slog.Logger
}

// NewConfig returns the defaults, to be completed with Node and Datastore.
func NewConfig() Config {
	return Config{
		Timeout:         5 * time.Second,
		MemberTimeout:   time.Hour,
		MaxRequestBytes: 16 << 20,
		Logger:          slog.Default(),
	}
}

// Validate reports the first bad field, its value and what is expected.
func (c *Config) Validate() error {
	switch {
	case c.Node == nil:
		return errors.New("config: Node is nil")
	case c.Datastore == nil:
		return errors.New("config: Datastore is nil")
	case c.Timeout < time.Millisecond:
		return fmt.Errorf("config: Timeout is %v, want at least 1ms", c.Timeout)
	case c.MemberTimeout < time.Millisecond:
		return fmt.Errorf("config: MemberTimeout is %v, want at least 1ms", c.MemberTimeout)
	case c.MaxRequestBytes < 1:
		return fmt.Errorf("config: MaxRequestBytes is %d, want at least 1", c.MaxRequestBytes)
	case c.Logger == nil:
		return errors.New("config: Logger is nil")
	}
	return nil
}

// Server is the gRPC side.
type Server struct {
	grpc   *grpc.Server
	health *healthServer
}

// New returns a Server that answers for cfg.Node.
func New(cfg Config) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	opts := []grpc.ServerOption{
		grpc.MaxRecvMsgSize(cfg.MaxRequestBytes),
		grpc.MaxConcurrentStreams(256),
		grpc.ConnectionTimeout(10 * time.Second),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: time.Minute, Timeout: 20 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
	}
	if cfg.TLS != nil {
		opts = append(opts, grpc.Creds(credentials.NewTLS(cfg.TLS)))
	}
	if cfg.Tokens.Admin != "" {
		opts = append(opts, newGate(cfg.Tokens).options()...)
	}
	g := grpc.NewServer(opts...)
	h := &healthServer{node: cfg.Node, interval: time.Second, closed: make(chan struct{})}
	nexuspb.RegisterNexusServer(g, &service{cfg: cfg})
	healthpb.RegisterHealthServer(g, h)
	reflection.Register(g)
	return &Server{grpc: g, health: h}, nil
}

// Serve answers on lis until Close. It closes lis.
func (s *Server) Serve(lis net.Listener) error {
	err := s.grpc.Serve(lis)
	if errors.Is(err, grpc.ErrServerStopped) {
		return nil
	}
	return err
}

// Close lets running calls end, until ctx is done, and then breaks them off. It may be called once.
func (s *Server) Close(ctx context.Context) error {
	s.health.close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.grpc.GracefulStop()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		s.grpc.Stop()
		<-done
		return fmt.Errorf("close admin: calls were broken off: %w", ctx.Err())
	}
}

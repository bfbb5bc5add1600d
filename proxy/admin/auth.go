package admin

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/nexus-replication/nexus/proxy/admin/nexuspb"
)

// Tokens are what callers must show as "authorization: Bearer TOKEN".
type Tokens struct {
	// Admin lets its bearer call everything; Read only what changes nothing. An empty Admin asks for no token at all; an
	// empty Read is no token.
	Admin, Read string
}

// readMethods change nothing, and do not hand out all data at once.
var readMethods = map[string]bool{
	nexuspb.Nexus_Check_FullMethodName:     true,
	nexuspb.Nexus_Status_FullMethodName:    true,
	nexuspb.Nexus_Cluster_FullMethodName:   true,
	nexuspb.Nexus_ListNodes_FullMethodName: true,
	nexuspb.Nexus_Load_FullMethodName:      true,
}

// gate lets calls with the right token through.
type gate struct {
	admin, read [sha256.Size]byte
	hasRead     bool
}

func newGate(t Tokens) *gate {
	return &gate{admin: sha256.Sum256([]byte(t.Admin)), read: sha256.Sum256([]byte(t.Read)), hasRead: t.Read != ""}
}

// check judges a call. Health checks need no token: those who ask have none, and learn nothing but yes or no.
func (g *gate) check(ctx context.Context, method string) error {
	if strings.HasPrefix(method, "/"+healthpb.Health_ServiceDesc.ServiceName+"/") {
		return nil
	}
	given := bearer(ctx)
	if given == "" {
		return status.Error(codes.Unauthenticated, "this node asks for a token: give repl the one of -grpcToken, as NEXUS_GRPC_TOKEN")
	}
	sum := sha256.Sum256([]byte(given))
	switch {
	case subtle.ConstantTimeCompare(sum[:], g.admin[:]) == 1:
		return nil
	case !g.hasRead || subtle.ConstantTimeCompare(sum[:], g.read[:]) != 1:
		return status.Error(codes.Unauthenticated, "the token is not one of this node's: repl takes it from NEXUS_GRPC_TOKEN or -token-file, the node has it as -grpcToken or -grpcReadToken")
	case !readMethods[method]:
		return status.Error(codes.PermissionDenied, "the token is good for looking only, the call needs that of -grpcToken")
	}
	return nil
}

func bearer(ctx context.Context) string {
	for _, value := range metadata.ValueFromIncomingContext(ctx, "authorization") {
		if token, ok := strings.CutPrefix(value, "Bearer "); ok {
			return token
		}
	}
	return ""
}

func (g *gate) options() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.UnaryInterceptor(func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			if err := g.check(ctx, info.FullMethod); err != nil {
				return nil, err
			}
			return next(ctx, req)
		}),
		grpc.StreamInterceptor(func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			if err := g.check(stream.Context(), info.FullMethod); err != nil {
				return err
			}
			return next(srv, stream)
		}),
	}
}

package admin

import (
	"context"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/nexus-replication/nexus/proxy/admin/nexuspb"
)

// healthServer answers the standard health service from the state of the node at that moment. The stock
// implementation must be told of each change, and would answer from what it was told last.
type healthServer struct {
	healthpb.UnimplementedHealthServer
	node     Node
	interval time.Duration

	once   sync.Once
	closed chan struct{}
}

func (h *healthServer) close() { h.once.Do(func() { close(h.closed) }) }

func (h *healthServer) status(service string) (healthpb.HealthCheckResponse_ServingStatus, bool) {
	if service != "" && service != nexuspb.Nexus_ServiceDesc.ServiceName {
		return healthpb.HealthCheckResponse_SERVICE_UNKNOWN, false
	}
	if h.node.Status().Serving {
		return healthpb.HealthCheckResponse_SERVING, true
	}
	return healthpb.HealthCheckResponse_NOT_SERVING, true
}

func (h *healthServer) Check(_ context.Context, req *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	st, known := h.status(req.GetService())
	if !known {
		return nil, status.Errorf(codes.NotFound, "service %q is not known", req.GetService())
	}
	return &healthpb.HealthCheckResponse{Status: st}, nil
}

func (h *healthServer) List(context.Context, *healthpb.HealthListRequest) (*healthpb.HealthListResponse, error) {
	list := make(map[string]*healthpb.HealthCheckResponse)
	for _, service := range []string{"", nexuspb.Nexus_ServiceDesc.ServiceName} {
		st, _ := h.status(service)
		list[service] = &healthpb.HealthCheckResponse{Status: st}
	}
	return &healthpb.HealthListResponse{Statuses: list}, nil
}

// Watch sends the status at once and whenever it changed since the last look.
func (h *healthServer) Watch(req *healthpb.HealthCheckRequest, stream grpc.ServerStreamingServer[healthpb.HealthCheckResponse]) error {
	tick := time.NewTicker(h.interval)
	defer tick.Stop()
	last := healthpb.HealthCheckResponse_ServingStatus(-1)
	for {
		if st, _ := h.status(req.GetService()); st != last {
			if err := stream.Send(&healthpb.HealthCheckResponse{Status: st}); err != nil {
				return err
			}
			last = st
		}
		select {
		case <-stream.Context().Done():
			return status.FromContextError(stream.Context().Err()).Err()
		case <-h.closed:
			return status.Error(codes.Unavailable, "the node is stopping")
		case <-tick.C:
		}
	}
}

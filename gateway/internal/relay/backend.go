package relay

import (
	"context"
	"fmt"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
)

// Backend is a gRPC server that the gateway relays to.
type Backend struct {
	Name     string
	Address  string // as in gRPC: host:port or unix:///path
	Conn     *grpc.ClientConn
	Services []Service
}

// Service is a gRPC service with HTTP routes.
type Service struct {
	Name     string // full name, for instance authv1.SessionService_ServiceDesc.ServiceName
	Register func(ctx context.Context, mux *runtime.ServeMux, conn *grpc.ClientConn) error
}

// Ready asks the backend whether it is serving.
func (b Backend) Ready(ctx context.Context) error {
	answer, err := healthv1.NewHealthClient(b.Conn).Check(ctx, &healthv1.HealthCheckRequest{})
	if err != nil {
		return fmt.Errorf("ask %s for its health: %w", b.Name, err)
	}
	if answer.GetStatus() != healthv1.HealthCheckResponse_SERVING {
		return fmt.Errorf("%s says it is %s", b.Name, answer.GetStatus())
	}
	return nil
}

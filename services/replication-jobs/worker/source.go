package worker

import (
	"context"
	"net"
	"path/filepath"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/run"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/tunnel"
)

// TunnelSubjects are where worker nodes speak to each other on NATS: they need to publish and to hear them.
const TunnelSubjects = tunnel.Subjects

// tunnels are the ways through NATS between the two ends of jobs that are on two nodes.
func tunnels(conn *nats.Conn, allowed sockets, log *zap.Logger) run.Tunnels {
	return run.Tunnels{
		Dial: func(ctx context.Context, route tunnel.Route, address byte) (net.Conn, error) {
			return tunnel.Dial(ctx, conn, route, address)
		},
		Carry: func(ctx context.Context, route tunnel.Route, addresses []string, traffic *tunnel.Traffic) error {
			dialers := make([]tunnel.Dialer, len(addresses))
			for i, address := range addresses {
				dialers[i] = allowed.dialer(address)
			}
			return tunnel.Serve(ctx, conn, route, dialers, traffic, log)
		},
	}
}

// dialer reaches host:port, or a unix socket if jobs may use it.
func (s sockets) dialer(address string) tunnel.Dialer {
	return func(ctx context.Context) (net.Conn, error) {
		network := "tcp"
		if filepath.IsAbs(address) {
			network = "unix"
			if err := s.check(address); err != nil {
				return nil, err
			}
		}
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
}

// Package node lists the worker nodes.
package node

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/pkg/app"
	"github.com/opsdeck/opsdeck/pkg/pg"
)

// Service answers NodeService.
type Service struct {
	replicationv1.UnimplementedNodeServiceServer

	pool  *pgxpool.Pool
	lease time.Duration
}

// NewService returns the service. A node that is silent for longer than the lease is down.
func NewService(pool *pgxpool.Pool, lease time.Duration) *Service {
	return &Service{pool: pool, lease: lease}
}

// row is a node as it is stored.
type row struct {
	ID, Name, Address, Datacenter, Version string
	Seen                                   time.Time
	Down                                   bool
}

// ListNodes returns every node that was ever seen and not forgotten.
func (s *Service) ListNodes(ctx context.Context, _ *replicationv1.ListNodesRequest) (*replicationv1.ListNodesResponse, error) {
	rows, _ := s.pool.Query(ctx, `
		SELECT id::text, name, address, datacenter, version, seen, seen < now() - $1::interval AS down
		FROM replication.nodes ORDER BY name, id`, s.lease) // CollectRows returns the error
	nodes, err := pgx.CollectRows(rows, pgx.RowToStructByPos[row])
	if err != nil {
		return nil, pg.Fault(err, "NODES", "list nodes")
	}
	answer := &replicationv1.ListNodesResponse{Nodes: make([]*replicationv1.Node, 0, len(nodes))}
	for _, n := range nodes {
		answer.Nodes = append(answer.Nodes, n.toProto())
	}
	return answer, nil
}

func (r row) toProto() *replicationv1.Node {
	node := &replicationv1.Node{
		NodeAddress: r.Address, NodeName: r.Name, NodeId: r.ID, NodeStatus: "ready", Datacenter: r.Datacenter,
		NomadVersion: app.Version, DtleVersion: r.Version,
	}
	if r.Down {
		node.NodeStatus = "down"
		node.NodeStatusDescription = fmt.Sprintf("no word from it since %s", r.Seen.UTC().Format(time.RFC3339))
	}
	return node
}

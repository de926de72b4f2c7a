// Package monitor shows the live figures of tasks.
package monitor

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/protobuf/proto"

	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/pkg/fault"
	"github.com/opsdeck/opsdeck/pkg/pg"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/reach"
)

// taskNames are the names that the tasks of the two ends go by.
var taskNames = map[string][]string{"src": {"src", "source"}, "dst": {"dest", "dst", "destination"}}

// Service answers MonitorService.
type Service struct {
	replicationv1.UnimplementedMonitorServiceServer

	pool *pgxpool.Pool
}

// NewService returns the service.
func NewService(pool *pgxpool.Pool) *Service { return &Service{pool: pool} }

// GetTaskStatus returns the newest figures of one task.
func (s *Service) GetTaskStatus(ctx context.Context, r *replicationv1.GetTaskStatusRequest) (*replicationv1.GetTaskStatusResponse, error) {
	unknown := fault.NotFound("ALLOCATION_NOT_FOUND", "there is no task %q with allocation id %q", r.GetTaskName(), r.GetAllocationId())
	id, err := uuid.Parse(r.GetAllocationId())
	if err != nil {
		return nil, unknown
	}
	var target string
	var figures, carried []byte
	of := reach.Of(ctx)
	err = s.pool.QueryRow(ctx, `
		SELECT a.target, a.figures, a.carried
		FROM replication.allocations AS a
		JOIN replication.jobs AS j ON j.id = a.job_id
		WHERE a.id = $1 AND ($2::text IS NULL OR j.tenant = $2) AND ($3::text[] IS NULL OR j.tenant || ':' || j.owner = ANY ($3))`,
		id.String(), of.Tenant, of.Owners).Scan(&target, &figures, &carried)
	if err != nil {
		return nil, pg.Fault(err, unknown.Reason, "%s", unknown.Message)
	}
	if !slices.Contains(taskNames[target], r.GetTaskName()) {
		return nil, unknown
	}
	status := &replicationv1.TaskStatus{
		ProgressPct: "0.0", Eta: "N/A", Stage: "waiting for the first report of the node",
		NatsMessageStatus: &replicationv1.MessageStatus{}, BufferStatus: &replicationv1.BufferStatus{},
	}
	if figures != nil {
		status = &replicationv1.TaskStatus{}
	}
	if err := (proto.UnmarshalOptions{Merge: true}).Unmarshal(figures, status); err != nil {
		return nil, fmt.Errorf("stored figures of allocation %s: %w", id, err)
	}
	if carried != nil { // the node of a far source counts its messages itself
		status.NatsMessageStatus = nil
	}
	if err := (proto.UnmarshalOptions{Merge: true}).Unmarshal(carried, status); err != nil {
		return nil, fmt.Errorf("stored figures of the node that carries allocation %s: %w", id, err)
	}
	return &replicationv1.GetTaskStatusResponse{TasksStatus: status}, nil
}

package job

import (
	"context"

	"github.com/jackc/pgx/v5"

	eventv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/event/v1"

	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/bus"
	"github.com/opsdeck/opsdeck/pkg/jobs"
)

// What somebody did to a job.
const (
	verbCreated = "created"
	verbUpdated = "updated"
	verbPaused  = "paused"
	verbResumed = "resumed"
	verbStarted = "started"
	verbDecided = "decided"
	verbDeleted = "deleted"
)

// Summary names a job, its owner and its status.
type Summary struct{ ID, Type, Tenant, Owner, Status string }

// changed publishes, with the transaction, that the caller did something to a job.
func changed(ctx context.Context, tx pgx.Tx, queue *jobs.Client, j Summary, verb string) error {
	return bus.Publish(ctx, tx, queue, bus.Event{
		Type: "opsdeck.replication.job." + verb, Subject: j.ID, Tenant: j.Tenant,
		Data: &eventv1.ReplicationJobChanged{
			JobId: j.ID, JobType: j.Type, Owner: j.Tenant + ":" + j.Owner, ChangedBy: authn.FromContext(ctx).Name(),
		},
	})
}

// StatusChanged publishes, with the transaction, that the status of a job moved by itself. before.Status is the old one.
func StatusChanged(ctx context.Context, tx pgx.Tx, queue *jobs.Client, before Summary, status, reason string) error {
	return bus.Publish(ctx, tx, queue, bus.Event{
		Type: "opsdeck.replication.job.status", Subject: before.ID, Tenant: before.Tenant,
		Data: &eventv1.ReplicationJobStatusChanged{JobId: before.ID, OldStatus: before.Status, NewStatus: status, Reason: reason},
	})
}

package job

import (
	"context"

	"github.com/jackc/pgx/v5"

	eventv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/event/v1"
	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/bus"
	"github.com/opsdeck/opsdeck/pkg/jobs"
)

// What somebody did to a job.
const (
	verbCreated   = "created"
	verbUpdated   = "updated"
	verbPaused    = "paused"
	verbResumed   = "resumed"
	verbStarted   = "started"
	verbDecided   = "decided"
	verbDeleted   = "deleted"
	verbVerifying = "verifying"
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

// Verified publishes, with the transaction, that a pass of a job's verification has come to its end, or the verification has failed.
func Verified(ctx context.Context, tx pgx.Tx, queue *jobs.Client, j Summary, last *replicationv1.Verification) error {
	failure := ""
	if last.GetState() == "failed" {
		failure = last.GetError()
	}
	return bus.Publish(ctx, tx, queue, bus.Event{
		Type: "opsdeck.replication.job.verified", Subject: j.ID, Tenant: j.Tenant,
		Data: &eventv1.ReplicationJobVerified{
			JobId: j.ID, Pass: last.GetPass(), RowsCompared: last.GetRowsCompared(),
			DifferencesFound: last.GetDifferencesFound(), DifferencesRepaired: last.GetDifferencesRepaired(), Error: failure,
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

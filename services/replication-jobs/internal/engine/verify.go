package engine

import (
	"context"
	"time"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/apply"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/binlog"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/verify"
)

// verify compares target and source whenever somebody orders it, until ctx ends.
func (r *run) verify(ctx context.Context, stream *binlog.Stream, applier *apply.Applier) error {
	return verify.Serve(ctx, r.job.Verify, verify.Options{
		Source: r.source.Config, Target: r.job.Target, JobID: r.job.ID, Epoch: r.job.Epoch, Mapping: r.mapping, Applier: applier,
		Lag:   func() time.Duration { return lag(stream.Stats(), applier.Stats(), time.Now()) },
		Event: r.report.event,
	})
}

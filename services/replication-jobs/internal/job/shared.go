package job

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/pkg/fault"
	"github.com/opsdeck/opsdeck/pkg/pg"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/ddl"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mapping"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/reach"
)

// checkShared refuses a job that would write, as far as the rules tell, to tables that another one has begun to write to: a worker would refuse it at its
// start. One that does not copy may go on behind a job that is finished.
func checkShared(ctx context.Context, tx pgx.Tx, j newJob) error {
	if j.jobType == Subscription {
		return nil
	}
	config, err := ReadConfig(j.id, j.config)
	if err != nil {
		return err
	}
	rules, err := mappingOf(config)
	if err != nil {
		return err
	}
	target := config.GetDestTask().GetMysqlConnectionConfig()
	rows, _ := tx.Query(ctx, `
		SELECT id, config, ($1::text IS NULL OR tenant = $1) AND ($2::text[] IS NULL OR tenant || ':' || owner = ANY ($2))
		FROM replication.jobs
		WHERE type <> $3 AND id <> $4 AND stage <> '' AND (status <> 'finished' OR $5) AND lower(target_host) = lower($6)
			AND (config->'dest_task'->'mysql_connection_config'->>'mysql_port')::int = $7
		ORDER BY id`,
		reach.Of(ctx).Tenant, reach.Of(ctx).Owners, Subscription, j.id, copiesRows(config), target.GetMysqlHost(), target.GetMysqlPort())
	type other struct {
		ID     string
		Config []byte
		Known  bool // to the caller
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[other])
	if err != nil {
		return pg.Fault(err, "JOB", "look for jobs that write to the target of job %s", j.id)
	}
	for _, o := range all {
		theirs, err := ReadConfig(o.ID, o.Config)
		if err != nil {
			return err
		}
		known, err := mappingOf(theirs)
		if err != nil {
			return err
		}
		oneSource := sameInstance(config.GetSrcTask().GetMysqlConnectionConfig(), theirs.GetSrcTask().GetMysqlConnectionConfig())
		if there, met := mapping.Meet(rules, known, oneSource); met {
			name := "another user's job"
			if o.Known {
				name = "job " + o.ID
			}
			return fault.Precondition("TABLE_TAKEN", "%s replicates to %s of the instance %s:%d already: leave that out of this job, or delete the other one first",
				name, describe(there), target.GetMysqlHost(), target.GetMysqlPort())
		}
	}
	return nil
}

// describe names a table, all tables of a schema, or all tables.
func describe(there ddl.Name) string {
	switch {
	case there.Schema == "":
		return "all schemas"
	case there.Table == "":
		return "the schema " + there.Schema
	}
	return fmt.Sprintf("the table %s.%s", there.Schema, there.Table)
}

func mappingOf(c *replicationv1.JobConfig) (*mapping.Mapping, error) {
	return mapping.New(mapping.Rules(c.GetSrcTask().GetReplicateDoDb()), mapping.Rules(c.GetSrcTask().GetReplicateIgnoreDb()))
}

// copiesRows reports whether a job begins with a copy.
func copiesRows(c *replicationv1.JobConfig) bool {
	return c.GetTaskStepName() != stageIncr && c.GetSrcTask().GetGtid() == "" && !c.GetSrcTask().GetAutoGtid()
}

package run

import (
	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/ddl"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/engine"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mapping"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
)

// decisionsOf are what operators have said about statements.
func decisionsOf(a *replicationv1.Assignment) []ddl.Decision {
	var out []ddl.Decision
	for _, d := range a.GetDecisions() {
		out = append(out, ddl.Decision{Position: d.GetPosition(), Replacement: d.GetReplacement()})
	}
	return out
}

// jobOf turns an assignment into what the engine takes. Sizes of dtle's transport (group_max_size, group_timeout) mean nothing to it: what
// waits is merged, and what does not is applied at once.
func jobOf(a *replicationv1.Assignment) engine.Job {
	c := a.GetJob()
	src, dest := c.GetSrcTask(), c.GetDestTask()
	return engine.Job{
		ID: c.GetJobId(), Incarnation: a.GetIncarnation(), Epoch: a.GetEpoch(), Step: c.GetTaskStepName(),
		Source: instance(src.GetMysqlConnectionConfig()), Target: instance(dest.GetMysqlConnectionConfig()),
		Do: mapping.Rules(src.GetReplicateDoDb()), Ignore: mapping.Rules(src.GetReplicateIgnoreDb()),
		Decisions: decisionsOf(a), StartGTID: src.GetGtid(), AutoGTID: src.GetAutoGtid(),
		ChunkSize:       int(src.GetChunkSize()),
		ParallelWorkers: int(dest.GetParallelWorkers()), QueueSize: int(src.GetReplChanBufferSize()),

		DropTableIfExists: src.GetDropTableIfExists(), SkipCreateDBTable: src.GetSkipCreateDbTable(),
	}
}

func instance(c *replicationv1.MySQLConnection) mysql.Config {
	return mysql.Config{Host: c.GetMysqlHost(), Port: uint16(c.GetMysqlPort()), User: c.GetMysqlUser(), Password: c.GetMysqlPassword()}
}

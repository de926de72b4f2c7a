package run

import (
	"time"

	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/engine"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/filter"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
)

// The defaults of the contract for sizes of dtle's transport, which this engine does not have: at these it chooses itself.
const (
	defaultGroupSize = 1
	defaultQueueSize = 32
)

// jobOf turns an assignment into what the engine takes.
func jobOf(a *replicationv1.Assignment) engine.Job {
	c := a.GetJob()
	src, dest := c.GetSrcTask(), c.GetDestTask()
	return engine.Job{
		ID: c.GetJobId(), Incarnation: a.GetIncarnation(), Epoch: a.GetEpoch(), Step: engine.Step(c.GetTaskStepName()),
		Source: instance(src.GetMysqlConnectionConfig()), Target: instance(dest.GetMysqlConnectionConfig()),
		Do: rules(src.GetReplicateDoDb()), Ignore: rules(src.GetReplicateIgnoreDb()),
		StartGTID: src.GetGtid(), AutoGTID: src.GetAutoGtid(),
		ChunkSize:       int(src.GetChunkSize()),
		GroupMaxSize:    chosen(src.GetGroupMaxSize(), defaultGroupSize),
		GroupTimeout:    time.Duration(src.GetGroupTimeout()) * time.Millisecond,
		ParallelWorkers: int(dest.GetParallelWorkers()),
		QueueSize:       chosen(src.GetReplChanBufferSize(), defaultQueueSize),

		DropTableIfExists: src.GetDropTableIfExists(), SkipCreateDBTable: src.GetSkipCreateDbTable(),
	}
}

// chosen returns 0 for a size that the owner has not chosen.
func chosen(size int32, otherwise int) int {
	if int(size) == otherwise {
		return 0
	}
	return int(size)
}

func instance(c *replicationv1.MySQLConnection) mysql.Config {
	return mysql.Config{Host: c.GetMysqlHost(), Port: uint16(c.GetMysqlPort()), User: c.GetMysqlUser(), Password: c.GetMysqlPassword()}
}

func rules(all []*replicationv1.SchemaRule) []filter.SchemaRule {
	out := make([]filter.SchemaRule, 0, len(all))
	for _, rule := range all {
		r := filter.SchemaRule{Schema: rule.GetTableSchema()}
		for _, table := range rule.GetTables() {
			r.Tables = append(r.Tables, filter.TableRule{Name: table.GetTableName()})
		}
		out = append(out, r)
	}
	return out
}

package run

import (
	"cmp"
	"time"

	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/ddl"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/engine"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/kafka"
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
	if a.GetSubscription() != nil {
		return subscriptionOf(a)
	}
	c := a.GetJob()
	src, dest := c.GetSrcTask(), c.GetDestTask()
	return engine.Job{
		ID: c.GetJobId(), Incarnation: a.GetIncarnation(), Epoch: a.GetEpoch(), Step: c.GetTaskStepName(),
		Source: mysql.ConfigOf(src.GetMysqlConnectionConfig()), Target: mysql.ConfigOf(dest.GetMysqlConnectionConfig()),
		Do: mapping.Rules(src.GetReplicateDoDb()), Ignore: mapping.Rules(src.GetReplicateIgnoreDb()),
		Decisions: decisionsOf(a), StartGTID: src.GetGtid(), AutoGTID: src.GetAutoGtid(),
		ChunkSize:       int(src.GetChunkSize()),
		ParallelWorkers: int(dest.GetParallelWorkers()), QueueSize: int(src.GetReplChanBufferSize()),

		DropTableIfExists: src.GetDropTableIfExists(), SkipCreateDBTable: src.GetSkipCreateDbTable(),
	}
}

// defaultMaxMessage is a little less than what brokers take by default.
const defaultMaxMessage = 1_000_000

// subscriptionOf turns the assignment of a job that writes to Kafka into what the engine takes.
func subscriptionOf(a *replicationv1.Assignment) engine.Job {
	c := a.GetSubscription()
	src, dest := c.GetSrcTask(), c.GetDestTask()
	brokers := kafka.ConfigOf(dest)
	brokers.MaxMessage = cmp.Or(int(dest.GetKafkaMaxMessageBytes()), defaultMaxMessage)
	return engine.Job{
		ID: c.GetJobId(), Incarnation: a.GetIncarnation(), Epoch: a.GetEpoch(), Step: c.GetTaskStepName(),
		Source: mysql.ConfigOf(src.GetMysqlConnectionConfig()), Do: mapping.Rules(src.GetReplicateDoDb()), Ignore: mapping.Rules(src.GetReplicateIgnoreDb()),
		StartGTID: src.GetGtid(), AutoGTID: src.GetAutoGtid(),
		ChunkSize: int(src.GetChunkSize()), QueueSize: int(src.GetReplChanBufferSize()),
		Subscription: &engine.Subscription{
			Brokers: brokers, Topic: dest.GetKafkaTopic(), SingleTopic: dest.GetKafkaSingleTopic(),
			ChangeTopic:   cmp.Or(dest.GetKafkaSchemaChangeTopic(), "schema-changes."+dest.GetKafkaTopic()),
			Schemas:       dest.KafkaSchemas == nil || dest.GetKafkaSchemas(),
			DecimalString: dest.GetKafkaDecimal() == "string", PreciseUnsigned: dest.GetKafkaBigintUnsigned() == "precise",
			GroupBytes:   int64(dest.GetMessageGroupMaxSize()),
			GroupTimeout: time.Duration(dest.GetMessageGroupTimeout()) * time.Millisecond,
		},
	}
}

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
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/objects"
)

// decisionsOf are what operators have said about statements.
func decisionsOf(a *replicationv1.Assignment) []ddl.Decision {
	var out []ddl.Decision
	for _, d := range a.GetDecisions() {
		out = append(out, ddl.Decision{Position: d.GetPosition(), Replacement: d.GetReplacement()})
	}
	return out
}

// jobOf turns an assignment into what the engine takes.
func jobOf(a *replicationv1.Assignment) engine.Job {
	if a.GetSubscription() != nil {
		return subscriptionOf(a)
	}
	c := a.GetJob()
	src, dest := c.GetSrcTask(), c.GetDestTask()
	return engine.Job{
		ID: c.GetJobId(), Incarnation: a.GetIncarnation(), Epoch: a.GetEpoch(), Step: c.GetTaskStepName(),
		Source: mysql.LocalConfigOf(src.GetMysqlConnectionConfig()), Target: mysql.LocalConfigOf(dest.GetMysqlConnectionConfig()),
		Alternates: mysql.AlternatesOf(src.GetMysqlConnectionConfig()),
		Do:         mapping.Rules(src.GetReplicateDoDb()), Ignore: mapping.Rules(src.GetReplicateIgnoreDb()),
		Decisions: decisionsOf(a), StartGTID: src.GetGtid(), AutoGTID: src.GetAutoGtid(),
		TakesOver: c.GetReverse(),
		ChunkSize: int(src.GetChunkSize()),
		History:   int(dest.GetDependencyHistorySize()), SourceDependency: dest.GetUseMySqlDependency(),
		ParallelWorkers: int(dest.GetParallelWorkers()), QueueSize: int(src.GetReplChanBufferSize()),
		Merge: int(dest.GetMaxMergedTransactions()), GroupBytes: int64(src.GetGroupMaxSize()),
		GroupTimeout:     time.Duration(src.GetGroupTimeout()) * time.Millisecond,
		MaxRowsPerSecond: int64(dest.GetMaxRowsPerSecond()), MaxBytesPerSecond: int64(dest.GetMaxBytesPerSecond()), Conflicts: dest.GetConflictPolicy(),

		Objects:           objects.Kinds(src.GetReplicateObjects()),
		DropTableIfExists: src.GetDropTableIfExists(), SkipCreateDBTable: src.GetSkipCreateDbTable(),
		Relay: relayOf(a, src),
	}
}

// relayOf is the relay log of a job, nil for one without. Where it is kept is up to the node.
func relayOf(a *replicationv1.Assignment, src *replicationv1.SourceTask) *engine.Relay {
	if !src.GetBinlogRelay() {
		return nil
	}
	return &engine.Relay{MaxBytes: int64(src.GetBinlogRelayMaxMib()) << 20, Elsewhere: a.GetRelayNode()}
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
		Source: mysql.LocalConfigOf(src.GetMysqlConnectionConfig()), Do: mapping.Rules(src.GetReplicateDoDb()), Ignore: mapping.Rules(src.GetReplicateIgnoreDb()),
		Alternates: mysql.AlternatesOf(src.GetMysqlConnectionConfig()), StartGTID: src.GetGtid(), AutoGTID: src.GetAutoGtid(),
		ChunkSize: int(src.GetChunkSize()), QueueSize: int(src.GetReplChanBufferSize()), Relay: relayOf(a, src),
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

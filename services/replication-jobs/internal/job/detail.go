package job

import (
	"context"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/protobuf/types/known/timestamppb"

	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/pkg/pg"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/reach"
)

// detail is a job with where it runs.
type detail struct {
	standing

	ID     string
	Config []byte
	// Of each end, source and target, the id and the address of its node; nil while no node has the job.
	SourceNode, SourceNodeAddress, Node, NodeAddress *string
}

func loadDetail(ctx context.Context, pool *pgxpool.Pool, id string, of reach.Reach) (detail, error) {
	var d detail
	err := pool.QueryRow(ctx, `
		SELECT j.id, j.config, j.step, j.status, j.stage, j.copied_percent, j.delay, j.backlog, j.create_time,
			n.id::text, n.address, s.id::text, s.address
		FROM replication.jobs AS j
		LEFT JOIN replication.nodes AS n ON n.id = j.node AND j.status <> 'finished'
		LEFT JOIN replication.allocations AS a ON a.job_id = j.id AND a.epoch = j.epoch AND a.target = 'src'
		LEFT JOIN replication.nodes AS s ON s.id = a.node
		WHERE j.id = $1 AND ($2::text IS NULL OR j.tenant = $2) AND ($3::text[] IS NULL OR j.tenant || ':' || j.owner = ANY ($3))`,
		id, of.Tenant, of.Owners).
		Scan(&d.ID, &d.Config, &d.Step, &d.Status, &d.Stage, &d.CopiedPercent, &d.Delay, &d.Backlog, &d.CreateTime,
			&d.Node, &d.NodeAddress, &d.SourceNode, &d.SourceNodeAddress)
	return d, notFound(err, id)
}

func (d detail) toProto() (*replicationv1.TaskProfile, error) {
	if strings.HasSuffix(d.ID, "-"+Subscription) {
		return d.subscription()
	}
	config, err := ReadConfig(d.ID, d.Config)
	if err != nil {
		return nil, err
	}
	masked(config)
	src, dest := config.GetSrcTask(), config.GetDestTask()
	return &replicationv1.TaskProfile{
		JobBaseInfo:   d.base(""),
		DtleNodeInfos: d.nodes(address(src.GetMysqlConnectionConfig()), address(dest.GetMysqlConnectionConfig())),
		ConnectionInfo: &replicationv1.ConnectionInfo{
			SrcDataBase: src.GetMysqlConnectionConfig(), DstDataBase: dest.GetMysqlConnectionConfig(), DstKafka: &replicationv1.KafkaConnection{},
		},
		Configuration: settings(src, dest, config.GetFailover(), config.GetRetry()),
		ReplicateDoDb: src.GetReplicateDoDb(), ReplicateIgnoreDb: src.GetReplicateIgnoreDb(),
	}, nil
}

// subscription is the profile of a job that writes to Kafka.
func (d detail) subscription() (*replicationv1.TaskProfile, error) {
	config, err := ReadSubscription(d.ID, d.Config)
	if err != nil {
		return nil, err
	}
	maskedSubscription(config)
	src, dest := config.GetSrcTask(), config.GetDestTask()
	return &replicationv1.TaskProfile{
		JobBaseInfo:    d.base(dest.GetKafkaTopic()),
		DtleNodeInfos:  d.nodes(address(src.GetMysqlConnectionConfig()), strings.Join(dest.GetKafkaBrokerAddrs(), ",")),
		ConnectionInfo: connections(config),
		Configuration:  settings(src, nil, config.GetFailover(), config.GetRetry()),
		ReplicateDoDb:  src.GetReplicateDoDb(), ReplicateIgnoreDb: src.GetReplicateIgnoreDb(),
	}, nil
}

func (d detail) base(topic string) *replicationv1.JobBaseInfo {
	return &replicationv1.JobBaseInfo{
		JobId: d.ID, SubscriptionTopic: topic, JobStatus: d.Status, JobCreateTime: timestamppb.New(d.CreateTime), JobSteps: d.steps(), Delay: d.Delay,
	}
}

// nodes says where the two ends run, and what they are connected to.
func (d detail) nodes(source, target string) []*replicationv1.TaskNode {
	if d.Node == nil {
		return nil
	}
	return []*replicationv1.TaskNode{
		{NodeAddr: *d.SourceNodeAddress, NodeId: *d.SourceNode, Source: Source, DataSource: source},
		{NodeAddr: *d.NodeAddress, NodeId: *d.Node, Source: Target, DataSource: target},
	}
}

func address(c *replicationv1.MySQLConnection) string {
	return net.JoinHostPort(c.GetMysqlHost(), strconv.Itoa(int(c.GetMysqlPort())))
}

// settings are those of a job, with the zero values of a nil dest for one that writes to Kafka.
func settings(src *replicationv1.SourceTask, dest *replicationv1.DestTask, failover bool, retry int32) *replicationv1.JobSettings {
	s := &replicationv1.JobSettings{
		BinlogRelay: src.GetBinlogRelay(), FailOver: failover, RetryTimes: retry,
		ParallelWorkers: dest.GetParallelWorkers(), ReplChanBufferSize: src.GetReplChanBufferSize(),
		GroupMaxSize: src.GetGroupMaxSize(), ChunkSize: src.GetChunkSize(), GroupTimeout: src.GetGroupTimeout(),
		DropTableIfExists: src.GetDropTableIfExists(), SkipCreateDbTable: src.GetSkipCreateDbTable(),
		ReplicateObjects:   src.GetReplicateObjects(),
		UseMySqlDependency: dest.GetUseMySqlDependency(), DependencyHistorySize: dest.GetDependencyHistorySize(),
		ConflictPolicy: dest.GetConflictPolicy(), BinlogRelayMaxMib: src.BinlogRelayMaxMib,
	}
	if dest != nil {
		s.MaxRowsPerSecond, s.MaxBytesPerSecond, s.MaxMergedTransactions = dest.MaxRowsPerSecond, dest.MaxBytesPerSecond, dest.MaxMergedTransactions
	}
	return s
}

// logLine is an event with the placement it belongs to; Type is nil for a placement without events.
type logLine struct {
	Allocation, Target, Node, Address string
	Type, SetupError, Message         *string
	Time                              *time.Time
}

// loadLogs reads what happened to the tasks of a job: the source side first, older placements before newer ones.
func loadLogs(ctx context.Context, pool *pgxpool.Pool, id string) ([]*replicationv1.TaskLog, error) {
	rows, _ := pool.Query(ctx, `
		SELECT a.id::text AS allocation, a.target, a.node::text, n.address, e.type, e.setup_error, e.message, e.time
		FROM replication.allocations AS a
		JOIN replication.nodes AS n ON n.id = a.node
		LEFT JOIN replication.events AS e ON e.allocation = a.id
		WHERE a.job_id = $1
		ORDER BY a.target DESC, a.epoch, e.id`, id)
	lines, err := pgx.CollectRows(rows, pgx.RowToStructByPos[logLine])
	if err != nil {
		return nil, pg.Fault(err, "JOB_LOG", "events of job %s", id)
	}
	logs := []*replicationv1.TaskLog{}
	var last *replicationv1.TaskLog
	for _, l := range lines {
		if last == nil || last.GetAllocationId() != l.Allocation {
			last = &replicationv1.TaskLog{AllocationId: l.Allocation, Target: l.Target, NodeId: l.Node, Address: l.Address}
			logs = append(logs, last)
		}
		if l.Type != nil {
			last.TaskEvents = append(last.TaskEvents, &replicationv1.TaskEvent{
				EventType: *l.Type, SetupError: *l.SetupError, Message: *l.Message, Time: timestamppb.New(*l.Time),
			})
		}
	}
	return logs, nil
}

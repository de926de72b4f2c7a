package job

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/pkg/fault"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/filter"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mapping"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
)

// maxID is the longest full job id, in characters.
const maxID = 64

// stageFull is the task_step_name of a job that copies and stops.
const stageFull = "job_stage_full"

// defaultRelay is what a relay log may take on a worker's disk, in MiB.
const defaultRelay = 10 << 10

// Prepare gives the configuration of a new job its full id and defaults, and refuses what its messages' rules cannot: fields that contradict
// each other.
func Prepare(c *replicationv1.JobConfig, jobType string) error {
	c.JobId += "-" + jobType
	complete(c)
	return check(c, jobType)
}

// complete fills in the defaults of the contract.
func complete(c *replicationv1.JobConfig) {
	fill(&c.Failover, true)
	fill(&c.Retry, 2)
	completeSource(c.GetSrcTask())
	dest := c.GetDestTask()
	fill(&dest.ParallelWorkers, 1)
	history := dest.GetDependencyHistorySize()
	if !dest.GetUseMySqlDependency() {
		history = cmp.Or(history, 2500)
	}
	dest.DependencyHistorySize = &history
}

func completeSource(src *replicationv1.SourceTask) {
	fill(&src.GroupMaxSize, 1)
	fill(&src.ChunkSize, 2000)
	fill(&src.ReplChanBufferSize, 32)
	fill(&src.GroupTimeout, 100)
	if src.GetBinlogRelay() {
		fill(&src.BinlogRelayMaxMib, defaultRelay)
	}
}

func fill[T any](field **T, value T) {
	if *field == nil {
		*field = &value
	}
}

// check refuses what the rules of the message cannot: fields that contradict each other.
func check(c *replicationv1.JobConfig, jobType string) error {
	src, dest := c.GetSrcTask(), c.GetDestTask()
	from, to := src.GetMysqlConnectionConfig(), dest.GetMysqlConnectionConfig()
	if err := checkCommon(c, jobType); err != nil {
		return err
	}
	if sameInstance(from, to) {
		return fault.Invalid("job.dest_task.mysql_connection_config", "is the instance of src_task: a job cannot write into what it reads")
	}
	if len(to.GetMysqlAddresses()) > 0 {
		return fault.Invalid("job.dest_task.mysql_connection_config.mysql_addresses", "is for src_task: a job writes to one instance")
	}
	target := mysql.ConfigOf(to)
	for i, alternate := range mysql.AlternatesOf(from) {
		if strings.EqualFold(alternate.Addr(), target.Addr()) {
			return fault.Invalid(fmt.Sprintf("job.src_task.mysql_connection_config.mysql_addresses[%d]", i), "is the instance of dest_task: a job cannot write into what it reads")
		}
	}
	if err := checkReverse(c); err != nil {
		return err
	}
	if err := mysql.ConfigOf(to).SSL.Check(); err != nil {
		return fault.Invalid("job.dest_task.mysql_connection_config.mysql_ssl_ca", "%v", err)
	}
	return checkNodes(c.GetFailover(), src.GetNodeId(), dest.GetNodeId())
}

// checkReverse refuses what a job that takes over from another one cannot do, and what only such a job can.
func checkReverse(c *replicationv1.JobConfig) error {
	src := c.GetSrcTask()
	switch {
	case !c.GetReverse() && src.GetWaitOnJob() != "":
		return fault.Invalid("job.src_task.wait_on_job", "is for reverse jobs: say reverse, or leave it out")
	case !c.GetReverse():
		return nil
	case src.GetWaitOnJob() == "":
		return fault.Invalid("job.src_task.wait_on_job", "is required of a reverse job: name the job that it takes over from")
	case c.GetTaskStepName() != stageIncr:
		return fault.Invalid("job.task_step_name", "of a reverse job is job_stage_incr: the rows are there already")
	}
	return nil
}

// reading is what jobs of all types have in common.
type reading interface {
	GetJobId() string
	GetTaskStepName() string
	GetSrcTask() *replicationv1.SourceTask
}

// checkCommon refuses what no type of job can do.
func checkCommon(c reading, jobType string) error {
	src := c.GetSrcTask()
	switch {
	case utf8.RuneCountInString(c.GetJobId()) > maxID:
		return fault.Invalid("job.job_id", "%q is longer than %d characters: the name may have %d, the rest is the suffix",
			c.GetJobId(), maxID, maxID-len(jobType)-1)
	case src.BinlogRelayMaxMib != nil && !src.GetBinlogRelay():
		return fault.Invalid("job.src_task.binlog_relay_max_mib", "is for jobs with a relay log: set binlog_relay, or leave it out")
	case src.GetGtid() != "" && src.GetAutoGtid():
		return fault.Invalid("job.src_task.auto_gtid", "contradicts gtid: give one of them")
	case c.GetTaskStepName() == stageFull && (src.GetGtid() != "" || src.GetAutoGtid()):
		return fault.Invalid("job.task_step_name", "job_stage_full contradicts gtid and auto_gtid, which leave the full copy out")
	}
	if err := mysql.ConfigOf(src.GetMysqlConnectionConfig()).SSL.Check(); err != nil {
		return fault.Invalid("job.src_task.mysql_connection_config.mysql_ssl_ca", "%v", err)
	}
	if err := mysql.CheckAddresses(src.GetMysqlConnectionConfig()); err != nil {
		return fault.Invalid("job.src_task.mysql_connection_config.mysql_addresses", "%v", err)
	}
	return checkRules(src)
}

// checkRules refuses rules that no source could be replicated with.
func checkRules(src *replicationv1.SourceTask) error {
	_, err := mapping.New(mapping.Rules(src.GetReplicateDoDb()), mapping.Rules(src.GetReplicateIgnoreDb()))
	var wrong *filter.RuleError
	if errors.As(err, &wrong) {
		return fault.Invalid("job.src_task."+wrong.Field, "%s", wrong.Problem)
	}
	return err
}

// checkNodes refuses to pin a job to a node that it does not name.
func checkNodes(failover bool, src, dest string) error {
	if failover {
		return nil
	}
	for _, task := range []struct{ field, node string }{{"src_task", src}, {"dest_task", dest}} {
		if task.node == "" {
			f := fault.Invalid("job."+task.field+".node_id", "is required because failover is false: name the node that runs the task")
			f.Reason = "NODE_REQUIRED"
			return f
		}
	}
	return nil
}

// wishes are the nodes that a job names. The node of dest_task runs the job; so it does the source's end, if that names no other.
type wishes struct {
	pinned    string // the only node that may run it
	preferred string // when any may, the one that should
	source    string // the one of the source's end, if that is another; as pinned or as preferred as the first
}

func wishesOf(failover bool, src, dest string) wishes {
	src, dest = strings.ToLower(src), strings.ToLower(dest)
	var w wishes
	if src != "" && dest != "" && src != dest {
		w.source = src
	}
	if node := cmp.Or(dest, src); failover {
		w.preferred = node
	} else {
		w.pinned = node
	}
	return w
}

// asJSON is how a configuration is stored; a field that a newer release has added is skipped, so that both can run side by side.
var (
	asJSON   = protojson.MarshalOptions{UseProtoNames: true}
	fromJSON = protojson.UnmarshalOptions{DiscardUnknown: true}
)

// ReadConfig reads the stored configuration of a job. It holds no passwords.
func ReadConfig(id string, text []byte) (*replicationv1.JobConfig, error) {
	config := &replicationv1.JobConfig{}
	return config, read(id, text, config)
}

func read(id string, text []byte, config proto.Message) error {
	if err := fromJSON.Unmarshal(text, config); err != nil {
		return fmt.Errorf("stored configuration of job %s: %w", id, err)
	}
	return nil
}

// masked hides the passwords of a configuration.
func masked(c *replicationv1.JobConfig) *replicationv1.JobConfig {
	setPasswords(c, passwords{source: mask, target: mask})
	return c
}

// mask stands for a password in every answer.
const mask = "*"

// passwords are those of the two instances.
type passwords struct{ source, target string }

func passwordsOf(c *replicationv1.JobConfig) passwords {
	return passwords{
		source: c.GetSrcTask().GetMysqlConnectionConfig().GetMysqlPassword(),
		target: c.GetDestTask().GetMysqlConnectionConfig().GetMysqlPassword(),
	}
}

func setPasswords(c *replicationv1.JobConfig, p passwords) {
	c.SrcTask.MysqlConnectionConfig.MysqlPassword = p.source
	c.DestTask.MysqlConnectionConfig.MysqlPassword = p.target
}

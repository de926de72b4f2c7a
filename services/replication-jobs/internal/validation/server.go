package validation

import (
	"context"
	"strings"

	"go.uber.org/zap"

	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/fault"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/job"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mapping"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/objects"
)

// Service answers ValidationService.
type Service struct {
	replicationv1.UnimplementedValidationServiceServer

	key job.Decrypter
	log *zap.Logger
}

// NewService returns the service; a nil key means that clients cannot encrypt passwords.
func NewService(key job.Decrypter, log *zap.Logger) *Service { return &Service{key: key, log: log} }

// unnamed is the id of a job that has none yet.
const unnamed = "validation"

// ValidateJob looks at the configuration and then at both servers.
func (s *Service) ValidateJob(ctx context.Context, r *replicationv1.ValidateJobRequest) (*replicationv1.ValidateJobResponse, error) {
	c := r.GetJobConfig()
	config := &replicationv1.JobConfig{
		JobId: unnamed, TaskStepName: c.GetTaskStepName(), Reverse: c.GetReverse(), Failover: c.Failover,
		IsMysqlPasswordEncrypted: c.GetIsMysqlPasswordEncrypted(), SrcTask: c.GetSrcTask(), DestTask: c.GetDestTask(), Retry: c.Retry,
	}
	if err := job.Prepare(config, "migration"); err != nil {
		return refused(config, err)
	}
	j, err := s.jobOf(config)
	if f := fault.From(err); f != nil && f.Reason == "PASSWORD_UNREADABLE" {
		return nil, err
	}
	if err != nil {
		return refused(config, err)
	}
	// Signed-in people may make this server connect to anything it can reach: the log says who did.
	s.log.Info("validating a job", zap.String("user", authn.FromContext(ctx).Name()), zap.String("source", j.Source.Addr()), zap.String("target", j.Target.Addr()))
	report, err := Run(ctx, j)
	if err != nil {
		return nil, err
	}
	return report.toProto(config), nil
}

// refused is the answer about a configuration that is wrong in itself.
func refused(c *replicationv1.JobConfig, err error) (*replicationv1.ValidateJobResponse, error) {
	answer := (&Report{}).toProto(c)
	answer.DriverConfigValidated = false
	answer.JobValidationError = strings.ReplaceAll(err.Error(), "job.", "")
	return answer, nil
}

func (s *Service) jobOf(c *replicationv1.JobConfig) (Job, error) {
	src, dest := c.GetSrcTask(), c.GetDestTask()
	j := Job{
		Copies:     c.GetTaskStepName() != "job_stage_incr" && src.GetGtid() == "" && !src.GetAutoGtid(),
		Follows:    c.GetTaskStepName() != "job_stage_full",
		DropTables: src.GetDropTableIfExists(), SkipCreate: src.GetSkipCreateDbTable(),
		RelayMiB: src.GetBinlogRelayMaxMib(),
		Objects:  objects.Kinds(src.GetReplicateObjects()), SourceDependency: dest.GetUseMySqlDependency(),
	}
	if !strings.EqualFold(src.GetNodeId(), dest.GetNodeId()) && dest.GetNodeId() != "" {
		j.SourceNode = src.GetNodeId()
	}
	var err error
	if j.Mapping, err = mapping.New(mapping.Rules(src.GetReplicateDoDb()), mapping.Rules(src.GetReplicateIgnoreDb())); err != nil {
		return j, err
	}
	if j.Source, err = s.instance(c, "src_task", src.GetMysqlConnectionConfig()); err != nil {
		return j, err
	}
	for _, address := range mysql.AlternatesOf(src.GetMysqlConnectionConfig()) {
		address.Password = j.Source.Password
		j.Alternates = append(j.Alternates, address)
	}
	j.Target, err = s.instance(c, "dest_task", dest.GetMysqlConnectionConfig())
	return j, err
}

func (s *Service) instance(c *replicationv1.JobConfig, task string, i *replicationv1.MySQLConnection) (mysql.Config, error) {
	password := i.GetMysqlPassword()
	if c.GetIsMysqlPasswordEncrypted() {
		var err error
		if password, err = job.Decrypt(s.key, "job_config."+task+".mysql_connection_config.mysql_password", password); err != nil {
			return mysql.Config{}, err
		}
	}
	cfg := mysql.ConfigOf(i)
	cfg.Password = password
	return cfg, nil
}

func (r *Report) toProto(c *replicationv1.JobConfig) *replicationv1.ValidateJobResponse {
	return &replicationv1.ValidateJobResponse{
		DriverConfigValidated: true,
		MysqlTaskValidationReport: []*replicationv1.TaskValidationReport{
			r.Source.toProto(c.GetSrcTask().GetTaskName()), r.Target.toProto(c.GetDestTask().GetTaskName()),
		},
		JobValidationError: r.Errors.text(), JobValidationWarning: r.Warnings.text(),
	}
}

func (s Side) toProto(task string) *replicationv1.TaskValidationReport {
	return &replicationv1.TaskValidationReport{
		TaskName: task, ConnectionValidation: s.Connection.toProto(), PrivilegesValidation: s.Privileges.toProto(),
		GtidModeValidation: s.GTIDMode.toProto(), ServerIdValidation: s.ServerID.toProto(), BinlogValidation: s.Binlog.toProto(),
	}
}

func (p *Problems) toProto() *replicationv1.Validation {
	if p == nil {
		return nil
	}
	return &replicationv1.Validation{Validated: len(*p) == 0, Error: p.text()}
}

func (p *Problems) text() string { return strings.Join(*p, "; ") }

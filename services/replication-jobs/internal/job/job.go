// Package job keeps replication jobs: what their owners want, and what became of it.
package job

import (
	"context"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/fault"
	"github.com/opsdeck/opsdeck/pkg/jobs"
	"github.com/opsdeck/opsdeck/pkg/page"
	"github.com/opsdeck/opsdeck/pkg/pg"
	"github.com/opsdeck/opsdeck/pkg/secret"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/reach"
)

// maxPage is the most jobs of one answer, and what callers get that ask for no size.
const maxPage = 10000

// Waker makes a worker node look at its jobs at once.
type Waker interface {
	// Wake wakes a node by its id; "" wakes all. A wake-up may be lost.
	Wake(node string)
}

// Service answers the calls of people about jobs.
type Service struct {
	replicationv1.UnimplementedJobServiceServer

	pool   *pgxpool.Pool
	queue  *jobs.Client
	sealer *secret.Sealer
	key    Decrypter
	check  Check
	wake   Waker
}

// Check asks both instances of a reverse job, whose passwords are in the clear, whether it could run. Its error is for the caller.
type Check func(ctx context.Context, config *replicationv1.JobConfig) error

// NewService returns the service; a nil key means that clients cannot encrypt passwords.
func NewService(pool *pgxpool.Pool, queue *jobs.Client, sealer *secret.Sealer, key Decrypter, check Check, wake Waker) *Service {
	return &Service{pool: pool, queue: queue, sealer: sealer, key: key, check: check, wake: wake}
}

// CreateJob stores a job; the first node with room takes it.
func (s *Service) CreateJob(ctx context.Context, r *replicationv1.CreateJobRequest) (*replicationv1.CreateJobResponse, error) {
	config := r.GetJob()
	if err := Prepare(config, r.GetJobType()); err != nil {
		return nil, err
	}
	if config.GetReverse() && config.GetSrcTask().GetGtid() != "" {
		return nil, fault.Invalid("job.src_task.gtid", "of a reverse job is where the job that it takes over from ends: leave it out")
	}
	job, err := s.newRow(r.GetJobType(), config, uuid.NewString(), passwords{})
	if err != nil {
		return nil, err
	}
	index, err := s.create(ctx, job)
	if err != nil {
		return nil, err
	}
	return &replicationv1.CreateJobResponse{Job: masked(config), EvalCreateIndex: index, JobModifyIndex: index}, nil
}

// create stores a job of the caller and returns its revision.
func (s *Service) create(ctx context.Context, job newJob) (int64, error) {
	caller := authn.FromContext(ctx)
	job.tenant, job.owner = caller.Tenant, caller.User
	return s.store(ctx, job)
}

// store stores a job and returns its revision.
func (s *Service) store(ctx context.Context, job newJob) (int64, error) {
	var index int64
	err := pg.InTx(ctx, s.pool, func(ctx context.Context, tx pgx.Tx) (err error) {
		if err := checkPinned(ctx, tx, job.nodes); err != nil {
			return err
		}
		if err := checkPredecessor(ctx, tx, job); err != nil {
			return err
		}
		if err := checkShared(ctx, tx, job); err != nil {
			return err
		}
		if index, err = insert(ctx, tx, job); err != nil {
			return err
		}
		return changed(ctx, tx, s.queue, job.summary(), verbCreated)
	})
	if err == nil {
		s.wake.Wake("")
	}
	return index, err
}

// newRow turns a configuration into what is stored: no password stays in it. One that is the mask stays what it was before.
func (s *Service) newRow(jobType string, config *replicationv1.JobConfig, incarnation string, before passwords) (newJob, error) {
	words, err := s.readPasswords(config, before)
	if err != nil {
		return newJob{}, err
	}
	box, err := seal(s.sealer, incarnation, words)
	if err != nil {
		return newJob{}, err
	}
	setPasswords(config, passwords{})
	text, err := asJSON.Marshal(config)
	if err != nil {
		return newJob{}, err
	}
	return newJob{
		id: config.GetJobId(), jobType: jobType, incarnation: incarnation,
		config: text, step: config.GetTaskStepName(), predecessor: config.GetSrcTask().GetWaitOnJob(),
		sourceHost: config.GetSrcTask().GetMysqlConnectionConfig().GetMysqlHost(),
		targetHost: config.GetDestTask().GetMysqlConnectionConfig().GetMysqlHost(),
		passwords:  box, nodes: wishesOf(config.GetFailover(), config.GetSrcTask().GetNodeId(), config.GetDestTask().GetNodeId()),
	}, nil
}

func (s *Service) readPasswords(config *replicationv1.JobConfig, before passwords) (passwords, error) {
	encrypted := config.GetIsMysqlPasswordEncrypted()
	words := passwordsOf(config)
	var err error
	if words.source, err = s.readPassword("job.src_task.mysql_connection_config.mysql_password", words.source, before.source, encrypted); err != nil {
		return words, err
	}
	words.target, err = s.readPassword("job.dest_task.mysql_connection_config.mysql_password", words.target, before.target, encrypted)
	return words, err
}

// readPassword reads a password of a request. One that is the mask, or empty, is the one before, where there is one.
func (s *Service) readPassword(field, word, before string, encrypted bool) (string, error) {
	switch {
	case (word == mask || word == "") && before != "":
		return before, nil
	case word != "" && encrypted:
		return Decrypt(s.key, field, word)
	}
	return word, nil
}

// ListJobs returns the jobs the caller may see.
func (s *Service) ListJobs(ctx context.Context, r *replicationv1.ListJobsRequest) (*replicationv1.ListJobsResponse, error) {
	scope := strings.Join([]string{"jobs", r.GetJobType(), r.GetFilterJobName(), r.GetFilterJobStatus(), r.GetOrderBy()}, "\x00")
	after, more, err := page.After[key](scope, r.GetPageToken())
	if err != nil {
		return nil, err
	}
	size := page.Limits{Default: maxPage, Max: maxPage}.Size(r.GetPageSize())
	filter := listFilter{
		jobType: r.GetJobType(), reach: reach.Of(ctx), prefix: r.GetFilterJobName(), status: r.GetFilterJobStatus(),
		newest: r.GetOrderBy() == "job_create_time", after: after, more: more, limit: size + 1,
	}
	rows, err := list(ctx, s.pool, filter)
	if err != nil {
		return nil, err
	}
	rows, next, err := page.Cut(scope, rows, size, row.key)
	if err != nil {
		return nil, err
	}
	answer := &replicationv1.ListJobsResponse{Jobs: make([]*replicationv1.JobSummary, 0, len(rows)), NextPageToken: next}
	for _, job := range rows {
		answer.Jobs = append(answer.Jobs, job.toProto())
	}
	return answer, nil
}

// GetJob returns all about one job.
func (s *Service) GetJob(ctx context.Context, r *replicationv1.GetJobRequest) (*replicationv1.GetJobResponse, error) {
	if err := matchType(r.GetJobId(), r.GetJobType()); err != nil {
		return nil, err
	}
	d, err := loadDetail(ctx, s.pool, r.GetJobId(), reach.Of(ctx))
	if err != nil {
		return nil, err
	}
	logs, err := loadLogs(ctx, s.pool, d.ID)
	if err != nil {
		return nil, err
	}
	profile, err := d.toProto()
	if err != nil {
		return nil, err
	}
	relay, err := loadRelay(ctx, s.pool, d.ID)
	if err != nil {
		return nil, err
	}
	verification, err := loadVerification(ctx, s.pool, d.ID)
	return &replicationv1.GetJobResponse{BasicTaskProfile: profile, TaskLogs: logs, Verification: verification, Relay: relay}, err
}

// PauseJob stops a job where it is.
func (s *Service) PauseJob(ctx context.Context, r *replicationv1.PauseJobRequest) (*replicationv1.PauseJobResponse, error) {
	return &replicationv1.PauseJobResponse{}, s.change(ctx, r.GetJobId(), r.GetJobType(), verbPaused, pause)
}

// ResumeJob lets a paused job go on.
func (s *Service) ResumeJob(ctx context.Context, r *replicationv1.ResumeJobRequest) (*replicationv1.ResumeJobResponse, error) {
	return &replicationv1.ResumeJobResponse{}, s.change(ctx, r.GetJobId(), r.GetJobType(), verbResumed, resume)
}

// DeleteJob stops a job and forgets it; what the target remembers of it is removed in the background.
func (s *Service) DeleteJob(ctx context.Context, r *replicationv1.DeleteJobRequest) (*replicationv1.DeleteJobResponse, error) {
	remove := func(ctx context.Context, tx pgx.Tx, j locked) (bool, error) {
		if err := del(ctx, tx, j.ID); err != nil {
			return false, err
		}
		if err := stayWith(ctx, tx, j.ID); err != nil {
			return false, err
		}
		return true, forgetLater(ctx, tx, s.queue, j)
	}
	return &replicationv1.DeleteJobResponse{}, s.change(ctx, r.GetJobId(), r.GetJobType(), verbDeleted, remove)
}

// change locks a job that the caller may act for, lets do change it, and tells the world and the node if it did.
func (s *Service) change(ctx context.Context, id, jobType, verb string, do func(context.Context, pgx.Tx, locked) (bool, error)) error {
	if err := matchType(id, jobType); err != nil {
		return err
	}
	var j locked
	var done bool
	err := pg.InTx(ctx, s.pool, func(ctx context.Context, tx pgx.Tx) (err error) {
		if j, err = lock(ctx, tx, id, reach.Of(ctx)); err != nil {
			return err
		}
		if done, err = do(ctx, tx, j); err != nil || !done {
			return err
		}
		return changed(ctx, tx, s.queue, j.Summary, verb)
	})
	if err == nil && done && j.Node != nil {
		s.wake.Wake(*j.Node)
	}
	return err
}

// matchType refuses an id of another job type than that of the path.
func matchType(id, jobType string) error {
	if strings.HasSuffix(id, "-"+jobType) {
		return nil
	}
	f := fault.Invalid("job_id", "%q is not the id of a %s job: those end with -%s", id, jobType, jobType)
	f.Reason = "JOB_TYPE_MISMATCH"
	return f
}

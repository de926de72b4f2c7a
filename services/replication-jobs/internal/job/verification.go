package job

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/fault"
	"github.com/opsdeck/opsdeck/pkg/page"
	"github.com/opsdeck/opsdeck/pkg/pg"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/engine"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/reach"
)

// Defaults of a verification.
const (
	defaultRowsPerSecond = 10_000
	defaultMaxLag        = 10 // seconds
)

// ended are the states of verifications that do not go on.
var ended = []string{"finished", "failed", "stopped"}

// Verifications answers the calls of people about comparing target and source.
type Verifications struct {
	replicationv1.UnimplementedVerifyServiceServer

	jobs *Service
}

// NewVerifications returns the service.
func NewVerifications(jobs *Service) *Verifications { return &Verifications{jobs: jobs} }

// VerifyJob orders a verification, or stops the one there is.
func (v *Verifications) VerifyJob(ctx context.Context, r *replicationv1.VerifyJobRequest) (*replicationv1.VerifyJobResponse, error) {
	do := func(ctx context.Context, tx pgx.Tx, j locked) (bool, error) { return true, order(ctx, tx, j, r) }
	if r.GetAction() == "stop" {
		do = func(ctx context.Context, tx pgx.Tx, j locked) (bool, error) {
			if r.GetRepair() || r.GetContinuous() || r.RowsPerSecond != nil || r.MaxLag != nil {
				return false, fault.Invalid("action", "stop takes no options: leave out repair, continuous, rows_per_second and max_lag")
			}
			return StopVerification(ctx, tx, j.ID)
		}
	}
	return &replicationv1.VerifyJobResponse{}, v.jobs.change(ctx, r.GetJobId(), r.GetJobType(), verbVerifying, do)
}

// order stores a verification in place of the one before.
func order(ctx context.Context, tx pgx.Tx, j locked, r *replicationv1.VerifyJobRequest) error {
	config, err := ReadConfig(j.ID, j.Config)
	if err != nil {
		return err
	}
	switch {
	case j.Status == "finished":
		return fault.Precondition("JOB_FINISHED", "job %s is finished: only a job that follows its source can be verified", j.ID)
	case j.Status == reverseInit:
		return fault.Precondition("JOB_WAITS", "job %s waits for the job that it takes over from: there is nothing to verify yet", j.ID)
	case config.GetTaskStepName() == string(engine.StepFull):
		return fault.Precondition("NOT_VERIFIABLE", "job %s only copies: only a job that follows its source can be verified", j.ID)
	}
	var running bool
	err = tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM replication.verifications WHERE job_id = $1 AND state <> ALL ($2))`, j.ID, ended).Scan(&running)
	if err != nil {
		return pg.Fault(err, "JOB", "verify job %s", j.ID)
	}
	if running {
		return fault.Precondition("VERIFICATION_RUNNING", "job %s is being verified: wait for the end, or stop that first", j.ID)
	}
	if _, err := tx.Exec(ctx, `DELETE FROM replication.verifications WHERE job_id = $1`, j.ID); err != nil {
		return pg.Fault(err, "JOB", "forget the last verification of job %s", j.ID)
	}
	_, err = tx.Exec(ctx, `
		INSERT INTO replication.verifications (job_id, ordered_by, repair, continuous, rows_per_second, max_lag) VALUES ($1, $2, $3, $4, $5, $6)`,
		j.ID, authn.FromContext(ctx).Name(), r.GetRepair(), r.GetContinuous(),
		cmp.Or(r.GetRowsPerSecond(), defaultRowsPerSecond), cmp.Or(r.GetMaxLag(), defaultMaxLag))
	return pg.Fault(err, "JOB", "verify job %s", j.ID)
}

// StopVerification ends the verification of a job, and reports false if there was none to end.
func StopVerification(ctx context.Context, tx pgx.Tx, id string) (bool, error) {
	tag, err := tx.Exec(ctx, `
		UPDATE replication.verifications SET state = 'stopped', end_time = now() WHERE job_id = $1 AND state <> ALL ($2)`, id, ended)
	return tag.RowsAffected() > 0, pg.Fault(err, "JOB", "stop the verification of job %s", id)
}

// verifyAnew has a verification that goes on begin again, under another number, if the job becomes another incarnation: how far it came, and what it
// found, is of rows that are not there any more.
func verifyAnew(ctx context.Context, tx pgx.Tx, id, incarnation string) error {
	_, err := tx.Exec(ctx, `
		WITH anew AS (
			UPDATE replication.verifications AS v SET number = nextval('replication.verification_numbers'), state = 'pending', progress = ''
			FROM replication.jobs AS j WHERE v.job_id = $1 AND j.id = $1 AND j.incarnation <> $2 AND v.state <> ALL ($3)
			RETURNING v.job_id
		)
		DELETE FROM replication.differences WHERE job_id IN (SELECT job_id FROM anew)`, id, incarnation, ended)
	return pg.Fault(err, "JOB", "begin the verification of job %s again", id)
}

// found is the place of a difference.
type found struct{ Pass, Number int64 }

// maxDifferences and defaultDifferences are the sizes of a page.
const (
	maxDifferences     = 1000
	defaultDifferences = 100
)

// GetVerification returns the last verification of a job.
func (v *Verifications) GetVerification(ctx context.Context, r *replicationv1.GetVerificationRequest) (*replicationv1.GetVerificationResponse, error) {
	if err := matchType(r.GetJobId(), r.GetJobType()); err != nil {
		return nil, err
	}
	scope := "differences\x00" + r.GetJobId()
	after, _, err := page.After[found](scope, r.GetPageToken())
	if err != nil {
		return nil, err
	}
	if _, err := loadDetail(ctx, v.jobs.pool, r.GetJobId(), reach.Of(ctx)); err != nil {
		return nil, err
	}
	answer := &replicationv1.GetVerificationResponse{}
	if answer.Verification, err = loadVerification(ctx, v.jobs.pool, r.GetJobId()); err != nil {
		return nil, err
	}
	if answer.GetVerification() == nil {
		return nil, fault.NotFound("NOT_VERIFIED", "job %s was never verified: order that by POST to this address", r.GetJobId())
	}
	size := page.Limits{Default: defaultDifferences, Max: maxDifferences}.Size(r.GetPageSize())
	rows, _ := v.jobs.pool.Query(ctx, `
		SELECT difference FROM replication.differences WHERE job_id = $1 AND (pass, number) > ($2, $3) ORDER BY pass, number LIMIT $4`,
		r.GetJobId(), after.Pass, after.Number, size+1)
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (*replicationv1.Difference, error) {
		var text []byte
		d := &replicationv1.Difference{}
		return d, errors.Join(row.Scan(&text), proto.Unmarshal(text, d))
	})
	if err != nil {
		return nil, pg.Fault(err, "JOB", "differences of job %s", r.GetJobId())
	}
	answer.Differences, answer.NextPageToken, err = page.Cut(scope, all, size, func(d *replicationv1.Difference) found { return found{d.GetPass(), d.GetNumber()} })
	return answer, err
}

// stored is a verification as it is stored, with the status of its job.
type stored struct {
	Job, Status, By, State string
	Number                 int64
	Repair, Continuous     bool
	Rate, MaxLag           int32
	Ordered                time.Time
	Ended                  *time.Time
	Progress               []byte
}

const storedColumns = `v.job_id, j.status, v.ordered_by, v.state, v.number, v.repair, v.continuous, v.rows_per_second, v.max_lag, v.order_time, v.end_time, v.progress
	FROM replication.verifications AS v JOIN replication.jobs AS j ON j.id = v.job_id `

// loadVerification returns nil if a job was never verified.
func loadVerification(ctx context.Context, db querier, id string) (*replicationv1.Verification, error) {
	rows, _ := db.Query(ctx, `SELECT `+storedColumns+`WHERE v.job_id = $1`, id)
	s, err := pgx.CollectOneRow(rows, pgx.RowToStructByPos[stored])
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil //nolint:nilnil // documented
	}
	if err != nil {
		return nil, pg.Fault(err, "JOB", "verification of job %s", id)
	}
	progress, err := s.progress()
	if err != nil {
		return nil, err
	}
	out := cmp.Or(progress.GetVerification(), &replicationv1.Verification{})
	out.State, out.OrderedBy, out.OrderTime = s.State, s.By, timestamppb.New(s.Ordered)
	out.Repair, out.Continuous, out.RowsPerSecond, out.MaxLag = s.Repair, s.Continuous, s.Rate, s.MaxLag
	switch {
	case s.Ended != nil:
		out.EndTime = timestamppb.New(*s.Ended)
	case s.Status != "running":
		out.State = "pending"
	}
	return out, nil
}

// querier is a pool or a transaction.
type querier interface {
	Query(ctx context.Context, query string, args ...any) (pgx.Rows, error)
}

func (s stored) progress() (*replicationv1.VerifyProgress, error) {
	p := &replicationv1.VerifyProgress{}
	if err := proto.Unmarshal(s.Progress, p); err != nil {
		return nil, fmt.Errorf("stored verification of job %s: %w", s.Job, err)
	}
	return p, nil
}

// verifications returns those of jobs that a condition on the job and its arguments choose, unless they have ended.
func verifications(ctx context.Context, tx pgx.Tx, condition string, argument any) ([]stored, error) {
	rows, _ := tx.Query(ctx, `SELECT `+storedColumns+`WHERE `+condition+` AND v.state <> ALL ($2) ORDER BY v.job_id FOR UPDATE OF v`, argument, ended)
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[stored])
	return all, pg.Fault(err, "PLACEMENT", "verifications")
}

// VerifyOrders returns what is to be verified of the jobs that a node has, by job.
func VerifyOrders(ctx context.Context, tx pgx.Tx, node string) (map[string]*replicationv1.VerifyOrder, error) {
	all, err := verifications(ctx, tx, "j.node = $1", node)
	orders := make(map[string]*replicationv1.VerifyOrder, len(all))
	for _, s := range all {
		progress, err := s.progress()
		if err != nil {
			return nil, err
		}
		orders[s.Job] = &replicationv1.VerifyOrder{
			Number: s.Number, Repair: s.Repair, Continuous: s.Continuous, RowsPerSecond: s.Rate, MaxLag: s.MaxLag, Progress: progress,
		}
	}
	return orders, err
}

// keptPasses is how many passes of a continuous verification keep their differences.
const keptPasses = 2

// StoreVerifications keeps what nodes report of verifications; publish tells the world of a pass that has ended. Reports of orders that were
// taken back say nothing.
func StoreVerifications(ctx context.Context, tx pgx.Tx, runs []*replicationv1.RunReport, publish func(job string, last *replicationv1.Verification) error) error {
	reported := map[string]*replicationv1.VerifyProgress{}
	var ids []string
	for _, run := range runs {
		if run.GetVerify() != nil {
			ids, reported[run.GetJobId()] = append(ids, run.GetJobId()), run.GetVerify()
		}
	}
	if len(ids) == 0 {
		return nil
	}
	known, err := verifications(ctx, tx, "v.job_id = ANY ($1)", ids)
	if err != nil {
		return err
	}
	var batch pgx.Batch
	for _, s := range known {
		now := reported[s.Job]
		if now.GetNumber() != s.Number {
			continue
		}
		before, err := s.progress()
		if err != nil {
			return err
		}
		if err := enqueue(&batch, s.Job, now); err != nil {
			return err
		}
		last := now.GetVerification()
		switch {
		case slices.Contains(ended, last.GetState()):
		case before.GetVerification().GetPass() > 0 && last.GetPass() > before.GetVerification().GetPass():
			last = before.GetVerification()
		default:
			continue
		}
		if err := publish(s.Job, last); err != nil {
			return err
		}
	}
	return pg.Fault(tx.SendBatch(ctx, &batch).Close(), "PLACEMENT", "store verifications")
}

// enqueue adds the statements that store a report.
func enqueue(batch *pgx.Batch, id string, now *replicationv1.VerifyProgress) error {
	var passes, numbers []int64
	var texts [][]byte
	for _, d := range now.GetDifferences() {
		text, err := proto.Marshal(d)
		if err != nil {
			return fmt.Errorf("difference of job %s: %w", id, err)
		}
		passes, numbers, texts = append(passes, d.GetPass()), append(numbers, d.GetNumber()), append(texts, text)
	}
	kept := proto.CloneOf(now)
	kept.Differences = nil
	text, err := proto.Marshal(kept)
	if err != nil {
		return fmt.Errorf("verification of job %s: %w", id, err)
	}
	batch.Queue(`UPDATE replication.verifications SET state = $2, progress = $3, end_time = CASE WHEN $2 = ANY ($4) THEN now() END WHERE job_id = $1`,
		id, now.GetVerification().GetState(), text, ended)
	if len(texts) > 0 {
		batch.Queue(`
			INSERT INTO replication.differences (job_id, pass, number, difference)
			SELECT $1, d.* FROM unnest($2::bigint[], $3::bigint[], $4::bytea[]) AS d ON CONFLICT DO NOTHING`, id, passes, numbers, texts)
	}
	batch.Queue(`DELETE FROM replication.differences WHERE job_id = $1 AND pass <= $2`, id, now.GetVerification().GetPass()-keptPasses)
	return nil
}

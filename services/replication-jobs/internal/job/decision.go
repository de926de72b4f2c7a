package job

import (
	"context"

	"github.com/jackc/pgx/v5"

	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/fault"
	"github.com/opsdeck/opsdeck/pkg/pg"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/ddl"
)

// keptDecisions is how many decisions of a job are kept and sent to its node. Older ones are about statements that the job has passed.
const keptDecisions = 10

// DecideStatement stores what becomes of the statement that a job stands at; its node hears of it at once.
func (s *Service) DecideStatement(ctx context.Context, r *replicationv1.DecideStatementRequest) (*replicationv1.DecideStatementResponse, error) {
	replacement, err := replacementOf(r)
	if err != nil {
		return nil, err
	}
	decide := func(ctx context.Context, tx pgx.Tx, j locked) (bool, error) {
		return true, storeDecision(ctx, tx, j.ID, r.GetPosition(), replacement)
	}
	return &replicationv1.DecideStatementResponse{}, s.change(ctx, r.GetJobId(), r.GetJobType(), verbDecided, decide)
}

func replacementOf(r *replicationv1.DecideStatementRequest) (string, error) {
	if r.GetAction() == "skip" {
		if r.GetStatement() != "" {
			return "", fault.Invalid("statement", "contradicts the action skip: leave it out, or replace")
		}
		return "", nil
	}
	if ddl.AtObject(r.GetPosition()) {
		return "", fault.Invalid("action", "of what a copy cannot create is skip: create it at the target afterwards, or make the target take it")
	}
	s, err := ddl.ParseReplacement(r.GetStatement())
	if err != nil {
		return "", fault.Invalid("statement", "%v", err)
	}
	return s.Text, nil
}

// storeDecision keeps a decision, in place of an earlier one about the same statement.
func storeDecision(ctx context.Context, tx pgx.Tx, id, position, replacement string) error {
	var at string
	if err := tx.QueryRow(ctx, `SELECT stopped_at FROM replication.jobs WHERE id = $1`, id).Scan(&at); err != nil {
		return pg.Fault(err, "JOB", "where job %s stands", id)
	}
	switch {
	case at == "":
		return fault.Precondition("JOB_NOT_STOPPED", "job %s does not stand at a statement", id)
	case at != position:
		return fault.Precondition("JOB_NOT_STOPPED", "job %s stands at the statement at %s, not at %s", id, at, position)
	}
	_, err := tx.Exec(ctx, `
		INSERT INTO replication.decisions (job_id, position, replacement, decided_by) VALUES ($1, $2, $3, $4)
		ON CONFLICT (job_id, position) DO UPDATE
		SET replacement = excluded.replacement, decided_by = excluded.decided_by, create_time = clock_timestamp()`,
		id, position, replacement, authn.FromContext(ctx).Name())
	if err != nil {
		return pg.Fault(err, "JOB", "decide about a statement of job %s", id)
	}
	_, err = tx.Exec(ctx, `
		DELETE FROM replication.decisions WHERE job_id = $1 AND position NOT IN (
			SELECT position FROM replication.decisions WHERE job_id = $1 ORDER BY create_time DESC LIMIT $2
		)`, id, keptDecisions)
	return pg.Fault(err, "JOB", "forget old decisions of job %s", id)
}

// Decisions returns what was decided about statements of the jobs that a node has, by job.
func Decisions(ctx context.Context, tx pgx.Tx, node string) (map[string][]*replicationv1.StatementDecision, error) {
	rows, _ := tx.Query(ctx, `
		SELECT d.job_id, d.position, d.replacement FROM replication.decisions AS d JOIN replication.jobs AS j ON j.id = d.job_id
		WHERE j.node = $1 ORDER BY d.job_id, d.create_time`, node)
	type decision struct{ Job, Position, Replacement string }
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[decision])
	if err != nil {
		return nil, pg.Fault(err, "PLACEMENT", "decisions for node %s", node)
	}
	byJob := map[string][]*replicationv1.StatementDecision{}
	for _, d := range all {
		byJob[d.Job] = append(byJob[d.Job], &replicationv1.StatementDecision{Position: d.Position, Replacement: d.Replacement})
	}
	return byJob, nil
}

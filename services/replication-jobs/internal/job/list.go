package job

import (
	"context"
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

// row is a job in a list.
type row struct {
	standing

	ID, SourceHost, TargetHost, Tenant, Owner string
	Topic                                     string // of a subscription
}

// key is where a page ends.
type key struct {
	ID   string    `json:"id"`
	Time time.Time `json:"time"`
}

func (r row) key() key { return key{ID: r.ID, Time: r.CreateTime} }

func (r row) toProto() *replicationv1.JobSummary {
	return &replicationv1.JobSummary{
		JobId: r.ID, JobStatus: r.Status, Topic: r.Topic, JobCreateTime: timestamppb.New(r.CreateTime),
		SrcAddrList: []string{r.SourceHost}, DstAddrList: strings.Split(r.TargetHost, ","),
		User: r.Tenant + ":" + r.Owner, JobSteps: r.steps(),
	}
}

// listFilter chooses jobs.
type listFilter struct {
	jobType, prefix, status string
	reach                   reach.Reach
	newest                  bool
	after                   key
	more                    bool // after is set
	limit                   int
}

// query has a condition for each filter that is set, and no other: each combination is a statement of its own, whose plan uses
// the index that fits.
func (f listFilter) query() (string, []any) {
	var args []any
	arg := func(value any) string {
		args = append(args, value)
		return "$" + strconv.Itoa(len(args))
	}
	text := `SELECT id, source_host, target_host, tenant, owner, step, status, stage, copied_percent, delay, backlog, create_time,
			coalesce(config #>> '{dest_task,kafka_topic}', '')
		FROM replication.jobs WHERE type = ` + arg(f.jobType)
	if f.reach.Tenant != nil {
		text += ` AND tenant = ` + arg(*f.reach.Tenant)
	}
	if f.reach.Owners != nil {
		text += ` AND tenant || ':' || owner = ANY (` + arg(f.reach.Owners) + `)`
	}
	if f.prefix != "" {
		prefix := arg(f.prefix)
		text += ` AND id >= ` + prefix + ` AND starts_with(id, ` + prefix + `)`
	}
	if f.status != "" {
		text += ` AND status = ` + arg(f.status)
	}
	order := ` ORDER BY id`
	switch {
	case f.newest && f.more:
		text += ` AND (create_time, id) < (` + arg(f.after.Time) + `, ` + arg(f.after.ID) + `)`
	case f.more:
		text += ` AND id > ` + arg(f.after.ID)
	}
	if f.newest {
		order = ` ORDER BY create_time DESC, id DESC`
	}
	return text + order + ` LIMIT ` + arg(f.limit), args
}

func list(ctx context.Context, pool *pgxpool.Pool, f listFilter) ([]row, error) {
	query, args := f.query()
	rows, _ := pool.Query(ctx, query, args...) // CollectRows returns its error
	all, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (j row, err error) {
		err = r.Scan(&j.ID, &j.SourceHost, &j.TargetHost, &j.Tenant, &j.Owner, &j.Step, &j.Status, &j.Stage, &j.CopiedPercent,
			&j.Delay, &j.Backlog, &j.CreateTime, &j.Topic)
		return j, err
	})
	return all, pg.Fault(err, "JOBS", "list jobs")
}

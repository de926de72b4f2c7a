package plan

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/types/known/timestamppb"

	dnsv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/dns/v1"

	"github.com/opsdeck/opsdeck/pkg/fault"
	"github.com/opsdeck/opsdeck/pkg/pg"

	"github.com/opsdeck/opsdeck/services/dns/internal/reach"
	"github.com/opsdeck/opsdeck/services/dns/internal/server"
	"github.com/opsdeck/opsdeck/services/dns/internal/zone"
)

// row is a change in a list.
type row struct {
	ID         int64      `db:"id"`
	Kind       string     `db:"kind"`
	State      string     `db:"state"`
	ChangedBy  string     `db:"changed_by"`
	CreatedAt  time.Time  `db:"created_at"`
	FinishedAt *time.Time `db:"finished_at"`
	Attempts   int32      `db:"attempts"`
	Error      string     `db:"error"`
	Sets       int64      `db:"set_count"`
}

func (r row) toProto() *dnsv1.Change {
	c := &dnsv1.Change{
		Id: r.ID, Kind: r.Kind, State: r.State, ChangedBy: r.ChangedBy, CreatedTime: timestamppb.New(r.CreatedAt),
		Attempts: r.Attempts, Error: r.Error, Sets: r.Sets,
	}
	if r.FinishedAt != nil {
		c.FinishedTime = timestamppb.New(*r.FinishedAt)
	}
	return c
}

// ListChanges implements the ChangeService.
func (s *Service) ListChanges(ctx context.Context, r *dnsv1.ListChangesRequest) (*dnsv1.ListChangesResponse, error) {
	offset, limit, err := server.Pages.Offset(r.GetPage(), r.GetPageSize())
	if err != nil {
		return nil, err
	}
	d, err := zone.Find(ctx, s.changer.Pool, reach.Of(ctx), zone.RefOf(r))
	if err != nil {
		return nil, err
	}
	answer := &dnsv1.ListChangesResponse{}
	err = s.changer.Pool.QueryRow(ctx, `SELECT count(*) FROM dns.changes WHERE domain_id = $1 AND ($2 = '' OR state = $2)`,
		d.ID, r.GetState()).Scan(&answer.Count)
	if err != nil {
		return nil, pg.Fault(err, "CHANGES", "count changes")
	}
	found, _ := s.changer.Pool.Query(ctx, `
		SELECT id, kind, state, changed_by, created_at, finished_at, attempts, error, set_count
		FROM dns.changes WHERE domain_id = $1 AND ($2 = '' OR state = $2)
		ORDER BY id DESC OFFSET $3 LIMIT $4`, d.ID, r.GetState(), offset, limit) // the error comes again below
	rows, err := pgx.CollectRows(found, pgx.RowToStructByName[row])
	if err != nil {
		return nil, pg.Fault(err, "CHANGES", "list changes")
	}
	for _, row := range rows {
		answer.Results = append(answer.Results, row.toProto())
	}
	return answer, nil
}

// RollBackChange implements the ChangeService.
func (s *Service) RollBackChange(ctx context.Context, r *dnsv1.RollBackChangeRequest) (*dnsv1.RollBackChangeResponse, error) {
	outcome, err := s.changer.Do(ctx, reach.Of(ctx), zone.Caller(ctx), func(ctx context.Context, tx *zone.Tx) error {
		e, err := tx.Edit(ctx, zone.RefOf(r), zone.Records)
		if err != nil {
			return err
		}
		c, err := zone.FindChange(ctx, tx, e.Domain.ID, r.GetChangeId())
		if err != nil {
			return err
		}
		if err := rollBack(ctx, e, c); err != nil {
			return err
		}
		_, err = e.Finish(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &dnsv1.RollBackChangeResponse{ChangeId: outcome.Change, Pending: outcome.Pending}, nil
}

// rollBack puts the before-images of a change back, if nobody changed its sets since.
func rollBack(ctx context.Context, e *zone.Edit, c zone.Change) error {
	if c.State != zone.Applied || c.Kind != zone.Records && c.Kind != zone.Adopt {
		return fault.Precondition("CHANGE_NOT_APPLIED", "change %d is of kind %s and %s: only applied changes of records can be rolled back", c.ID, c.Kind, c.State).
			Chinese("变更 %d 的类型为 %s，状态为 %s：只能回滚已生效的记录变更", c.ID, c.Kind, c.State)
	}
	names := make([]string, len(c.Sets))
	for i, set := range c.Sets {
		names[i] = set.Key().Name
	}
	if err := e.Load(ctx, names...); err != nil {
		return err
	}
	for _, set := range c.Sets {
		if now := e.Set(set.Key()); !now.Equal(set.After) {
			return fault.Precondition("CHANGED_SINCE", "%s has been changed since change %d: roll the later change back first", set.Key(), c.ID).
				Chinese("%s 在变更 %d 之后又被修改：请先回滚后来的变更", set.Key(), c.ID)
		}
	}
	for _, set := range c.Sets {
		e.SetTo(set.Key(), set.Before)
	}
	return nil
}

package audit

import (
	"context"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/protobuf/types/known/timestamppb"

	dnsv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/dns/v1"

	"github.com/opsdeck/opsdeck/pkg/page"
	"github.com/opsdeck/opsdeck/pkg/pg"

	"github.com/opsdeck/opsdeck/services/dns/internal/reach"
)

var pages = page.Limits{Default: 10, Max: 100}

// Service serves the OperationService.
type Service struct {
	dnsv1.UnimplementedOperationServiceServer

	pool *pgxpool.Pool
}

// NewService returns the OperationService.
func NewService(pool *pgxpool.Pool) *Service { return &Service{pool: pool} }

// row is an operation as it is stored.
type row struct {
	ID       int64     `db:"id"`
	Target   string    `db:"op_target"`
	Type     string    `db:"op_type"`
	Detail   string    `db:"op_detail"`
	Time     time.Time `db:"op_time"`
	Operator string    `db:"operator"`
}

// ListOperations implements the OperationService.
func (s *Service) ListOperations(ctx context.Context, r *dnsv1.ListOperationsRequest) (*dnsv1.ListOperationsResponse, error) {
	offset, limit, err := pages.Offset(r.GetPage(), r.GetPageSize())
	if err != nil {
		return nil, err
	}
	const where = `
		FROM dns.operations
		WHERE ($1 OR tenant = $2) AND ($3 = '' OR operator = $3) AND ($4 = '' OR op_type = $4) AND ($5 = '' OR op_target = $5)
		  AND ($6 = '' OR strpos(lower(op_detail), $6) > 0)
		  AND ($7::timestamptz IS NULL OR op_time <= $7) AND ($8::timestamptz IS NULL OR op_time >= $8)`
	of := reach.Of(ctx)
	args := []any{
		of.Every, of.Tenant, r.GetOperator(), r.GetOpType(), r.GetOpTarget(), strings.ToLower(r.GetOpDetail()), at(r.GetOpTimeLt()), at(r.GetOpTimeGt()),
	}
	answer := &dnsv1.ListOperationsResponse{}
	if err := s.pool.QueryRow(ctx, `SELECT count(*)`+where, args...).Scan(&answer.Count); err != nil {
		return nil, pg.Fault(err, "OPERATIONS", "count operations")
	}
	found, _ := s.pool.Query(ctx, `SELECT id, op_target, op_type, op_detail, op_time, operator`+where+` ORDER BY id DESC OFFSET $9 LIMIT $10`,
		append(args, offset, limit)...) // the error comes again below
	rows, err := pgx.CollectRows(found, pgx.RowToStructByName[row])
	if err != nil {
		return nil, pg.Fault(err, "OPERATIONS", "list operations")
	}
	for _, o := range rows {
		answer.Results = append(answer.Results, &dnsv1.Operation{
			Id: o.ID, OpTarget: o.Target, OpType: o.Type, OpDetail: o.Detail, OpTime: timestamppb.New(o.Time), Operator: o.Operator,
		})
	}
	return answer, nil
}

// at is null for no time.
func at(t *timestamppb.Timestamp) *time.Time {
	if t == nil {
		return nil
	}
	v := t.AsTime()
	return &v
}

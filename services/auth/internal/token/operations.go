package token

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/types/known/timestamppb"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"

	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/pg"

	"github.com/opsdeck/opsdeck/services/auth/internal/rights"
)

// operation is a row of the audit about a token.
type operation struct {
	ID       int64     `db:"id"`
	Name     string    `db:"token_name"`
	Type     string    `db:"op_type"`
	Detail   string    `db:"detail"`
	At       time.Time `db:"at"`
	Operator string    `db:"operator"`
}

func (o operation) proto() *authv1.TokenOperation {
	return &authv1.TokenOperation{
		Id: o.ID, TokenName: o.Name, OpType: o.Type, OpDetail: o.Detail, OpTime: timestamppb.New(o.At), Operator: o.Operator,
	}
}

// operations returns a page of the audit, newest first, and how many rows there are on all pages.
func (s store) operations(ctx context.Context, by rights.Rights, r *authv1.ListTokenOperationsRequest, offset int64, limit int) (ops []operation, count int64, err error) {
	const wanted = `
		  FROM (SELECT a.id, a.at, a.detail, coalesce(a.after ->> 'name', a.before ->> 'name') AS token_name, split_part(a.actor, ':', 2) AS operator,
		               CASE split_part(a.action, '.', 2) WHEN 'created' THEN 'add' WHEN 'updated' THEN 'update' ELSE 'delete' END AS op_type
		          FROM auth.audit a
		         WHERE a.action IN ('token.created', 'token.updated', 'token.deleted', 'app_key.created', 'app_key.deleted')
		           AND ($1 OR a.tenant = $2)) o
		 WHERE ($3 = '' OR o.operator = $3)
		   AND position(lower($4) IN lower(o.token_name)) > 0
		   AND ($5 = '' OR o.op_type = $5)
		   AND position(lower($6) IN lower(o.detail)) > 0
		   AND ($7::timestamptz IS NULL OR o.at <= $7)
		   AND ($8::timestamptz IS NULL OR o.at >= $8)`
	args := []any{
		by.Tenant == authn.PlatformTenant, by.Tenant, r.GetOperator(), r.GetTokenName(), r.GetOpType(), r.GetOpDetail(),
		timeOf(r.GetOpTimeLt()), timeOf(r.GetOpTimeGt()),
	}
	if err := s.pool.QueryRow(ctx, `SELECT count(*)`+wanted, args...).Scan(&count); err != nil {
		return nil, 0, pg.Fault(err, "AUDIT", "count the operations on tokens")
	}
	rows, _ := s.pool.Query(ctx, `SELECT o.id, o.token_name, o.op_type, o.detail, o.at, o.operator`+wanted+` ORDER BY o.id DESC OFFSET $9 LIMIT $10`,
		append(args, offset, limit)...) // the error comes again below
	ops, err = pgx.CollectRows(rows, pgx.RowToStructByName[operation])
	return ops, count, pg.Fault(err, "AUDIT", "list the operations on tokens")
}

func timeOf(t *timestamppb.Timestamp) *time.Time {
	if t == nil {
		return nil
	}
	at := t.AsTime()
	return &at
}

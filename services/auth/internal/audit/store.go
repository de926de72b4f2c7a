package audit

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/opsdeck/opsdeck/pkg/pg"
)

// filter says which rows are looked for; zero values match everything.
type filter struct {
	everyTenant                                    bool
	tenant, operator, targetType, targetName, kind string
	module                                         string
	resource                                       int64
	permissions                                    []string
	granted                                        *bool
	from, until                                    *time.Time // both inclusive
	offset                                         int64
	limit                                          int
}

// changed is what the rows of both lists have.
type changed struct {
	ID         int64     `db:"id"`
	At         time.Time `db:"at"`
	Operator   string    `db:"operator"`
	TargetType string    `db:"target_type"`
	TargetName string    `db:"target_name"`
	Permission string    `db:"permission"`
	Granted    bool      `db:"granted"`
}

func (c changed) action() string {
	if c.Granted {
		return enabled
	}
	return disabled
}

type moduleRow struct {
	changed

	Module string `db:"module"`
}

type resourceRow struct {
	changed

	Kind       string `db:"resource_kind"`
	ResourceID int64  `db:"resource_id"`
	Name       string `db:"resource_name"`
}

const (
	changedColumns = `g.id, g.at, g.operator, g.target_type, g.target_name, g.permission, g.granted`
	// matching takes the parameters of filter.arguments.
	matching = `
	       ($1 OR g.tenant = $2)
	   AND ($3 = '' OR g.operator = $3)
	   AND ($4 = '' OR g.target_type = $4)
	   AND ($5 = '' OR g.target_name = $5)
	   AND ($6::text[] IS NULL OR g.permission = ANY ($6))
	   AND ($7::boolean IS NULL OR g.granted = $7)
	   AND ($8::timestamptz IS NULL OR g.at >= $8)
	   AND ($9::timestamptz IS NULL OR g.at <= $9)`
)

func (f filter) arguments(more ...any) []any {
	return append([]any{f.everyTenant, f.tenant, f.operator, f.targetType, f.targetName, f.permissions, f.granted, f.from, f.until}, more...)
}

func (s *Server) modules(ctx context.Context, f filter) ([]moduleRow, int64, error) {
	const where = ` FROM auth.grant_changes g WHERE g.module IS NOT NULL AND ($10 = '' OR g.module = $10) AND ` + matching
	var count int64
	if err := s.pool.QueryRow(ctx, `SELECT count(*)`+where, f.arguments(f.module)...).Scan(&count); err != nil {
		return nil, 0, pg.Fault(err, "AUDIT", "count changes of grants")
	}
	rows, _ := s.pool.Query(ctx, `SELECT `+changedColumns+`, g.module`+where+` ORDER BY g.id DESC OFFSET $11 LIMIT $12`,
		f.arguments(f.module, f.offset, f.limit)...) // the error comes again below
	found, err := pgx.CollectRows(rows, pgx.RowToStructByName[moduleRow])
	return found, count, pg.Fault(err, "AUDIT", "list changes of grants")
}

func (s *Server) resources(ctx context.Context, f filter) ([]resourceRow, int64, error) {
	const where = ` FROM auth.grant_changes g
	 WHERE g.resource_kind IS NOT NULL AND ($10 = '' OR g.resource_kind = $10) AND ($11 = 0 OR g.resource_id = $11) AND ` + matching
	var count int64
	if err := s.pool.QueryRow(ctx, `SELECT count(*)`+where, f.arguments(f.kind, f.resource)...).Scan(&count); err != nil {
		return nil, 0, pg.Fault(err, "AUDIT", "count changes of grants")
	}
	rows, _ := s.pool.Query(ctx, `
		SELECT `+changedColumns+`, g.resource_kind, g.resource_id, g.resource_name`+where+` ORDER BY g.id DESC OFFSET $12 LIMIT $13`,
		f.arguments(f.kind, f.resource, f.offset, f.limit)...) // the error comes again below
	found, err := pgx.CollectRows(rows, pgx.RowToStructByName[resourceRow])
	return found, count, pg.Fault(err, "AUDIT", "list changes of grants")
}

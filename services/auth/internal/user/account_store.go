package user

import (
	"context"

	"github.com/jackc/pgx/v5"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"

	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/pg"

	"github.com/opsdeck/opsdeck/services/auth/internal/change"
	"github.com/opsdeck/opsdeck/services/auth/internal/rights"
)

// account is the user as he is shown to somebody of a tenant.
func (u userRow) account(tenant string) *authv1.Account {
	a := &authv1.Account{Id: u.ID, Username: u.Username, Email: u.Email, Phone: u.Phone, Status: u.Status}
	if u.Tenant != tenant {
		a.Tenant = u.Tenant
	}
	return a
}

// search says which users are looked for; empty texts match everything.
type search struct {
	everyTenant                            bool
	tenant, username, email, phone, status string
}

const searched = `
	 WHERE ($1 OR t.name = $2)
	   AND ($3 = '' OR strpos(lower(u.username), lower($3)) > 0)
	   AND ($4 = '' OR strpos(lower(u.email), lower($4)) > 0)
	   AND ($5 = '' OR strpos(u.phone, $5) > 0)
	   AND ($6 = '' OR u.status = $6)`

// search returns a page of users by id, and how many there are on all pages.
func (s store) search(ctx context.Context, f search, offset int64, limit int) ([]userRow, int64, error) {
	var count int64
	err := s.pool.QueryRow(ctx, `SELECT count(*) FROM auth.users u JOIN auth.tenants t ON t.id = u.tenant_id`+searched,
		f.everyTenant, f.tenant, f.username, f.email, f.phone, f.status).Scan(&count)
	if err != nil {
		return nil, 0, pg.Fault(err, "USER", "count users")
	}
	rows, _ := s.pool.Query(ctx, `SELECT `+userColumns+` FROM `+userTables+searched+` ORDER BY u.id OFFSET $7 LIMIT $8`,
		f.everyTenant, f.tenant, f.username, f.email, f.phone, f.status, offset, limit) // the error comes again below
	users, err := pgx.CollectRows(rows, pgx.RowToStructByName[userRow])
	return users, count, pg.Fault(err, "USER", "list users")
}

// byID returns a user of the tenants in the caller's reach.
func (s store) byID(ctx context.Context, caller authn.Principal, id int64) (userRow, error) {
	rows, _ := s.pool.Query(ctx, `SELECT `+userColumns+` FROM `+userTables+` WHERE u.id = $1 AND ($2 OR t.name = $3)`,
		id, caller.IsPlatform(), caller.Tenant) // the error comes again below
	u, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[userRow])
	return u, pg.Fault(err, "USER_NOT_FOUND", "there is no user %d", id)
}

func findByID(ctx context.Context, c *change.Change, id int64) (userRow, error) {
	users, err := findAll(ctx, c, []int64{id})
	if err != nil {
		return userRow{}, err
	}
	return users[0], nil
}

func setContact(ctx context.Context, c *change.Change, u userRow) error {
	_, err := c.Tx.Exec(ctx, `UPDATE auth.users SET email = $2, phone = $3 WHERE id = $1`, u.ID, u.Email, u.Phone)
	return pg.Fault(err, "USER", "store user %s", u.name())
}

func setStatus(ctx context.Context, c *change.Change, u userRow, status string) error {
	_, err := c.Tx.Exec(ctx, `UPDATE auth.users SET status = $2 WHERE id = $1`, u.ID, status)
	return pg.Fault(err, "USER", "store user %s", u.name())
}

// OfRole returns the users who have a role as somebody of a tenant sees them, by id, at most limit.
func OfRole(ctx context.Context, db rights.Querier, role int64, tenant string, limit int) ([]*authv1.Account, error) {
	rows, _ := db.Query(ctx, `
		SELECT `+userColumns+` FROM `+userTables+`
		 WHERE u.id IN (SELECT h.user_id FROM auth.held_roles h WHERE h.role_id = $1) ORDER BY u.id LIMIT $2`,
		role, limit) // the error comes again below
	users, err := pgx.CollectRows(rows, pgx.RowToStructByName[userRow])
	if err != nil {
		return nil, pg.Fault(err, "USER", "list the users of role %d", role)
	}
	accounts := make([]*authv1.Account, 0, len(users))
	for _, u := range users {
		accounts = append(accounts, u.account(tenant))
	}
	return accounts, nil
}

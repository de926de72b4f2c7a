package recovery

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/opsdeck/opsdeck/pkg/pg"
)

// owner is whose password is set.
type owner struct {
	ID       int64  `db:"id"`
	Tenant   string `db:"tenant"`
	Username string `db:"username"`
	Role     string `db:"role"`
	Email    string `db:"email"`
}

// maxClaimed bounds how many tenants one name and mail address can be at home in.
const maxClaimed = 10

// claimed returns the enabled users that a claim is true of, and keeps others from changing them or their links. A name may be known
// in several tenants; the mail address must be that of the account in each. Whom a provider made signs in by it: what that takes from
// him must not come back by mail.
func claimed(ctx context.Context, tx pgx.Tx, c claim) ([]owner, error) {
	id, tenant, username := c.parts()
	rows, _ := tx.Query(ctx, `
		SELECT u.id, t.name AS tenant, u.username, coalesce(r.name, '') AS role, u.email
		  FROM auth.users u
		  JOIN auth.tenants t ON t.id = u.tenant_id
		  LEFT JOIN auth.roles r ON r.id = u.role_id
		 WHERE lower(u.email) = $1 AND u.email <> '' AND u.status = 'enabled'
		   AND NOT EXISTS (SELECT FROM auth.oidc_identities i WHERE i.user_id = u.id AND i.made_user)
		   AND (u.id = $2 OR lower(u.username) = $3 AND ($4 = '' OR lower(t.name) = $4))
		 ORDER BY u.id
		 LIMIT $5
		   FOR NO KEY UPDATE OF u`, c.Email, id, username, tenant, maxClaimed) // the error comes again below
	users, err := pgx.CollectRows(rows, pgx.RowToStructByName[owner])
	return users, pg.Fault(err, "USER", "find the users that forgot their password")
}

// byLink returns the user of a link that is good; nil for none.
func byLink(ctx context.Context, pool *pgxpool.Pool, hashes [][]byte, now time.Time) (*owner, error) {
	rows, _ := pool.Query(ctx, `
		SELECT u.id, t.name AS tenant, u.username, coalesce(r.name, '') AS role, u.email
		  FROM auth.password_resets p
		  JOIN auth.users u ON u.id = p.user_id
		  JOIN auth.tenants t ON t.id = u.tenant_id
		  LEFT JOIN auth.roles r ON r.id = u.role_id
		 WHERE p.token_hash = ANY ($1) AND p.expires_at > $2 AND u.status = 'enabled'`, hashes, now) // the error comes again below
	who, err := pgx.CollectExactlyOneRow(rows, pgx.RowToAddrOfStructByName[owner])
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil //nolint:nilnil // that a link is not good is an answer
	}
	return who, pg.Fault(err, "USER", "find the user of a link")
}

func byID(ctx context.Context, tx pgx.Tx, id int64) (*owner, error) {
	rows, _ := tx.Query(ctx, `
		SELECT u.id, t.name AS tenant, u.username, coalesce(r.name, '') AS role, u.email
		  FROM auth.users u
		  JOIN auth.tenants t ON t.id = u.tenant_id
		  LEFT JOIN auth.roles r ON r.id = u.role_id
		 WHERE u.id = $1`, id) // the error comes again below
	who, err := pgx.CollectExactlyOneRow(rows, pgx.RowToAddrOfStructByName[owner])
	return who, pg.Fault(err, "USER_NOT_FOUND", "there is no user %d", id)
}

// linksSince returns how many links a user was sent since a time.
func linksSince(ctx context.Context, tx pgx.Tx, userID int64, since time.Time) (sent int, err error) {
	err = tx.QueryRow(ctx, `SELECT count(*) FROM auth.password_resets WHERE user_id = $1 AND created_at > $2`, userID, since).Scan(&sent)
	return sent, pg.Fault(err, "PASSWORD_RESET", "count the links of user %d", userID)
}

// replaceLinks makes the links of a user void and stores another.
func replaceLinks(ctx context.Context, tx pgx.Tx, userID int64, hash []byte, now time.Time) error {
	_, err := tx.Exec(ctx, `UPDATE auth.password_resets SET expires_at = $2 WHERE user_id = $1 AND expires_at > $2`, userID, now)
	if err != nil {
		return pg.Fault(err, "PASSWORD_RESET", "replace the links of user %d", userID)
	}
	_, err = tx.Exec(ctx, `
		INSERT INTO auth.password_resets (token_hash, user_id, created_at, expires_at) VALUES ($1, $2, $3, $4)`,
		hash, userID, now, now.Add(linkLife))
	return pg.Fault(err, "PASSWORD_RESET", "store a link of user %d", userID)
}

// useLink uses a link up: of two who come with it one gets it.
func useLink(ctx context.Context, tx pgx.Tx, hashes [][]byte, now time.Time) (bool, error) {
	tag, err := tx.Exec(ctx, `UPDATE auth.password_resets SET expires_at = $2 WHERE token_hash = ANY ($1) AND expires_at > $2`, hashes, now)
	return tag.RowsAffected() == 1, pg.Fault(err, "PASSWORD_RESET", "use a link")
}

func deleteOld(ctx context.Context, pool *pgxpool.Pool, before time.Time) error {
	_, err := pool.Exec(ctx, `DELETE FROM auth.password_resets WHERE created_at < $1`, before)
	return pg.Fault(err, "PASSWORD_RESET", "delete old links")
}

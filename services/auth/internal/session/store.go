package session

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/opsdeck/opsdeck/pkg/pg"
)

// person is a user as the login needs it.
type person struct {
	ID          int64     `db:"id"`
	Tenant      string    `db:"tenant"`
	Username    string    `db:"username"`
	Role        string    `db:"role"`
	Hash        string    `db:"password_hash"`
	PasswordSet time.Time `db:"password_set_at"`
	Enabled     bool      `db:"enabled"`
}

type store struct{ pool *pgxpool.Pool }

// person returns nil when there is none.
func (s store) person(ctx context.Context, who account) (*person, error) {
	p, err := s.personWhere(ctx, `t.name = $1 AND lower(u.username) = lower($2)`, who.tenant, who.username)
	return p, pg.Fault(err, "USER", "read user %s", who)
}

// personByID returns nil when there is none.
func (s store) personByID(ctx context.Context, id int64) (*person, error) {
	p, err := s.personWhere(ctx, `u.id = $1`, id)
	return p, pg.Fault(err, "USER", "read user %d", id)
}

// personWhere takes one of the conditions above.
func (s store) personWhere(ctx context.Context, condition string, args ...any) (*person, error) {
	rows, _ := s.pool.Query(ctx, `
		SELECT u.id, t.name AS tenant, u.username, coalesce(r.name, '') AS role, u.password_hash, u.password_set_at,
		       u.status = 'enabled' AS enabled
		  FROM auth.users u
		  JOIN auth.tenants t ON t.id = u.tenant_id
		  LEFT JOIN auth.roles r ON r.id = u.role_id
		 WHERE `+condition, args...) // the error comes again below
	p, err := pgx.CollectExactlyOneRow(rows, pgx.RowToAddrOfStructByName[person])
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil //nolint:nilnil // that there is nobody is an answer, which the caller must not show
	}
	return p, err
}

// attempts returns the zero value for an account without failures.
func (s store) attempts(ctx context.Context, who account) (attempts, error) {
	return attemptsOf(ctx, s.pool, `
		SELECT failures, locked_until FROM auth.login_attempts WHERE tenant = $1 AND username = lower($2)`, who)
}

// attemptsLocked also keeps others from adding failures before the transaction ends.
func attemptsLocked(ctx context.Context, tx pgx.Tx, who account) (attempts, error) {
	return attemptsOf(ctx, tx, `
		SELECT failures, locked_until FROM auth.login_attempts WHERE tenant = $1 AND username = lower($2) FOR UPDATE`, who)
}

// attemptsMade is attemptsLocked for an account that need not have a row yet.
func attemptsMade(ctx context.Context, tx pgx.Tx, who account, now time.Time) (attempts, error) {
	return attemptsOf(ctx, tx, `
		INSERT INTO auth.login_attempts (tenant, username, failures, expires_at)
		VALUES ($1, lower($2), '{}', $3)
		ON CONFLICT (tenant, username) DO UPDATE SET tenant = excluded.tenant
		RETURNING failures, locked_until`, who, now)
}

type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

func attemptsOf(ctx context.Context, db querier, sql string, who account, more ...any) (attempts, error) {
	rows, _ := db.Query(ctx, sql, append([]any{who.tenant, who.username}, more...)...) // the error comes again below
	a, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[attempts])
	if errors.Is(err, pgx.ErrNoRows) {
		return attempts{}, nil
	}
	return a, pg.Fault(err, "LOGIN_ATTEMPTS", "failed logins of %s", who)
}

func saveAttempts(ctx context.Context, tx pgx.Tx, who account, a attempts, now time.Time) error {
	_, err := tx.Exec(ctx, `
		UPDATE auth.login_attempts SET failures = $3, locked_until = $4, expires_at = $5
		 WHERE tenant = $1 AND username = lower($2)`, who.tenant, who.username, a.Failures, a.LockedUntil, a.expires(now))
	return pg.Fault(err, "LOGIN_ATTEMPTS", "store failed logins of %s", who)
}

// insert also keeps others from changing the user before the transaction ends. It reports false when the user was disabled, deleted or given another password since it was read.
func insert(ctx context.Context, tx pgx.Tx, p *person, o Session) (bool, error) {
	tag, err := tx.Exec(ctx, `
		INSERT INTO auth.sessions (id, user_id, kind, secret_hash, turn_hash, address, user_agent, created_at, expires_at)
		SELECT $1, u.id, $2, $3, $4, $5, $6, $7, $8
		  FROM auth.users u
		 WHERE u.id = $9 AND u.status = 'enabled' AND u.password_set_at = $10
		   FOR NO KEY UPDATE`, o.ID, o.Kind, o.Secret, o.Turn, o.Address, o.Agent, o.From, o.Until, p.ID, p.PasswordSet)
	return tag.RowsAffected() == 1, pg.Fault(err, "SESSION", "store a session of %s:%s", p.Tenant, p.Username)
}

func replaceHash(ctx context.Context, tx pgx.Tx, p *person, hash string) error {
	_, err := tx.Exec(ctx, `UPDATE auth.users SET password_hash = $2 WHERE id = $1`, p.ID, hash)
	return pg.Fault(err, "USER", "store a password hash of %s:%s", p.Tenant, p.Username)
}

// Unlock takes the failed logins off an account and reports whether there were any.
func Unlock(ctx context.Context, tx pgx.Tx, tenant, username string) (bool, error) {
	tag, err := tx.Exec(ctx, `DELETE FROM auth.login_attempts WHERE tenant = $1 AND username = lower($2)`, tenant, username)
	return tag.RowsAffected() > 0, pg.Fault(err, "LOGIN_ATTEMPTS", "unlock %s:%s", tenant, username)
}

// SetPassword stores the hash of a user's new password and ends the sessions that he signed in to, but for one that is to stay; ""
// for none. His tokens stay: he removes them himself.
func SetPassword(ctx context.Context, tx pgx.Tx, userID int64, hash string, now time.Time, stays string) error {
	_, err := tx.Exec(ctx, `UPDATE auth.users SET password_hash = $2, password_set_at = $3 WHERE id = $1`, userID, hash, now)
	if err != nil {
		return pg.Fault(err, "USER", "store the password of user %d", userID)
	}
	_, err = tx.Exec(ctx, `DELETE FROM auth.sign_ins WHERE user_id = $1 AND id <> $2`, userID, stays)
	return pg.Fault(err, "SESSION", "end the sessions of user %d", userID)
}

// EndEvery ends the sessions that anybody signed in to.
func EndEvery(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, `DELETE FROM auth.sign_ins`)
	return pg.Fault(err, "SESSION", "end all sessions")
}

// deleteExpired removes sessions and failed logins that no longer matter. Tokens that have expired are shown until they are removed.
func (s store) deleteExpired(ctx context.Context, now time.Time) error {
	_, err := s.pool.Exec(ctx, `DELETE FROM auth.sign_ins WHERE expires_at <= $1`, now)
	if err != nil {
		return pg.Fault(err, "SESSION", "delete expired sessions")
	}
	_, err = s.pool.Exec(ctx, `DELETE FROM auth.login_attempts WHERE expires_at <= $1`, now)
	return pg.Fault(err, "LOGIN_ATTEMPTS", "delete old failed logins")
}

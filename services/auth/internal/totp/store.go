package totp

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/opsdeck/opsdeck/pkg/pg"
	"github.com/opsdeck/opsdeck/pkg/rpc"

	"github.com/opsdeck/opsdeck/services/auth/internal/mail"
)

// factor is a second factor as it is stored, and whose it is.
type factor struct {
	UserID      int64      `db:"user_id"`
	Tenant      string     `db:"tenant"`
	Username    string     `db:"username"`
	Email       string     `db:"email"`
	Secret      []byte     `db:"secret"`
	ConfirmedAt *time.Time `db:"confirmed_at"`
	Left        int32      `db:"codes_left"`
}

// Confirmed reports whether it counts.
func (f factor) Confirmed() bool { return f.ConfirmedAt != nil }

// database is a pool or a transaction.
type database interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

// factorOf returns nil for a user who has none.
func factorOf(ctx context.Context, db database, userID int64) (*factor, error) {
	rows, _ := db.Query(ctx, `
		SELECT f.user_id, t.name AS tenant, u.username, u.email, f.secret, f.confirmed_at,
		       (SELECT count(*)::integer FROM auth.recovery_codes c WHERE c.user_id = f.user_id) AS codes_left
		  FROM auth.totp f
		  JOIN auth.users u ON u.id = f.user_id
		  JOIN auth.tenants t ON t.id = u.tenant_id
		 WHERE f.user_id = $1`, userID) // the error comes again below
	known, err := pgx.CollectExactlyOneRow(rows, pgx.RowToAddrOfStructByName[factor])
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil //nolint:nilnil // most users have none
	}
	return known, pg.Fault(err, "TOTP", "read the second factor of user %d", userID)
}

// advance uses a time step up. It reports false when that step or a later one was used before: of two sign-ins with one code
// one succeeds.
func advance(ctx context.Context, db database, userID, step int64) (bool, error) {
	tag, err := db.Exec(ctx, `UPDATE auth.totp SET last_step = $2 WHERE user_id = $1 AND last_step < $2`, userID, step)
	return tag.RowsAffected() == 1, pg.Fault(err, "TOTP", "use a code of user %d", userID)
}

// enroll stores a secret that counts for nothing yet. It reports false when the user has a second factor that counts.
func enroll(ctx context.Context, tx pgx.Tx, userID int64, sealed []byte) (bool, error) {
	tag, err := tx.Exec(ctx, `
		INSERT INTO auth.totp (user_id, secret, last_step) VALUES ($1, $2, 0)
		ON CONFLICT (user_id) DO UPDATE SET secret = excluded.secret, last_step = 0 WHERE auth.totp.confirmed_at IS NULL`, userID, sealed)
	return tag.RowsAffected() == 1, pg.Fault(err, "TOTP", "store a second factor of user %d", userID)
}

// confirm makes a secret count, and uses the step of the code that showed it was received.
func confirm(ctx context.Context, tx pgx.Tx, userID, step int64, now time.Time) (bool, error) {
	tag, err := tx.Exec(ctx, `
		UPDATE auth.totp SET confirmed_at = $3, last_step = $2 WHERE user_id = $1 AND confirmed_at IS NULL`, userID, step, now)
	return tag.RowsAffected() == 1, pg.Fault(err, "TOTP", "turn on the second factor of user %d", userID)
}

// Remove takes the second factor off a user, recovery codes included, and reports whether he had one.
func Remove(ctx context.Context, tx pgx.Tx, userID int64) (bool, error) {
	tag, err := tx.Exec(ctx, `DELETE FROM auth.totp WHERE user_id = $1`, userID)
	return tag.RowsAffected() == 1, pg.Fault(err, "TOTP", "remove the second factor of user %d", userID)
}

func replaceRecovery(ctx context.Context, tx pgx.Tx, userID int64, hashes [][]byte) error {
	if _, err := tx.Exec(ctx, `DELETE FROM auth.recovery_codes WHERE user_id = $1`, userID); err != nil {
		return pg.Fault(err, "TOTP", "remove recovery codes of user %d", userID)
	}
	_, err := tx.Exec(ctx, `INSERT INTO auth.recovery_codes (user_id, code_hash) SELECT $1, unnest($2::bytea[])`, userID, hashes)
	return pg.Fault(err, "TOTP", "store recovery codes of user %d", userID)
}

func dropRecovery(ctx context.Context, tx pgx.Tx, userID int64, hashes [][]byte) (bool, error) {
	tag, err := tx.Exec(ctx, `DELETE FROM auth.recovery_codes WHERE user_id = $1 AND code_hash = ANY ($2)`, userID, hashes)
	return tag.RowsAffected() == 1, pg.Fault(err, "TOTP", "use a recovery code of user %d", userID)
}

// notify tells a user about a change of his second factor.
func (f *Factors) notify(ctx context.Context, tx pgx.Tx, known factor, what mail.Change) error {
	notice, err := mail.Notice(known.Email, known.Tenant+":"+known.Username, what, f.Now(), rpc.FromContext(ctx).AddressText())
	if err != nil {
		return err
	}
	return f.Mails.Enqueue(ctx, tx, notice, f.Now().Add(mail.NoticeLife))
}

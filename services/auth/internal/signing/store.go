package signing

import (
	"context"
	"crypto/ed25519"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/opsdeck/opsdeck/pkg/pg"
)

// keyRow is a key pair as it is stored.
type keyRow struct {
	ID        string
	Public    ed25519.PublicKey `db:"public_key"`
	Sealed    []byte            `db:"private_key"`
	Created   time.Time         `db:"created_at"`
	SignsFrom time.Time         `db:"signs_from"`
	Retires   *time.Time        `db:"retires_at"`
}

// usable returns the keys that may have signed a token that is still valid, newest first.
func (k *Keys) usable(ctx context.Context, now time.Time) ([]keyRow, error) {
	rows, _ := k.pool.Query(ctx, `
		SELECT id, public_key, private_key, created_at, signs_from, retires_at
		  FROM auth.signing_keys
		 WHERE retires_at IS NULL OR retires_at > $1
		 ORDER BY signs_from DESC, id`, now) // the error comes again below
	keys, err := pgx.CollectRows(rows, pgx.RowToStructByName[keyRow])
	return keys, pg.Fault(err, "SIGNING_KEYS", "read the signing keys")
}

// newest returns when the newest key begins to sign; the zero time when there is no key.
func newest(ctx context.Context, tx pgx.Tx) (time.Time, error) {
	var from time.Time
	err := tx.QueryRow(ctx, `SELECT signs_from FROM auth.signing_keys ORDER BY signs_from DESC LIMIT 1`).Scan(&from)
	if errors.Is(err, pgx.ErrNoRows) {
		return time.Time{}, nil
	}
	return from, pg.Fault(err, "SIGNING_KEYS", "read the newest signing key")
}

// succeed stores a key and lets those before it retire.
func succeed(ctx context.Context, tx pgx.Tx, key keyRow, predecessorsRetire time.Time) error {
	_, err := tx.Exec(ctx, `UPDATE auth.signing_keys SET retires_at = $1 WHERE retires_at IS NULL OR retires_at > $1`, predecessorsRetire)
	if err != nil {
		return pg.Fault(err, "SIGNING_KEYS", "retire the signing keys before %s", key.ID)
	}
	_, err = tx.Exec(ctx, `
		INSERT INTO auth.signing_keys (id, public_key, private_key, created_at, signs_from, retires_at)
		VALUES ($1, $2, $3, $4, $5, NULL)`, key.ID, key.Public, key.Sealed, key.Created, key.SignsFrom)
	return pg.Fault(err, "SIGNING_KEYS", "store signing key %s", key.ID)
}

// DeleteRetired removes the keys whose last token has expired.
func (k *Keys) DeleteRetired(ctx context.Context) error {
	_, err := k.pool.Exec(ctx, `DELETE FROM auth.signing_keys WHERE retires_at <= $1`, k.now())
	return pg.Fault(err, "SIGNING_KEYS", "delete retired signing keys")
}

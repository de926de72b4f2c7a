package token

import (
	"context"
	"net/netip"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/pg"

	"github.com/opsdeck/opsdeck/services/auth/internal/bearer"
	"github.com/opsdeck/opsdeck/services/auth/internal/change"
	"github.com/opsdeck/opsdeck/services/auth/internal/rights"
)

// row is a token with its session.
type row struct {
	ID          int64       `db:"id"`
	Session     string      `db:"session_id"`
	Kind        bearer.Kind `db:"kind"`
	Name        string      `db:"name"`
	Description string      `db:"description"`
	Hint        string      `db:"hint"`
	Sealed      []byte      `db:"sealed"`
	UserID      int64       `db:"user_id"`
	Username    string      `db:"username"`
	Tenant      string      `db:"tenant"`
	Created     time.Time   `db:"created_at"`
	Seen        *time.Time  `db:"seen_at"`
	limits
}

// user is whom a token acts for, as tenant:username.
func (r row) user() string { return authn.Principal{Tenant: r.Tenant, User: r.Username}.Name() }

type store struct{ pool *pgxpool.Pool }

// from joins what belongs to a token; visible keeps those of the user $1, and, when $2 says so, of everybody in the tenant $4, or in
// every tenant when $3 says so.
const (
	from = `
		  FROM auth.tokens k
		  JOIN auth.sessions s ON s.id = k.session_id
		  JOIN auth.users u ON u.id = s.user_id
		  JOIN auth.tenants t ON t.id = u.tenant_id`
	columns = `
		SELECT k.id, k.session_id, k.kind, k.name, k.description, k.hint, k.sealed, u.id AS user_id, u.username, t.name AS tenant,
		       s.created_at, s.seen_at, s.read_only, s.scopes, s.networks, nullif(s.expires_at, 'infinity') AS expires_at`
	visible = `
		 WHERE (u.id = $1 OR $2 AND ($3 OR t.name = $4))`
)

func reach(by rights.Rights) []any {
	return []any{by.UserID, by.Admin(), by.Tenant == authn.PlatformTenant, by.Tenant}
}

// filter says which tokens to list.
type filter struct {
	kind              bearer.Kind
	name, description string   // parts
	hashes            [][]byte // of the whole value; nil for any
}

// list returns a page of tokens, and how many there are on all pages.
func (s store) list(ctx context.Context, by rights.Rights, f filter, offset int64, limit int) (tokens []row, count int64, err error) {
	const wanted = from + visible + `
		   AND k.kind = $5
		   AND position(lower($6) IN lower(k.name)) > 0
		   AND position(lower($7) IN lower(k.description)) > 0
		   AND ($8::bytea[] IS NULL OR s.secret_hash = ANY ($8))`
	args := append(reach(by), f.kind, f.name, f.description, f.hashes)
	if err := s.pool.QueryRow(ctx, `SELECT count(*)`+wanted, args...).Scan(&count); err != nil {
		return nil, 0, pg.Fault(err, "TOKEN", "count tokens")
	}
	rows, _ := s.pool.Query(ctx, columns+wanted+` ORDER BY k.id OFFSET $9 LIMIT $10`, append(args, offset, limit)...) // the error comes again below
	tokens, err = pgx.CollectRows(rows, pgx.RowToStructByName[row])
	return tokens, count, pg.Fault(err, "TOKEN", "list tokens")
}

// find returns a token that somebody may see. One that he may not is not there.
func find(ctx context.Context, db rights.Querier, by rights.Rights, kind bearer.Kind, id int64) (row, error) {
	rows, _ := db.Query(ctx, columns+from+visible+` AND k.kind = $5 AND k.id = $6`, append(reach(by), kind, id)...) // the error comes again below
	found, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[row])
	return found, pg.Fault(err, "TOKEN_NOT_FOUND", "there is no token %d", id)
}

// ofCaller returns the ids of the tokens that the caller himself has under a name.
func (s store) ofCaller(ctx context.Context, caller authn.Principal, name string) ([]int64, error) {
	rows, _ := s.pool.Query(ctx, `
		SELECT k.id
		  FROM auth.sessions own
		  JOIN auth.sessions s ON s.user_id = own.user_id
		  JOIN auth.tokens k ON k.session_id = s.id
		 WHERE own.id = $1 AND k.kind = 'api_token' AND k.name = $2
		 LIMIT 2`, caller.Session, name) // the error comes again below
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	return ids, pg.Fault(err, "TOKEN", "find token %s of %s", name, caller.Name())
}

// count returns how many tokens of a kind act for a user.
func count(ctx context.Context, c *change.Change, r row) (n int, err error) {
	err = c.Tx.QueryRow(ctx, `
		SELECT count(*) FROM auth.tokens k JOIN auth.sessions s ON s.id = k.session_id WHERE s.user_id = $1 AND k.kind = $2`,
		r.UserID, r.Kind).Scan(&n)
	return n, pg.Fault(err, "TOKEN", "count the tokens of %s", r.user())
}

// limitsOfSession returns the limits of a session; one that began with a sign-in has none.
func limitsOfSession(ctx context.Context, c *change.Change, id string) (limits, error) {
	rows, _ := c.Tx.Query(ctx, `
		SELECT read_only, scopes, networks,
		       CASE WHEN kind IN ('api_token', 'app_key') THEN nullif(expires_at, 'infinity') END AS expires_at
		  FROM auth.sessions WHERE id = $1`, id) // the error comes again below
	l, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[limits])
	return l, pg.Fault(err, "SESSION", "read the limits of the caller's session")
}

func insertSession(ctx context.Context, c *change.Change, r row, hash []byte, address string) error {
	_, err := c.Tx.Exec(ctx, `
		INSERT INTO auth.sessions (id, user_id, kind, secret_hash, read_only, scopes, networks, address, created_at, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, coalesce($10::timestamptz, 'infinity'))`,
		r.Session, r.UserID, r.Kind, hash, r.ReadOnly, emptyNotNull(r.Scopes), emptyNotNull[netip.Prefix](r.Networks), address, c.Now, r.Expires)
	return pg.Fault(err, "SESSION", "store the session of token %s", r.Name)
}

func emptyNotNull[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

func insert(ctx context.Context, c *change.Change, r row) (id int64, err error) {
	err = c.Tx.QueryRow(ctx, `
		INSERT INTO auth.tokens (session_id, kind, name, description, hint, sealed) VALUES ($1, $2, $3, $4, $5, $6) RETURNING id`,
		r.Session, r.Kind, r.Name, r.Description, r.Hint, r.Sealed).Scan(&id)
	return id, pg.Fault(err, "APP_KEY_EXISTS", "there is an app key %s already", r.Name)
}

func update(ctx context.Context, c *change.Change, r row) error {
	_, err := c.Tx.Exec(ctx, `UPDATE auth.tokens SET name = $2, description = $3 WHERE id = $1`, r.ID, r.Name, r.Description)
	return pg.Fault(err, "TOKEN", "store token %s", r.Name)
}

// remove takes the token with its session.
func remove(ctx context.Context, c *change.Change, r row) error {
	_, err := c.Tx.Exec(ctx, `DELETE FROM auth.sessions WHERE id = $1`, r.Session)
	return pg.Fault(err, "TOKEN", "remove token %s", r.Name)
}

func userOf(ctx context.Context, c *change.Change, username string) (id int64, name string, err error) {
	err = c.Tx.QueryRow(ctx, `SELECT id, username FROM auth.users WHERE tenant_id = $1 AND lower(username) = lower($2)`,
		c.Tenant.ID, username).Scan(&id, &name)
	return id, name, pg.Fault(err, "USER_NOT_FOUND", "user: there is no user %s:%s", c.Tenant.Name, username)
}

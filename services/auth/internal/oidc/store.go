package oidc

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/opsdeck/opsdeck/pkg/pg"

	"github.com/opsdeck/opsdeck/services/auth/internal/change"
)

// provider is a provider as it is stored.
type provider struct {
	ID            int64    `db:"id"`
	Tenant        string   `db:"tenant"`
	Name          string   `db:"name"`
	Issuer        string   `db:"issuer"`
	ClientID      string   `db:"client_id"`
	Secret        []byte   `db:"client_secret"`
	Scopes        []string `db:"scopes"`
	UsernameClaim string   `db:"username_claim"`
	RoleID        *int64   `db:"role_id"` // nil: sign-ins make no users
	Role          string   `db:"role"`
	Enabled       bool     `db:"enabled"`
}

func (p provider) String() string { return p.Tenant + "/" + p.Name }

func (p provider) sealedFor() string {
	return fmt.Sprintf("auth.oidc_provider/%s/%s", p.Tenant, p.Name)
}

// identity is somebody of a provider.
type identity struct {
	Subject  string    `db:"subject"`
	Username string    `db:"username"`
	MadeUser bool      `db:"made_user"`
	Created  time.Time `db:"created_at"`
}

// querier is a pool or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

const selectProvider = `
	SELECT p.id, t.name AS tenant, p.name, p.issuer, p.client_id, p.client_secret, p.scopes, p.username_claim, p.role_id,
	       coalesce(r.name, '') AS role, p.enabled
	  FROM auth.oidc_providers p
	  JOIN auth.tenants t ON t.id = p.tenant_id
	  LEFT JOIN auth.roles r ON r.id = p.role_id`

// byName returns a provider that can be used.
func byName(ctx context.Context, db querier, tenant, name string) (provider, error) {
	rows, _ := db.Query(ctx, selectProvider+` WHERE t.name = $1 AND p.name = $2 AND p.enabled`, tenant, name) // the error comes again below
	p, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[provider])
	return p, pg.Fault(err, "PROVIDER_NOT_FOUND", "tenant %s has no provider %s", tenant, name)
}

// byID returns a provider that can be used, also one that was used a moment ago.
func byID(ctx context.Context, db querier, id int64) (provider, error) {
	rows, _ := db.Query(ctx, selectProvider+` WHERE p.id = $1 AND p.enabled`, id) // the error comes again below
	p, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[provider])
	return p, pg.Fault(err, "PROVIDER_NOT_FOUND", "the provider is not used any more")
}

// find returns a provider that is to be changed.
func find(ctx context.Context, c *change.Change, name string) (provider, error) {
	rows, _ := c.Tx.Query(ctx, selectProvider+` WHERE p.tenant_id = $1 AND p.name = $2`, c.Tenant.ID, name) // the error comes again below
	p, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[provider])
	return p, pg.Fault(err, "PROVIDER_NOT_FOUND", "tenant %s has no provider %s", c.Tenant.Name, name)
}

func list(ctx context.Context, db querier, tenant string) ([]provider, error) {
	rows, _ := db.Query(ctx, selectProvider+` WHERE t.name = $1 ORDER BY p.name`, tenant) // the error comes again below
	providers, err := pgx.CollectRows(rows, pgx.RowToStructByName[provider])
	return providers, pg.Fault(err, "PROVIDER", "list the providers of tenant %s", tenant)
}

func count(ctx context.Context, c *change.Change) (n int, err error) {
	err = c.Tx.QueryRow(ctx, `SELECT count(*) FROM auth.oidc_providers WHERE tenant_id = $1`, c.Tenant.ID).Scan(&n)
	return n, pg.Fault(err, "PROVIDER", "count the providers of tenant %s", c.Tenant.Name)
}

// roleID returns nil for no role.
func roleID(ctx context.Context, c *change.Change, name string) (*int64, error) {
	if name == "" {
		return nil, nil //nolint:nilnil // no role is a valid choice
	}
	var id int64
	err := c.Tx.QueryRow(ctx, `SELECT id FROM auth.roles WHERE tenant_id = $1 AND name = $2`, c.Tenant.ID, name).Scan(&id)
	return &id, pg.Fault(err, "ROLE_NOT_FOUND", "role: tenant %s has no role %s", c.Tenant.Name, name)
}

func insert(ctx context.Context, c *change.Change, p provider) error {
	_, err := c.Tx.Exec(ctx, `
		INSERT INTO auth.oidc_providers (tenant_id, name, issuer, client_id, client_secret, scopes, username_claim, role_id, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		c.Tenant.ID, p.Name, p.Issuer, p.ClientID, p.Secret, p.Scopes, p.UsernameClaim, p.RoleID, c.Now)
	return pg.Fault(err, "PROVIDER_EXISTS", "tenant %s has a provider %s already", c.Tenant.Name, p.Name)
}

func update(ctx context.Context, c *change.Change, p provider) error {
	_, err := c.Tx.Exec(ctx, `
		UPDATE auth.oidc_providers
		   SET client_id = $2, client_secret = $3, scopes = $4, username_claim = $5, role_id = $6, enabled = $7
		 WHERE id = $1`, p.ID, p.ClientID, p.Secret, p.Scopes, p.UsernameClaim, p.RoleID, p.Enabled)
	return pg.Fault(err, "PROVIDER", "store provider %s", p)
}

func remove(ctx context.Context, c *change.Change, p provider) error {
	_, err := c.Tx.Exec(ctx, `DELETE FROM auth.oidc_providers WHERE id = $1`, p.ID)
	return pg.Fault(err, "PROVIDER", "delete provider %s", p)
}

// linked returns the user that somebody of a provider is, or pgx.ErrNoRows.
func linked(ctx context.Context, db querier, providerID int64, subject string) (userID int64, err error) {
	err = db.QueryRow(ctx, `SELECT user_id FROM auth.oidc_identities WHERE provider_id = $1 AND subject = $2`, providerID, subject).Scan(&userID)
	return userID, err
}

func link(ctx context.Context, tx pgx.Tx, providerID int64, subject string, userID int64, made bool, now time.Time) error {
	_, err := tx.Exec(ctx, `
		INSERT INTO auth.oidc_identities (provider_id, subject, user_id, made_user, created_at) VALUES ($1, $2, $3, $4, $5)`,
		providerID, subject, userID, made, now)
	return pg.Fault(err, "IDENTITY_EXISTS", "the subject is linked to a user already")
}

// userID returns the id of a user of the tenant that changes.
func userID(ctx context.Context, c *change.Change, username string) (id int64, name string, err error) {
	err = c.Tx.QueryRow(ctx, `SELECT id, username FROM auth.users WHERE tenant_id = $1 AND lower(username) = lower($2)`, c.Tenant.ID, username).Scan(&id, &name)
	return id, name, pg.Fault(err, "USER_NOT_FOUND", "username: there is no user %s:%s", c.Tenant.Name, username)
}

func unlink(ctx context.Context, c *change.Change, p provider, subject string) (username string, err error) {
	err = c.Tx.QueryRow(ctx, `
		DELETE FROM auth.oidc_identities i USING auth.users u
		 WHERE i.provider_id = $1 AND i.subject = $2 AND u.id = i.user_id
		RETURNING u.username`, p.ID, subject).Scan(&username)
	return username, pg.Fault(err, "IDENTITY_NOT_FOUND", "subject: nobody is linked to it at %s", p)
}

func identities(ctx context.Context, db querier, providerID int64, offset int32) ([]identity, error) {
	rows, _ := db.Query(ctx, `
		SELECT i.subject, u.username, i.made_user, i.created_at
		  FROM auth.oidc_identities i
		  JOIN auth.users u ON u.id = i.user_id
		 WHERE i.provider_id = $1
		 ORDER BY lower(u.username), i.subject
		OFFSET $2 LIMIT $3`, providerID, offset, maxListed) // the error comes again below
	all, err := pgx.CollectRows(rows, pgx.RowToStructByName[identity])
	return all, pg.Fault(err, "OIDC_IDENTITY", "list identities")
}

func insertLogin(ctx context.Context, pool *pgxpool.Pool, providerID int64, state, browser, sealed []byte, expires time.Time) error {
	_, err := pool.Exec(ctx, `
		INSERT INTO auth.oidc_logins (state_hash, browser_hash, provider_id, sealed, expires_at) VALUES ($1, $2, $3, $4, $5)`,
		state, browser, providerID, sealed, expires)
	return pg.Fault(err, "OIDC_LOGIN", "store a sign-in")
}

// takeLogin returns pgx.ErrNoRows for a sign-in that is not under way in this browser.
func takeLogin(ctx context.Context, pool *pgxpool.Pool, states, browsers [][]byte, now time.Time) (sealed []byte, providerID int64, err error) {
	err = pool.QueryRow(ctx, `
		DELETE FROM auth.oidc_logins WHERE state_hash = ANY ($1) AND browser_hash = ANY ($2) AND expires_at > $3
		RETURNING sealed, provider_id`, states, browsers, now).Scan(&sealed, &providerID)
	return sealed, providerID, err
}

func deleteExpired(ctx context.Context, pool *pgxpool.Pool, now time.Time) error {
	_, err := pool.Exec(ctx, `DELETE FROM auth.oidc_logins WHERE expires_at <= $1`, now)
	return pg.Fault(err, "OIDC_LOGIN", "delete sign-ins that nobody finished")
}

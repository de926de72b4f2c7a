package exchange

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/pg"

	"github.com/opsdeck/opsdeck/services/auth/internal/bearer"
)

// session is what a credential opens.
type session struct {
	ID       string         `db:"id"`
	Appname  string         `db:"appname"`
	Tenant   string         `db:"tenant"`
	Username string         `db:"username"`
	Role     string         `db:"role"`
	ReadOnly bool           `db:"read_only"`
	Scopes   []string       `db:"scopes"`
	Networks []netip.Prefix `db:"networks"`
	Expired  bool           `db:"expired"`
	OldKey   bool           `db:"old_key"`    // its hash was made under a sealing key that is not the newest
	Expires  time.Time      `db:"expires_at"` // of a JWT made now
}

func (s session) principal() authn.Principal {
	return authn.Principal{
		Tenant: s.Tenant, User: s.Username, Role: s.Role, Session: s.ID, ReadOnly: s.ReadOnly, Scope: strings.Join(s.Scopes, " "),
	}
}

// from reports whether the session may be used from an address. One that is not known is in no network.
func (s session) from(address netip.Addr) bool {
	return len(s.Networks) == 0 || slices.ContainsFunc(s.Networks, func(network netip.Prefix) bool { return network.Contains(address) })
}

type store struct{ pool *pgxpool.Pool }

// find returns the session whose secret has one of the hashes, the first being under the newest key; nil when there is none. latest
// bounds when a JWT for it expires.
func (s store) find(ctx context.Context, kind bearer.Kind, hashes [][]byte, now, latest time.Time) (*session, error) {
	rows, _ := s.pool.Query(ctx, `
		SELECT s.id, coalesce(k.name, '') AS appname, t.name AS tenant, u.username, coalesce(r.name, '') AS role, s.read_only, s.scopes, s.networks,
		       s.expires_at <= $4 AS expired, s.secret_hash <> $3 AS old_key, least(s.expires_at, $5) AS expires_at
		  FROM auth.sessions s
		  JOIN auth.users u ON u.id = s.user_id
		  JOIN auth.tenants t ON t.id = u.tenant_id
		  LEFT JOIN auth.roles r ON r.id = u.role_id
		  LEFT JOIN auth.tokens k ON k.session_id = s.id
		 WHERE s.kind = $1 AND s.secret_hash = ANY ($2) AND u.status = 'enabled'`, kind, hashes, hashes[0], now, latest) // the error comes again below
	found, err := pgx.CollectExactlyOneRow(rows, pgx.RowToAddrOfStructByName[session])
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil //nolint:nilnil // that nobody has the secret is an answer
	}
	return found, pg.Fault(err, "SESSION", "find the session of a credential")
}

// rehash keeps a credential good when the old sealing key goes.
func (s store) rehash(ctx context.Context, id string, hash []byte) error {
	_, err := s.pool.Exec(ctx, `UPDATE auth.sessions SET secret_hash = $2 WHERE id = $1`, id, hash)
	return pg.Fault(err, "SESSION", "hash the secret of a session anew")
}

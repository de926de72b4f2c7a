package refresh

import (
	"context"
	"crypto/subtle"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	eventv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/event/v1"

	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/bus"
	"github.com/opsdeck/opsdeck/pkg/fault"
	"github.com/opsdeck/opsdeck/pkg/pg"
	"github.com/opsdeck/opsdeck/pkg/rpc"

	"github.com/opsdeck/opsdeck/services/auth/internal/bearer"
	"github.com/opsdeck/opsdeck/services/auth/internal/rights"
)

// turnPlace is the context of the hash of a turn.
const turnPlace = "auth.session/refresh/turn"

// family is a session with its refresh tokens: all of them begin with the secret of the session, and only one has the turn. So a token
// that was used is told from one that nobody had without keeping the used ones.
type family struct {
	ID       string    `db:"id"`
	Turn     []byte    `db:"turn_hash"`
	Tenant   string    `db:"tenant"`
	Username string    `db:"username"`
	Role     string    `db:"role"`
	Expires  time.Time `db:"expires_at"`
}

func (f family) principal() authn.Principal {
	return authn.Principal{Tenant: f.Tenant, User: f.Username, Role: f.Role, Session: f.ID}
}

type store struct{ pool *pgxpool.Pool }

const byHash = `
	SELECT s.id, s.turn_hash, t.name AS tenant, u.username, coalesce(r.name, '') AS role, s.expires_at
	  FROM auth.sessions s
	  JOIN auth.users u ON u.id = s.user_id
	  JOIN auth.tenants t ON t.id = u.tenant_id
	  LEFT JOIN auth.roles r ON r.id = u.role_id
	 WHERE s.kind = 'refresh' AND s.secret_hash = ANY ($1) AND s.expires_at > $2 AND u.status = 'enabled'`

// find returns the open family whose secret has one of the hashes. Errors: REFRESH_TOKEN_INVALID.
func find(ctx context.Context, db rights.Querier, hashes [][]byte, now time.Time) (family, error) {
	return one(db.Query(ctx, byHash, hashes, now))
}

// findLocked also keeps others from using a token of the family before the transaction ends.
func findLocked(ctx context.Context, tx pgx.Tx, hashes [][]byte, now time.Time) (family, error) {
	return one(tx.Query(ctx, byHash+` FOR NO KEY UPDATE OF s`, hashes, now))
}

func one(rows pgx.Rows, _ error) (family, error) { // the error comes again from the rows
	f, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[family])
	if errors.Is(err, pgx.ErrNoRows) {
		return f, invalid()
	}
	return f, pg.Fault(err, "SESSION", "find the session of a refresh token")
}

// take uses a refresh token up and returns the next turn. Of two who use the same token at once, the second has shown that two have it:
// the family ends, and neither goes on.
func (s *Server) take(ctx context.Context, hashes [][]byte, turn string, now time.Time) (next string, err error) {
	stolen := false
	err = pg.InTx(ctx, s.store.pool, func(ctx context.Context, tx pgx.Tx) error {
		f, err := findLocked(ctx, tx, hashes, now)
		if err != nil {
			return err
		}
		if stolen = !s.isTurn(f, turn); stolen {
			return s.endStolen(ctx, tx, f)
		}
		if next = turn; s.cfg.Rotate {
			next = bearer.NewTurn()
		}
		_, err = tx.Exec(ctx, `UPDATE auth.sessions SET secret_hash = $2, turn_hash = $3 WHERE id = $1`, f.ID, hashes[0], s.cfg.Sealer.MAC(next, turnPlace))
		return pg.Fault(err, "SESSION", "store the next turn of session %s", f.ID)
	})
	if err == nil && stolen {
		err = invalid()
	}
	return next, err
}

func (s *Server) isTurn(f family, turn string) bool {
	return slices.ContainsFunc(s.cfg.Sealer.MACs(turn, turnPlace), func(hash []byte) bool { return subtle.ConstantTimeCompare(hash, f.Turn) == 1 })
}

func (s *Server) endStolen(ctx context.Context, tx pgx.Tx, f family) error {
	if _, err := tx.Exec(ctx, `DELETE FROM auth.sessions WHERE id = $1`, f.ID); err != nil {
		return pg.Fault(err, "SESSION", "end session %s", f.ID)
	}
	return bus.Publish(ctx, tx, s.cfg.Changes.Queue, bus.Event{
		Type: "opsdeck.auth.session.stolen", Subject: f.ID, Tenant: f.Tenant,
		Data: &eventv1.SessionStolen{SessionId: f.ID, Tenant: f.Tenant, Username: f.Username, Address: rpc.FromContext(ctx).AddressText()},
	})
}

// end ends the family whose secret has one of the hashes, if there is one.
func (s *Server) end(ctx context.Context, hashes [][]byte) error {
	return pg.InTx(ctx, s.store.pool, func(ctx context.Context, tx pgx.Tx) error {
		f, err := findLocked(ctx, tx, hashes, s.cfg.Changes.Now())
		if fault.Is(err, invalidReason) {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `DELETE FROM auth.sessions WHERE id = $1`, f.ID); err != nil {
			return pg.Fault(err, "SESSION", "end session %s", f.ID)
		}
		return bus.Publish(ctx, tx, s.cfg.Changes.Queue, bus.Event{
			Type: "opsdeck.auth.session.ended", Subject: f.ID, Tenant: f.Tenant,
			Data: &eventv1.SessionEnded{SessionId: f.ID, Tenant: f.Tenant, Username: f.Username},
		})
	})
}

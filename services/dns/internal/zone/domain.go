// Package zone keeps what domains and their records should be, and changes them: every change is checked, written together with its audit,
// its event and its push to the name server in one transaction, and can be undone.
package zone

import (
	"context"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/opsdeck/opsdeck/pkg/pg"

	"github.com/opsdeck/opsdeck/services/dns/internal/reach"
)

// Querier is a pool or a transaction.
type Querier interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// Domain is a zone on a server, as it should be.
type Domain struct {
	ID            int64     `db:"id"`
	ServerID      int64     `db:"server_id"`
	Tenant        string    `db:"tenant"` // of the server
	Name          string    `db:"name"`   // canonical
	DefaultTTL    int64     `db:"default_ttl"`
	CreatorTenant string    `db:"creator_tenant"`
	Creator       string    `db:"creator"`
	CreatedAt     time.Time `db:"created_at"`
	RecordCount   int64     `db:"record_count"`

	seen *int64 // of a locked domain: the youngest change when its lock was asked for, 0 when there was none
}

// Ref names a domain as callers do: by its id on its server.
type Ref struct{ Server, Domain int64 }

// Located is a request about a domain.
type Located interface {
	GetId() int64 // of the server
	GetDomainId() int64
}

// RefOf returns the domain that a request is about.
func RefOf(r Located) Ref { return Ref{Server: r.GetId(), Domain: r.GetDomainId()} }

// Find returns a domain in reach. Errors: DOMAIN_NOT_FOUND.
func Find(ctx context.Context, db Querier, of reach.Reach, ref Ref) (Domain, error) {
	rows, _ := db.Query(ctx, `
		SELECT d.id, d.server_id, s.tenant, d.name, d.default_ttl, d.creator_tenant, d.creator, d.created_at, d.record_count
		FROM dns.domains d JOIN dns.servers s ON s.id = d.server_id
		WHERE d.id = $1 AND d.server_id = $2 AND NOT d.deleting AND ($3 OR s.tenant = $4)`,
		ref.Domain, ref.Server, of.Every, of.Tenant) // the error comes again below
	return oneDomain(rows, ref)
}

// lock is Find that holds the domain until the transaction ends, so that its changes stand in a row, with all its records written. What is found of its changes is as of before
// the wait for the lock.
func lock(ctx context.Context, tx pgx.Tx, of reach.Reach, ref Ref) (Domain, error) {
	rows, _ := tx.Query(ctx, `
		SELECT d.id, d.server_id, s.tenant, d.name, d.default_ttl, d.creator_tenant, d.creator, d.created_at, d.record_count,
			coalesce((SELECT max(c.id) FROM dns.changes c WHERE c.domain_id = d.id), 0) AS seen
		FROM dns.domains d JOIN dns.servers s ON s.id = d.server_id
		WHERE d.id = $1 AND d.server_id = $2 AND NOT d.deleting AND ($3 OR s.tenant = $4)
		FOR UPDATE OF d`,
		ref.Domain, ref.Server, of.Every, of.Tenant) // the error comes again below
	d, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[struct {
		Domain

		Seen int64 `db:"seen"`
	}])
	if err != nil {
		return d.Domain, domainFault(err, ref)
	}
	d.seen = &d.Seen
	grown, err := catchUp(ctx, tx, d.ID)
	d.RecordCount += int64(grown)
	return d.Domain, err
}

func oneDomain(rows pgx.Rows, ref Ref) (Domain, error) {
	d, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[Domain])
	return d, domainFault(err, ref)
}

func domainFault(err error, ref Ref) error {
	return pg.Fault(err, "DOMAIN_NOT_FOUND", "server %d has no domain %d", ref.Server, ref.Domain)
}

// Owning returns the managed domain with the longest name that a canonical name lies in. server 0 looks on all servers of the tenant; on
// equal names the oldest domain wins. Errors: DOMAIN_UNKNOWN.
func Owning(ctx context.Context, db Querier, tenant string, server int64, name string) (Domain, error) {
	rows, _ := db.Query(ctx, `
		SELECT d.id, d.server_id, s.tenant, d.name, d.default_ttl, d.creator_tenant, d.creator, d.created_at, d.record_count
		FROM dns.domains d JOIN dns.servers s ON s.id = d.server_id
		WHERE d.name = ANY ($1) AND NOT d.deleting AND s.tenant = $2 AND ($3 = 0 OR d.server_id = $3)
		ORDER BY length(d.name) DESC, d.id LIMIT 1`, suffixes(name), tenant, server) // the error comes again below
	d, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[Domain])
	return d, pg.Fault(err, "DOMAIN_UNKNOWN", "no managed domain holds the name %s", Shown(name))
}

// suffixes are a name and all that it lies below.
func suffixes(name string) []string {
	var all []string
	for name != "" {
		all = append(all, name)
		_, name, _ = strings.Cut(name, ".")
	}
	return all
}

// Shown is a canonical name as answers print it: without the final dot.
func Shown(name string) string {
	if name == "." {
		return name
	}
	return strings.TrimSuffix(name, ".")
}

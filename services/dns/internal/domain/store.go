package domain

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/types/known/timestamppb"

	dnsv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/dns/v1"

	"github.com/opsdeck/opsdeck/pkg/pg"

	"github.com/opsdeck/opsdeck/services/dns/internal/reach"
	"github.com/opsdeck/opsdeck/services/dns/internal/zone"
)

// row is a domain in a list.
type row struct {
	zone.Domain

	Pending bool `db:"pending"`
}

func (r row) toProto(ctx context.Context) *dnsv1.Domain {
	may := reach.MayEdit(ctx, r.CreatorTenant, r.Creator)
	return &dnsv1.Domain{
		Id: r.ID, Creator: r.Creator, CreatedTime: timestamppb.New(r.CreatedAt), Name: zone.Shown(r.Name),
		AvailableActions: &dnsv1.AvailableActions{Edit: may, Delete: may}, Pending: r.Pending,
	}
}

// list returns a page of a server's domains, and how many match in all. An empty name matches all.
func list(ctx context.Context, db zone.Querier, server int64, name string, offset int64, limit int) (count int64, rows []row, err error) {
	where := ` FROM dns.domains d JOIN dns.servers s ON s.id = d.server_id WHERE d.server_id = $1 AND NOT d.deleting`
	args := []any{server}
	if name != "" {
		where += ` AND strpos(d.name, $2) > 0`
		args = append(args, strings.ToLower(name))
	}
	if err := db.QueryRow(ctx, `SELECT count(*)`+where, args...).Scan(&count); err != nil {
		return 0, nil, pg.Fault(err, "DOMAINS", "count domains")
	}
	query := `
		SELECT d.id, d.server_id, s.tenant, d.name, d.default_ttl, d.creator_tenant, d.creator, d.created_at, d.record_count,
			EXISTS (SELECT FROM dns.changes c WHERE c.domain_id = d.id AND c.state = 'pending') AS pending` + where + `
		ORDER BY d.id OFFSET ` + place(len(args)+1) + ` LIMIT ` + place(len(args)+2)
	found, _ := db.Query(ctx, query, append(args, offset, limit)...) // the error comes again below
	rows, err = pgx.CollectRows(found, pgx.RowToStructByName[row])
	return count, rows, pg.Fault(err, "DOMAINS", "list domains")
}

func place(n int) string { return "$" + string(rune('0'+n)) }

package record

import (
	"context"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/types/known/timestamppb"

	dnsv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/dns/v1"

	"github.com/opsdeck/opsdeck/pkg/pg"

	"github.com/opsdeck/opsdeck/services/dns/internal/zone"
)

// row is a record in a list.
type row struct {
	zone.Row

	Followed bool `db:"followed"` // a PTR follows it
}

func (r row) toProto() *dnsv1.Record {
	return &dnsv1.Record{
		Id: r.ID, Creator: r.Creator, CreatedTime: timestamppb.New(r.CreatedAt), Name: zone.Shown(r.Name), Value: r.Value, Type: r.Type,
		Enabled: !r.Disabled, Ttl: r.TTL, Ptr: r.Followed,
	}
}

// filter chooses records of a domain.
type filter struct {
	domain      zone.Domain
	name, value string
	typ         string
	offset      int64
	limit       int
}

// where has a condition for each filter that is set, and no other: each combination is a statement of its own, whose plan uses the index
// that fits. Parts of names and values are looked for among the records of the one domain.
func (f filter) where() (text string, args []any) {
	arg := func(v any) string {
		args = append(args, v)
		return "$" + strconv.Itoa(len(args))
	}
	text = ` FROM dns.records r WHERE r.domain_id = ` + arg(f.domain.ID)
	if f.typ != "" {
		text += ` AND r.type = ` + arg(f.typ)
	}
	if f.name != "" {
		text += ` AND strpos(r.name, ` + arg(strings.ToLower(f.name)) + `) > 0`
	}
	if f.value != "" {
		text += ` AND strpos(lower(r.value), ` + arg(strings.ToLower(f.value)) + `) > 0`
	}
	return text, args
}

// count returns how many records match. How many a domain has is kept with it, since it may be many.
func count(ctx context.Context, db zone.Querier, f filter) (n int64, err error) {
	if f.typ == "" && f.name == "" && f.value == "" {
		return f.domain.RecordCount, nil
	}
	text, args := f.where()
	err = db.QueryRow(ctx, `SELECT count(*)`+text, args...).Scan(&n)
	return n, pg.Fault(err, "RECORDS", "count records")
}

// query returns the statement of a page, and its arguments. Whether a PTR follows is asked for the rows of the page only.
func (f filter) query() (string, []any) {
	text, args := f.where()
	return `
		SELECT page.*, EXISTS (SELECT FROM dns.records p WHERE p.ptr_of = page.id) AS followed
		FROM (
			SELECT r.id, r.name, r.type, r.value, r.ttl, r.disabled, r.creator, r.created_at, r.ptr_of` + text + `
			ORDER BY r.id OFFSET $` + strconv.Itoa(len(args)+1) + ` LIMIT $` + strconv.Itoa(len(args)+2) + `
		) AS page
		ORDER BY page.id`, append(args, f.offset, f.limit)
}

func list(ctx context.Context, db zone.Querier, f filter) ([]row, error) {
	text, args := f.query()
	rows, _ := db.Query(ctx, text, args...) // the error comes again below
	all, err := pgx.CollectRows(rows, pgx.RowToStructByName[row])
	return all, pg.Fault(err, "RECORDS", "list records")
}

// followed reports whether a PTR follows a record.
func followed(ctx context.Context, db zone.Querier, id int64) (is bool, err error) {
	err = db.QueryRow(ctx, `SELECT EXISTS (SELECT FROM dns.records WHERE ptr_of = $1)`, id).Scan(&is)
	return is, pg.Fault(err, "RECORDS", "look for a PTR record")
}

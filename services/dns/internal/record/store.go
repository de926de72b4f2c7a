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

	Followed bool  `db:"followed"` // a PTR follows it
	Total    int64 `db:"total"`    // of its list, unless that is of the whole domain
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

// whole reports whether the filter chooses the whole domain, which may be large, and whose count is kept with it.
func (f filter) whole() bool { return f.typ == "" && f.name == "" && f.value == "" }

// query returns the statement of a page, and its arguments. A page of the whole domain, or of a type, is found in the index alone, by ids; what
// contains a text is looked for once, for the page and the total. Whether a PTR follows is asked for the rows of the page only.
func (f filter) query() (string, []any) {
	where, args := f.where()
	offset, limit := "$"+strconv.Itoa(len(args)+1), "$"+strconv.Itoa(len(args)+2)
	kind, total := `NOT MATERIALIZED`, `(SELECT count(*) FROM hit)`
	switch {
	case f.whole():
		total = `0`
	case f.name != "" || f.value != "":
		kind = `MATERIALIZED`
	}
	return `
		WITH hit AS ` + kind + ` (SELECT r.id` + where + `), page AS (SELECT id FROM hit ORDER BY id OFFSET ` + offset + ` LIMIT ` + limit + `)
		SELECT r.id, r.name, r.type, r.value, r.ttl, r.disabled, r.creator, r.created_at, r.ptr_of,
			EXISTS (SELECT FROM dns.records p WHERE p.ptr_of = r.id) AS followed, ` + total + ` AS total
		FROM page JOIN dns.records r ON r.domain_id = $1 AND r.id = page.id
		ORDER BY r.id`, append(args, f.offset, f.limit)
}

// list returns a page, and how many records match in all.
func list(ctx context.Context, db zone.Querier, f filter) (page []row, total int64, err error) {
	text, args := f.query()
	rows, _ := db.Query(ctx, text, args...) // the error comes again below
	page, err = pgx.CollectRows(rows, pgx.RowToStructByName[row])
	switch {
	case err != nil:
		return nil, 0, pg.Fault(err, "RECORDS", "list records")
	case f.whole():
		return page, f.domain.RecordCount, nil
	case len(page) > 0:
		return page, page[0].Total, nil
	case f.offset == 0:
		return page, 0, nil
	}
	where, args := f.where() // a page behind the end
	err = db.QueryRow(ctx, `SELECT count(*)`+where, args...).Scan(&total)
	return page, total, pg.Fault(err, "RECORDS", "count records")
}

// followed reports whether a PTR follows a record.
func followed(ctx context.Context, db zone.Querier, id int64) (is bool, err error) {
	err = db.QueryRow(ctx, `SELECT EXISTS (SELECT FROM dns.records WHERE ptr_of = $1)`, id).Scan(&is)
	return is, pg.Fault(err, "RECORDS", "look for a PTR record")
}

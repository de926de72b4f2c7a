package zone

import (
	"bytes"
	"context"
	"encoding/binary"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/opsdeck/opsdeck/pkg/pg"
)

// insert adds the numbered rows of a delta by COPY, as a message of its binary format that is put together here: pgx asks each value of each row for its type,
// which takes as long as all else that the service does while rows are written.
func (d *delta) insert(ctx context.Context, tx pgx.Tx, domain int64) error {
	if len(d.added) == 0 {
		return nil
	}
	if err := d.number(ctx, tx); err != nil {
		return err
	}
	text := append(copyText(nil), copySignature...)
	for _, r := range byIndex(d.added) {
		text = text.row(domain, r)
	}
	text = text.int16(-1) // the end
	_, err := tx.Conn().PgConn().CopyFrom(ctx, bytes.NewReader(text), `
		COPY dns.records (id, domain_id, name, type, value, ttl, disabled, creator, created_at, ptr_of) FROM STDIN (FORMAT binary)`)
	return pg.Fault(err, "RECORD_EXISTS", "store new records")
}

// byIndex returns rows in the order of the index of names, whose pages are filled one after the other.
func byIndex(rows []Row) []*Row {
	type entry struct {
		backward string
		row      *Row
	}
	sorted := make([]entry, len(rows))
	for i := range rows {
		sorted[i] = entry{backward(rows[i].Name), &rows[i]}
	}
	slices.SortFunc(sorted, func(a, b entry) int { return strings.Compare(a.backward, b.backward) })
	ordered := make([]*Row, len(rows))
	for i, e := range sorted {
		ordered[i] = e.row
	}
	return ordered
}

// copyText is what COPY reads: https://www.postgresql.org/docs/current/sql-copy.html, Binary Format.
type copyText []byte

// copySignature comes first, with neither flags nor an extension.
const copySignature = "PGCOPY\n\xff\r\n\x00" + "\x00\x00\x00\x00" + "\x00\x00\x00\x00"

const copyColumns = 10

func (c copyText) row(domain int64, r *Row) copyText {
	c = c.int16(copyColumns).int64(r.ID).int64(domain).text(r.Name).text(r.Type).text(r.Value).int64(r.TTL).bool(r.Disabled).text(r.Creator).time(r.CreatedAt)
	if r.PTROf == nil {
		return c.length(-1) // null
	}
	return c.int64(*r.PTROf)
}

func (c copyText) int16(n int16) copyText { return binary.BigEndian.AppendUint16(c, uint16(n)) }

func (c copyText) length(n int32) copyText { return binary.BigEndian.AppendUint32(c, uint32(n)) }

func (c copyText) int64(n int64) copyText {
	return binary.BigEndian.AppendUint64(c.length(8), uint64(n))
}

func (c copyText) text(s string) copyText { return append(c.length(int32(len(s))), s...) }

func (c copyText) bool(is bool) copyText {
	if is {
		return append(c.length(1), 1)
	}
	return append(c.length(1), 0)
}

// epoch is what times are counted from, in microseconds.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

func (c copyText) time(t time.Time) copyText { return c.int64(t.UnixMicro() - epoch.UnixMicro()) }

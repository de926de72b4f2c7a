package verify

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/ddl"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/fullcopy"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mapping"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
)

// errAltered says that a table is not what it was when it was begun.
var errAltered = errors.New("a table's definition changed while it was verified")

// table is a table as it is at both ends.
type table struct {
	name ddl.Name
	// columns are those compared, in the order of the target; key are those by which it is cut, none if it cannot be.
	columns, key []mysql.Column
	keyPlace     []int // of the key's columns among columns
	rows         *mapping.Rows
	place        map[int]int // of the source's columns among columns
	source       side
	target       side
}

// side is how a table is read at one end.
type side struct {
	name   string // quoted
	values string // the expressions
}

func (t *table) String() string { return t.name.Schema + "." + t.name.Table }

// load reads the definitions of a table through the given sessions.
func (v *Verifier) load(source, target *mysql.Conn, name ddl.Name) (*table, error) {
	here, err := mysql.LoadTable(source, name.Schema, name.Table)
	if err != nil {
		return nil, altered(err)
	}
	there, err := v.opt.Mapping.Target(name)
	if err != nil {
		return nil, err
	}
	copied, err := mysql.LoadTable(target, there.Schema, there.Table)
	if err != nil {
		return nil, altered(err)
	}
	t := &table{name: name, place: map[int]int{}}
	if t.rows, err = v.opt.Mapping.Rows(name, here.Columns); err != nil {
		return nil, err
	}
	var left, right []string
	for _, i := range t.rows.Order(len(here.Columns)) {
		c := here.Columns[i]
		if c.Generated {
			continue
		}
		at := slices.IndexFunc(copied.Columns, func(x mysql.Column) bool { return strings.EqualFold(x.Name, c.Name) })
		if at < 0 {
			return nil, fmt.Errorf("%w: %s has no column %s at the target", errAltered, t, c.Name)
		}
		t.place[i] = len(t.columns)
		t.columns = append(t.columns, c)
		left, right = append(left, fullcopy.Expression(c)), append(right, fullcopy.Expression(copied.Columns[at]))
	}
	for _, i := range fullcopy.ChunkKey(here, t.rows) {
		t.key, t.keyPlace = append(t.key, here.Columns[i]), append(t.keyPlace, t.place[i])
	}
	t.source = side{mysql.QuoteTable(here.Schema, here.Name), strings.Join(left, ", ")}
	t.target = side{there.String(), strings.Join(right, ", ")}
	return t, nil
}

// altered marks errors that come from definitions that have changed.
func altered(err error) error {
	switch mysql.Code(err) {
	case gomysql.ER_TABLE_DEF_CHANGED, gomysql.ER_NO_SUCH_TABLE, gomysql.ER_BAD_FIELD_ERROR, gomysql.ER_BAD_DB_ERROR:
		return fmt.Errorf("%w: %w", errAltered, err)
	}
	if errors.Is(err, mysql.ErrNoTable) {
		return fmt.Errorf("%w: %w", errAltered, err)
	}
	return err
}

// digest is a hash of a row.
type digest [sha256.Size]byte

// digest hashes the values of a row. scratch is used and returned.
func (t *table) digest(row []gomysql.FieldValue, scratch []byte) (digest, []byte) {
	scratch = scratch[:0]
	for i := range row {
		if row[i].Type == gomysql.FieldValueTypeNull {
			scratch = append(scratch, 0)
			continue
		}
		value := text(&row[i])
		scratch = append(scratch, 1)
		scratch = binary.AppendUvarint(scratch, uint64(len(value)))
		scratch = append(scratch, value...)
	}
	return sha256.Sum256(scratch), scratch
}

// text is a value as both ends write it.
func text(v *gomysql.FieldValue) []byte {
	switch v.Type {
	case gomysql.FieldValueTypeUnsigned:
		return strconv.AppendUint(nil, v.AsUint64(), 10)
	case gomysql.FieldValueTypeSigned:
		return strconv.AppendInt(nil, v.AsInt64(), 10)
	case gomysql.FieldValueTypeFloat:
		return strconv.AppendFloat(nil, v.AsFloat64(), 'g', -1, 64)
	}
	return v.AsString()
}

func same(a, b *gomysql.FieldValue) bool {
	if a.Type == gomysql.FieldValueTypeNull || b.Type == gomysql.FieldValueTypeNull {
		return a.Type == b.Type
	}
	return string(text(a)) == string(text(b))
}

// keyOf is the stored key of a row.
func (t *table) keyOf(row []gomysql.FieldValue) []byte {
	var key []byte
	for _, i := range t.keyPlace {
		key = fullcopy.AppendKey(key, &row[i])
	}
	return key
}

// maxKeyText bounds a key as it is shown, in bytes.
const maxKeyText = 500

// keyText is a row's key for a person.
func (t *table) keyText(row []gomysql.FieldValue) string {
	parts := make([]string, len(t.key))
	for i, c := range t.key {
		value := text(&row[t.keyPlace[i]])
		switch {
		case c.Charset == "" && !strings.HasSuffix(c.DataType, "binary"):
			parts[i] = c.Name + "=" + string(value)
		case c.Charset != "" && readable(c.Charset, value):
			parts[i] = c.Name + "='" + string(value) + "'"
		default:
			parts[i] = c.Name + "=0x" + hex.EncodeToString(value)
		}
	}
	all := strings.Join(parts, ", ")
	if len(all) > maxKeyText {
		all = strings.ToValidUTF8(all[:maxKeyText], "") + "..."
	}
	return all
}

// readable reports whether bytes of a character set can be shown as they are.
func readable(charset string, value []byte) bool {
	for _, r := range string(value) {
		if !unicode.IsPrint(r) || r >= utf8.RuneSelf && !strings.HasPrefix(charset, "utf8") {
			return false
		}
	}
	return utf8.Valid(value) && charset != "ucs2" && !strings.HasPrefix(charset, "utf16") && charset != "utf32"
}

// selectRows streams the rows of a query; a row of the source that is not replicated does not come.
func (t *table) selectRows(ctx context.Context, c *mysql.Conn, query string, rows *mapping.Rows, row func([]gomysql.FieldValue) error) error {
	var result gomysql.Result
	err := c.ExecuteSelectStreaming(query, &result, func(values []gomysql.FieldValue) error {
		if taken, err := rows.MatchCopied(values, t.place); err != nil || !taken {
			return err
		}
		return row(values)
	}, nil)
	if err == nil || ctx.Err() == nil {
		return altered(err)
	}
	return context.Cause(ctx)
}

package binlog

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"
)

// errNoMetadata is returned for events that the source wrote with binlog_row_metadata=MINIMAL, which leaves the names of columns out.
var errNoMetadata = errors.New("the log does not name the columns: it was written with binlog_row_metadata=MINIMAL; " +
	"set binlog_row_metadata=FULL at the source and start the job behind that")

// Shape is the definition of a table as its rows were logged, which binlog_row_metadata=FULL puts before them. It is exact whatever
// happened to the table since. Shapes of one stream that are equal are the same pointer while the definition stays.
type Shape struct {
	Columns []Column
	// Key holds indexes of columns: the primary key, or where there is none the unique key without nullable columns that the server takes
	// for it. Nil without either.
	Key []int
}

// Column is a column as it was logged.
type Column struct {
	Name string
	// Type is the protocol's number; that of ENUM and SET instead of the STRING which they are logged as.
	Type byte
	// Meta holds the type's lengths as the protocol packs them.
	Meta               uint16
	Unsigned, Nullable bool
	// Collation is the id of a text column's collation, also of ENUM and SET; 63 of binary strings, 0 of other types.
	Collation uint64
	// Members are those of an ENUM or SET, in the column's own character set.
	Members []string
	// Point is set for a geometry column that holds points.
	Point bool
}

// geometryPoint is the OGC's number of the type POINT.
const geometryPoint = 1

// shapes remembers the last shape of each table. It is used by the goroutine that parses.
type shapes map[[2]string]logged

type logged struct {
	event *replication.TableMapEvent
	shape *Shape
}

// of returns the shape of a table.
func (s shapes) of(e *replication.TableMapEvent) (*Shape, error) {
	name := [2]string{string(e.Schema), string(e.Table)}
	if last, ok := s[name]; ok && alike(last.event, e) {
		return last.shape, nil
	}
	shape, err := newShape(e)
	if err != nil {
		return nil, fmt.Errorf("table %s.%s: %w", name[0], name[1], err)
	}
	s[name] = logged{event: e, shape: shape}
	return shape, nil
}

func newShape(e *replication.TableMapEvent) (*Shape, error) {
	names := e.ColumnNameString()
	if len(names) != int(e.ColumnCount) {
		return nil, errNoMetadata
	}
	unsigned, text, members := e.UnsignedMap(), e.CollationMap(), e.EnumSetCollationMap()
	enums, sets, geometries := e.EnumStrValueMap(), e.SetStrValueMap(), e.GeometryTypeMap()
	shape := &Shape{Columns: make([]Column, len(names))}
	for i, name := range names {
		c := Column{Name: name, Type: e.ColumnType[i], Meta: e.ColumnMeta[i], Unsigned: unsigned[i], Collation: text[i]}
		_, c.Nullable = e.Nullable(i)
		switch {
		case e.IsEnumColumn(i):
			c.Type, c.Members, c.Collation = gomysql.MYSQL_TYPE_ENUM, enums[i], members[i]
		case e.IsSetColumn(i):
			c.Type, c.Members, c.Collation = gomysql.MYSQL_TYPE_SET, sets[i], members[i]
		case e.IsGeometryColumn(i):
			c.Collation, c.Point = 0, geometries[i] == geometryPoint
		}
		shape.Columns[i] = c
	}
	for _, i := range e.PrimaryKey {
		shape.Key = append(shape.Key, int(i))
	}
	return shape, nil
}

// unsigned reports whether a column is.
func (s *Shape) unsigned() bool {
	return slices.ContainsFunc(s.Columns, func(c Column) bool { return c.Unsigned })
}

// signed is the event without what tells unsigned columns from others: the decoder makes a map of that for every row.
func signed(e *replication.TableMapEvent) *replication.TableMapEvent {
	out := *e
	out.SignednessBitmap = nil
	return &out
}

// alike reports whether two events describe the same definition.
func alike(a, b *replication.TableMapEvent) bool {
	return bytes.Equal(a.ColumnType, b.ColumnType) && slices.Equal(a.ColumnMeta, b.ColumnMeta) && bytes.Equal(a.NullBitmap, b.NullBitmap) &&
		bytes.Equal(a.SignednessBitmap, b.SignednessBitmap) && slices.Equal(a.PrimaryKey, b.PrimaryKey) &&
		slices.Equal(a.DefaultCharset, b.DefaultCharset) && slices.Equal(a.ColumnCharset, b.ColumnCharset) &&
		slices.Equal(a.EnumSetDefaultCharset, b.EnumSetDefaultCharset) && slices.Equal(a.EnumSetColumnCharset, b.EnumSetColumnCharset) &&
		slices.Equal(a.GeometryType, b.GeometryType) && slices.EqualFunc(a.ColumnName, b.ColumnName, bytes.Equal) &&
		slices.EqualFunc(a.EnumStrValue, b.EnumStrValue, equalNames) && slices.EqualFunc(a.SetStrValue, b.SetStrValue, equalNames)
}

func equalNames(a, b [][]byte) bool { return slices.EqualFunc(a, b, bytes.Equal) }

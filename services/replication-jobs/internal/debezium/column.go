package debezium

import (
	"fmt"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/charset"
)

// Column is how a column is written.
type Column struct {
	name     string
	kind     kind
	optional bool
	// length is the number of bits of bits, and of bytes to which binary values are padded: the log leaves trailing zeros out.
	length int
	// precision and scale are those of a decimal; scale is also the number of digits of a second's fraction.
	precision, scale int
	// members are those of an ENUM or SET, in UTF-8.
	members []string
	// decode is nil where text is UTF-8 already.
	decode charset.Decoder
}

// kind is a semantic type.
type kind uint8

const (
	kindInt16 kind = iota + 1
	kindInt32
	kindInt64
	kindUnsigned // BIGINT UNSIGNED as int64
	kindUnsignedPrecise
	kindFloat
	kindDouble
	kindDecimal
	kindDecimalString
	kindBoolean
	kindBits
	kindDate
	kindTime
	kindTimestamp      // DATETIME of at most milliseconds
	kindMicroTimestamp // DATETIME of more
	kindZonedTimestamp // TIMESTAMP
	kindYear
	kindText
	kindBytes
	kindEnum
	kindSet
	kindJSON
	kindGeometry
	kindPoint
)

// definition is what both the log and the server's catalog say of a column.
type definition struct {
	name               string
	dataType           string // as information_schema spells it
	unsigned, nullable bool
	length             int // bits of BIT, bytes of BINARY
	precision, scale   int // of DECIMAL; scale also the fraction digits of times
	charset, collation string
	members            []string
}

// kinds are those of data types that depend on nothing else.
var kinds = map[string]kind{
	"tinyint": kindInt16, "mediumint": kindInt32, "float": kindFloat, "double": kindDouble, "date": kindDate, "time": kindTime,
	"timestamp": kindZonedTimestamp, "year": kindYear, "enum": kindEnum, "set": kindSet, "json": kindJSON,
	"char": kindText, "varchar": kindText, "tinytext": kindText, "text": kindText, "mediumtext": kindText, "longtext": kindText,
	"binary": kindBytes, "varbinary": kindBytes, "tinyblob": kindBytes, "blob": kindBytes, "mediumblob": kindBytes, "longblob": kindBytes,
	"point": kindPoint, "geometry": kindGeometry, "linestring": kindGeometry, "polygon": kindGeometry, "multipoint": kindGeometry,
	"multilinestring": kindGeometry, "multipolygon": kindGeometry, "geometrycollection": kindGeometry, "geomcollection": kindGeometry,
}

// column chooses how a column is written.
func (o Options) column(d definition) (Column, error) {
	c := Column{name: d.name, kind: o.kind(d), optional: d.nullable, length: d.length, precision: d.precision, scale: d.scale, members: d.members}
	if c.kind == 0 {
		return c, fmt.Errorf("column %s is of type %s, which has no form in messages", d.name, d.dataType)
	}
	if (c.kind == kindText || c.kind == kindEnum || c.kind == kindSet) && d.charset != "" && !isUTF8(d.charset) {
		decode, err := charset.Of(d.charset)
		if err != nil {
			return c, fmt.Errorf("column %s: %w", d.name, err)
		}
		c.decode = decode
	}
	return c, nil
}

func isUTF8(charset string) bool {
	return charset == "utf8mb4" || charset == "utf8mb3" || charset == "utf8" || charset == "ascii"
}

func (o Options) kind(d definition) kind {
	choose := func(condition bool, yes, no kind) kind {
		if condition {
			return yes
		}
		return no
	}
	switch d.dataType {
	case "smallint":
		return choose(d.unsigned, kindInt32, kindInt16)
	case "int":
		return choose(d.unsigned, kindInt64, kindInt32)
	case "bigint":
		return choose(d.unsigned, choose(o.PreciseUnsigned, kindUnsignedPrecise, kindUnsigned), kindInt64)
	case "decimal":
		return choose(o.DecimalString, kindDecimalString, kindDecimal)
	case "bit":
		return choose(d.length == 1, kindBoolean, kindBits)
	case "datetime":
		return choose(d.scale <= 3, kindTimestamp, kindMicroTimestamp)
	}
	return kinds[d.dataType]
}

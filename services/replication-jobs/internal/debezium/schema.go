package debezium

import (
	"strconv"
	"strings"
)

// field is a schema of Kafka Connect as its JsonConverter writes it.
type field struct {
	kind       string // int32, string, struct ...
	optional   bool
	name       string // of a semantic type
	version    int
	parameters []string // names and values in turn
	fields     []field
	items      *field // of an array
	fallback   string // the default, as JSON
	field      string // the name within a struct
}

func (f field) append(dst []byte) []byte {
	dst = append(dst, `{"type":`...)
	dst = appendQuoted(dst, f.kind)
	if f.kind == "struct" {
		dst = append(dst, `,"fields":[`...)
		for i, member := range f.fields {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = member.append(dst)
		}
		dst = append(dst, ']')
	}
	if f.items != nil {
		dst = f.items.append(append(dst, `,"items":`...))
	}
	dst = append(dst, `,"optional":`...)
	dst = strconv.AppendBool(dst, f.optional)
	if f.name != "" {
		dst = append(dst, `,"name":`...)
		dst = appendQuoted(dst, f.name)
	}
	if f.version > 0 {
		dst = append(dst, `,"version":`...)
		dst = strconv.AppendInt(dst, int64(f.version), 10)
	}
	separator := `,"parameters":{`
	for i := 0; i < len(f.parameters); i += 2 {
		dst = append(dst, separator...)
		separator = ","
		dst = appendQuoted(dst, f.parameters[i])
		dst = append(dst, ':')
		dst = appendQuoted(dst, f.parameters[i+1])
	}
	if len(f.parameters) > 0 {
		dst = append(dst, '}')
	}
	if f.fallback != "" {
		dst = append(append(dst, `,"default":`...), f.fallback...)
	}
	if f.field != "" {
		dst = append(dst, `,"field":`...)
		dst = appendQuoted(dst, f.field)
	}
	return append(dst, '}')
}

// types are the Connect types of kinds, and the names of their semantics.
var types = map[kind]field{
	kindInt16: {kind: "int16"}, kindInt32: {kind: "int32"}, kindInt64: {kind: "int64"}, kindUnsigned: {kind: "int64"},
	kindUnsignedPrecise: {kind: "bytes", name: "org.apache.kafka.connect.data.Decimal", version: 1, parameters: []string{"scale", "0"}},
	kindFloat:           {kind: "float"}, kindDouble: {kind: "double"}, kindDecimalString: {kind: "string"}, kindBoolean: {kind: "boolean"},
	kindDate: {kind: "int32", name: "io.debezium.time.Date", version: 1}, kindTime: {kind: "int64", name: "io.debezium.time.MicroTime", version: 1},
	kindTimestamp:      {kind: "int64", name: "io.debezium.time.Timestamp", version: 1},
	kindMicroTimestamp: {kind: "int64", name: "io.debezium.time.MicroTimestamp", version: 1},
	kindZonedTimestamp: {kind: "string", name: "io.debezium.time.ZonedTimestamp", version: 1},
	kindYear:           {kind: "int32", name: "io.debezium.time.Year", version: 1}, kindText: {kind: "string"}, kindBytes: {kind: "bytes"},
	kindJSON: {kind: "string", name: "io.debezium.data.Json", version: 1},
	kindGeometry: {kind: "struct", name: "io.debezium.data.geometry.Geometry", version: 1, fields: []field{
		{kind: "bytes", field: "wkb"}, {kind: "int32", optional: true, field: "srid"},
	}},
	kindPoint: {kind: "struct", name: "io.debezium.data.geometry.Point", version: 1, fields: []field{
		{kind: "double", field: "x"}, {kind: "double", field: "y"}, {kind: "bytes", optional: true, field: "wkb"}, {kind: "int32", optional: true, field: "srid"},
	}},
}

func (c *Column) field() field {
	f := types[c.kind]
	switch c.kind {
	case kindDecimal:
		f = field{kind: "bytes", name: "org.apache.kafka.connect.data.Decimal", version: 1, parameters: []string{
			"scale", strconv.Itoa(c.scale), "connect.decimal.precision", strconv.Itoa(c.precision),
		}}
	case kindBits:
		f = field{kind: "bytes", name: "io.debezium.data.Bits", version: 1, parameters: []string{"length", strconv.Itoa(c.length)}}
	case kindEnum:
		f = field{kind: "string", name: "io.debezium.data.Enum", version: 1, parameters: []string{"allowed", strings.Join(c.members, ",")}}
	case kindSet:
		f = field{kind: "string", name: "io.debezium.data.EnumSet", version: 1, parameters: []string{"allowed", strings.Join(c.members, ",")}}
	}
	f.optional, f.field = c.optional, c.name
	return f
}

// snapshotMarker is the field that says whether a row was read from a snapshot.
var snapshotMarker = field{
	kind: "string", optional: true, name: "io.debezium.data.Enum", version: 1, parameters: []string{"allowed", "true,last,false,incremental"},
	fallback: `"false"`, field: "snapshot",
}

// sourceField is the schema of the source block.
func (o Options) sourceField() field {
	return field{kind: "struct", name: "io.debezium.connector." + o.Connector + ".Source", field: "source", fields: []field{
		{kind: "string", field: "version"},
		{kind: "string", field: "connector"},
		{kind: "string", field: "name"},
		{kind: "int64", field: "ts_ms"},
		snapshotMarker,
		{kind: "string", field: "db"},
		{kind: "string", optional: true, field: "sequence"},
		{kind: "string", optional: true, field: "table"},
		{kind: "int64", field: "server_id"},
		{kind: "string", optional: true, field: "gtid"},
		{kind: "string", field: "file"},
		{kind: "int64", field: "pos"},
		{kind: "int32", field: "row"},
		{kind: "int64", optional: true, field: "thread"},
		{kind: "string", optional: true, field: "query"},
	}}
}

// envelope is the schema of a row's message.
func (o Options) envelope(name string, columns []Column) field {
	row := field{kind: "struct", optional: true, name: name + ".Value"}
	for i := range columns {
		row.fields = append(row.fields, columns[i].field())
	}
	before, after := row, row
	before.field, after.field = "before", "after"
	return field{kind: "struct", name: name + ".Envelope", version: 1, fields: []field{
		before, after, o.sourceField(),
		{kind: "string", field: "op"},
		{kind: "int64", optional: true, field: "ts_ms"},
		{kind: "struct", optional: true, name: "event.block", version: 1, field: "transaction", fields: []field{
			{kind: "string", field: "id"}, {kind: "int64", field: "total_order"}, {kind: "int64", field: "data_collection_order"},
		}},
	}}
}

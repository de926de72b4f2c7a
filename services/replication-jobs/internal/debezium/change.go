package debezium

import (
	"strconv"
	"time"
)

// Change writes the message of a schema change: its key and its value. Tables of the statement are not described (tableChanges is empty):
// rows carry their own schema.
func (o Options) Change(schema, ddl string, source Source, now time.Time) (key, value []byte) {
	database := field{kind: "string", field: "databaseName"}
	keyPayload := append(appendQuoted([]byte(`{"databaseName":`), schema), '}')
	names := append(appendQuoted([]byte(`,"db":`), schema), `,"sequence":null,"table":null`...)
	payload := source.append([]byte(`{"source":`), o.sourceHead(), names)
	payload = append(payload, `,"ts_ms":`...)
	payload = strconv.AppendInt(payload, now.UnixMilli(), 10)
	payload = appendQuoted(append(payload, `,"databaseName":`...), schema)
	payload = appendQuoted(append(payload, `,"schemaName":null,"ddl":`...), ddl)
	payload = append(payload, `,"tableChanges":[]}`...)
	if !o.Schemas {
		return keyPayload, payload
	}
	database.optional = true
	connector := "io.debezium.connector." + o.Connector
	valueField := field{kind: "struct", name: connector + ".SchemaChangeValue", version: 1, fields: []field{
		o.sourceField(),
		{kind: "int64", field: "ts_ms"},
		database,
		{kind: "string", optional: true, field: "schemaName"},
		{kind: "string", optional: true, field: "ddl"},
		{kind: "array", items: &field{kind: "string"}, field: "tableChanges"},
	}}
	database.optional = false
	keyField := field{kind: "struct", name: connector + ".SchemaChangeKey", version: 1, fields: []field{database}}
	return withSchema(keyField, keyPayload), withSchema(valueField, payload)
}

func withSchema(f field, payload []byte) []byte {
	out := append(f.append([]byte(`{"schema":`)), `,"payload":`...)
	return append(append(out, payload...), '}')
}

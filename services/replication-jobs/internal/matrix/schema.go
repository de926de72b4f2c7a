package matrix

// The schemas of Debezium's semantic types.
const (
	date       = `"type":"int32","name":"io.debezium.time.Date","version":1`
	microTime  = `"type":"int64","name":"io.debezium.time.MicroTime","version":1`
	milli      = `"type":"int64","name":"io.debezium.time.Timestamp","version":1`
	micro      = `"type":"int64","name":"io.debezium.time.MicroTimestamp","version":1`
	zoned      = `"type":"string","name":"io.debezium.time.ZonedTimestamp","version":1`
	geometry   = `"type":"struct","fields":[{"type":"bytes","optional":false,"field":"wkb"},{"type":"int32","optional":true,"field":"srid"}],"name":"io.debezium.data.geometry.Geometry","version":1`
	point      = `"type":"struct","fields":[{"type":"double","optional":false,"field":"x"},{"type":"double","optional":false,"field":"y"},{"type":"bytes","optional":true,"field":"wkb"},{"type":"int32","optional":true,"field":"srid"}],"name":"io.debezium.data.geometry.Point","version":1`
	text       = `"type":"string"`
	bytesField = `"type":"bytes"`
)

func plain(kind string) string { return `"type":"` + kind + `"` }

func decimal(scale, precision string) string {
	return `"type":"bytes","name":"org.apache.kafka.connect.data.Decimal","version":1,"parameters":{"scale":"` + scale + `","connect.decimal.precision":"` + precision + `"}`
}

func bits(n string) string {
	return `"type":"bytes","name":"io.debezium.data.Bits","version":1,"parameters":{"length":"` + n + `"}`
}

func members(kind, list string) string {
	return `"type":"string","name":"io.debezium.data.` + kind + `","version":1,"parameters":{"allowed":"` + list + `"}`
}

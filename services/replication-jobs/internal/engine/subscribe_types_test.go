package engine_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/kafkatest"
)

// typeCase is a column type with values and what Debezium's documentation makes of them, computed by hand.
type typeCase struct {
	column string
	schema string   // of the field, without optional and field
	values []string // SQL and JSON in turn
}

// The schemas of semantic types.
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

func decimal(scale, precision string) string {
	return `"type":"bytes","name":"org.apache.kafka.connect.data.Decimal","version":1,"parameters":{"scale":"` + scale + `","connect.decimal.precision":"` + precision + `"}`
}

func bitField(n string) string {
	return `"type":"bytes","name":"io.debezium.data.Bits","version":1,"parameters":{"length":"` + n + `"}`
}

func members(kind, list string) string {
	return `"type":"string","name":"io.debezium.data.` + kind + `","version":1,"parameters":{"allowed":"` + list + `"}`
}

var typeCases = []typeCase{
	{"TINYINT", `"type":"int16"`, []string{"-128", "-128", "127", "127", "NULL", "null"}},
	{"TINYINT UNSIGNED", `"type":"int16"`, []string{"255", "255", "128", "128"}},
	{"BOOLEAN", `"type":"int16"`, []string{"TRUE", "1"}},
	{"SMALLINT", `"type":"int16"`, []string{"-32768", "-32768"}},
	{"SMALLINT UNSIGNED", `"type":"int32"`, []string{"65535", "65535"}},
	{"MEDIUMINT", `"type":"int32"`, []string{"-8388608", "-8388608", "-1", "-1"}},
	{"MEDIUMINT UNSIGNED", `"type":"int32"`, []string{"16777215", "16777215"}},
	{"INT", `"type":"int32"`, []string{"-2147483648", "-2147483648", "2147483647", "2147483647"}},
	{"INT UNSIGNED", `"type":"int64"`, []string{"4294967295", "4294967295"}},
	{"INT(6) ZEROFILL", `"type":"int64"`, []string{"42", "42"}},
	{"BIGINT", `"type":"int64"`, []string{"-9223372036854775808", "-9223372036854775808", "9223372036854775807", "9223372036854775807"}},
	{"BIGINT UNSIGNED", `"type":"int64"`, []string{"9223372036854775807", "9223372036854775807", "0", "0"}},
	{"FLOAT", `"type":"float"`, []string{"1.1", "1.1", "-3.4e38", "-3.4e+38", "16777217", "1.6777216e+07", "NULL", "null"}},
	{"DOUBLE", `"type":"double"`, []string{"0.1", "0.1", "-1.7976931348623157e308", "-1.7976931348623157e+308"}},
	{"DECIMAL(10,2)", decimal("2", "10"), []string{"0", `"AA=="`, "1.28", `"AIA="`, "-1.28", `"gA=="`, "-2.00", `"/zg="`, "1.5", `"AJY="`, "12345678.90", `"SZYC0g=="`, "NULL", "null"}},
	{"DECIMAL(65,30)", decimal("30", "65"), []string{
		"0.000000000000000000000000000001", `"AQ=="`, "-0.000000000000000000000000000001", `"/w=="`, "1", `"DJ8snNBGdO3qQAAAAA=="`, "-1", `"82DTYy+5ixIVwAAAAA=="`,
	}},
	{"DECIMAL(5,0)", decimal("0", "5"), []string{"-99999", `"/nlh"`, "255", `"AP8="`}},
	{"BIT(1)", `"type":"boolean"`, []string{"b'0'", "false", "b'1'", "true"}},
	{"BIT(8)", bitField("8"), []string{"9", `"CQ=="`, "0", `"AA=="`}},
	{"BIT(16)", bitField("16"), []string{"9", `"CQA="`, "19", `"EwA="`}},
	{"BIT(59)", bitField("59"), []string{"9", `"CQAAAAAAAAA="`}},
	{"BIT(64)", bitField("64"), []string{"0x8000000000000001", `"AQAAAAAAAIA="`}},
	{"YEAR", `"type":"int32","name":"io.debezium.time.Year","version":1`, []string{"0", "0", "1901", "1901", "2155", "2155"}},
	{"DATE", date, []string{"'1970-01-01'", "0", "'1969-12-31'", "-1", "'2024-02-29'", "19782", "'9999-12-31'", "2932896", "'0000-00-00'", "null", "'2024-00-10'", "null", "'2024-02-31'", "null", "NULL", "null"}},
	{"DATE NOT NULL", date, []string{"'0000-00-00'", "0"}},
	{"TIME", microTime, []string{"'01:02:03'", "3723000000", "'-838:59:59'", "-3020399000000", "'838:59:59'", "3020399000000", "'00:00:00'", "0"}},
	{"TIME(1)", microTime, []string{"'-800:02:03.1'", "-2880123100000", "'-00:00:00.1'", "-100000"}},
	{"TIME(6)", microTime, []string{"'-00:00:00.000001'", "-1", "'10:11:12.123456'", "36672123456"}},
	{"DATETIME", milli, []string{"'1970-01-01 00:00:01'", "1000", "'1969-12-31 23:59:59'", "-1000", "'9999-12-31 23:59:59'", "253402300799000", "'0000-00-00 00:00:00'", "null", "NULL", "null"}},
	{"DATETIME(3)", milli, []string{"'2024-06-30 12:00:00.123'", "1719748800123", "'1969-12-31 23:59:59.999'", "-1"}},
	{"DATETIME(6)", micro, []string{"'2024-06-30 12:00:00.123456'", "1719748800123456", "'1969-12-31 23:59:59.999999'", "-1"}},
	{"DATETIME NOT NULL", milli, []string{"'0000-00-00 00:00:00'", "0"}},
	{"TIMESTAMP NULL", zoned, []string{"'2038-01-19 03:14:07'", `"2038-01-19T03:14:07Z"`, "'0000-00-00 00:00:00'", "null", "NULL", "null"}},
	{"TIMESTAMP(3) NULL", zoned, []string{"'2024-10-27 01:30:00.120'", `"2024-10-27T01:30:00.120Z"`}},
	{"TIMESTAMP(6) NOT NULL", zoned, []string{"'2024-10-27 01:30:00.123456'", `"2024-10-27T01:30:00.123456Z"`, "'0000-00-00 00:00:00'", `"1970-01-01T00:00:00Z"`}},
	{"CHAR(20)", text, []string{"''", `""`, "'  lead'", `"  lead"`, `'it''s \\ "q"\n\0'`, `"it's \\ \"q\"\n\u0000"`, "'汉字'", `"汉字"`}},
	{"VARCHAR(100)", text, []string{"'trail  '", `"trail  "`, "'😀'", `"😀"`, "NULL", "null"}},
	{"VARCHAR(50) CHARACTER SET latin1", text, []string{"_latin1 X'80FF'", `"€ÿ"`, "_latin1 X'81'", "\"\u0081\""}},
	{"VARCHAR(50) CHARACTER SET gbk", text, []string{"'中文测试'", `"中文测试"`}},
	{"VARCHAR(50) CHARACTER SET utf16", text, []string{"'😀'", `"😀"`}},
	{"VARCHAR(50) COLLATE utf8mb4_uca1400_ai_ci", text, []string{"'ß'", `"ß"`}},
	{"CHAR(50) CHARACTER SET utf32", text, []string{"'中'", `"中"`}},
	{"TEXT CHARACTER SET big5", text, []string{"_big5 X'A55CB35C'", `"功許"`}},
	{"LONGTEXT", text, []string{"''", `""`, "NULL", "null"}},
	{"JSON", text, []string{`'{"a": [1, null]}'`, `"{\"a\": [1, null]}"`}},
	{"BINARY(4)", bytesField, []string{"''", `"AAAAAA=="`, "'a'", `"YQAAAA=="`, "X'01020304'", `"AQIDBA=="`}},
	{"VARBINARY(20)", bytesField, []string{"''", `""`, "X'0000'", `"AAA="`}},
	{"BLOB", bytesField, []string{"X'00FF'", `"AP8="`, "NULL", "null"}},
	{"UUID", bytesField, []string{"'123e4567-e89b-12d3-a456-426655440000'", `"Ej5FZ+ibEtOkVkJmVUQAAA=="`}},
	{"INET6", bytesField, []string{"'::1'", `"AAAAAAAAAAAAAAAAAAAAAQ=="`}},
	{"INET4", bytesField, []string{"'192.0.2.0'", `"wAACAA=="`}},
	{"ENUM('a','b','it''s')", members("Enum", "a,b,it's"), []string{"'a'", `"a"`, "3", `"it's"`, "NULL", "null"}},
	{"ENUM('蓝','红') CHARACTER SET gbk", members("Enum", "蓝,红"), []string{"2", `"红"`}},
	{"SET('x','y','z')", members("EnumSet", "x,y,z"), []string{"''", `""`, "'x,z'", `"x,z"`, "7", `"x,y,z"`}},
	{"POINT", point, []string{"ST_GeomFromText('POINT(1 -2.5)')", `{"x":1,"y":-2.5,"wkb":"AQEAAAAAAAAAAADwPwAAAAAAAATA","srid":null}`, "NULL", "null"}},
	{"GEOMETRY", geometry, []string{"ST_GeomFromText('POINT(1 -2.5)', 4326)", `{"wkb":"AQEAAAAAAAAAAADwPwAAAAAAAATA","srid":4326}`}},
	{"LINESTRING", geometry, []string{"ST_GeomFromText('LINESTRING(0 0,1 1)')", `{"wkb":"AQIAAAACAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAPA/AAAAAAAA8D8=","srid":null}`}},
}

// rawRow is a message whose values stay as they were written.
type rawRow struct {
	Schema  json.RawMessage
	Payload struct {
		Before, After map[string]json.RawMessage
		Op            string
	}
}

func (c typeCase) table(i int) string { return fmt.Sprintf("t%02d", i) }

// fieldSchema is the schema of column v, as the message has it.
func (c typeCase) fieldSchema() string {
	optional := "true"
	if strings.Contains(c.column, "NOT NULL") {
		optional = "false"
	}
	return "{" + c.schema + `,"optional":` + optional + `,"field":"v"}`
}

// Every type goes through the snapshot, and through an insert, an update and a delete in the log.
func TestSubscribeTypes(t *testing.T) {
	t.Parallel()
	s := newSubscribed(t)
	setUp := []string{"SET sql_mode = 'ALLOW_INVALID_DATES', time_zone = '+00:00'", "SET NAMES utf8mb4", "CREATE DATABASE types", "USE types"}
	statements := append([]string{}, setUp...)
	changes := []string{setUp[0], setUp[1], setUp[3]}
	messages := 0
	for i, c := range typeCases {
		statements = append(statements, "CREATE TABLE "+c.table(i)+" (id INT PRIMARY KEY, v "+c.column+", other INT NOT NULL)")
		for n := 0; n < len(c.values); n += 2 {
			statements = append(statements, fmt.Sprintf("INSERT INTO %s VALUES (%d, %s, 0)", c.table(i), n, c.values[n]))
			changes = append(changes, fmt.Sprintf("INSERT INTO %s VALUES (%d, %s, 1)", c.table(i), n+1, c.values[n]))
			messages += 2
		}
		changes = append(changes, fmt.Sprintf("UPDATE %s SET other = 2 WHERE id = 0", c.table(i)), fmt.Sprintf("DELETE FROM %s WHERE id = 0", c.table(i)))
		messages += 3 // with a tombstone
	}
	s.source.Exec(t, statements...)
	job := s.job("types", 1, "types")
	job.Subscription.Schemas = true
	run := start(t, job)
	run.awaitEvent(t, "job_stage_incr")
	s.source.Exec(t, changes...)
	all := kafkatest.Read(t, s.brokers, `types\.types\..*`).Next(t, func(all []*kgo.Record) bool { return len(all) >= messages })
	run.stop(t)
	byTopic := map[string][]*kgo.Record{}
	for _, m := range all {
		byTopic[m.Topic] = append(byTopic[m.Topic], m)
	}
	for i, c := range typeCases {
		t.Run(c.column, func(t *testing.T) { c.check(t, byTopic["types.types."+c.table(i)]) })
	}
}

func (c typeCase) check(t *testing.T, messages []*kgo.Record) {
	var schema string
	want := func(id int) string { return c.values[id/2*2+1] }
	got := map[string]int{}
	for _, m := range messages {
		if m.Value == nil {
			got["tombstone"]++
			continue
		}
		var row rawRow
		require.NoError(t, json.Unmarshal(m.Value, &row), "%s", m.Value)
		if schema == "" {
			schema = string(row.Schema)
		}
		require.Equal(t, schema, string(row.Schema), "snapshot and log")
		got[row.Payload.Op]++
		for _, image := range []map[string]json.RawMessage{row.Payload.Before, row.Payload.After} {
			if image == nil {
				continue
			}
			var id int
			require.NoError(t, json.Unmarshal(image["id"], &id))
			require.Equal(t, want(id), string(image["v"]), "%s of %s", row.Payload.Op, c.values[id/2*2])
		}
	}
	n := len(c.values) / 2
	require.Equal(t, map[string]int{"r": n, "c": n, "u": 1, "d": 1, "tombstone": 1}, got)
	var envelope struct {
		Fields []struct{ Fields []json.RawMessage }
	}
	require.NoError(t, json.Unmarshal([]byte(schema), &envelope))
	require.JSONEq(t, c.fieldSchema(), string(envelope.Fields[0].Fields[1]))
}

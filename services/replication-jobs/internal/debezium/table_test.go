package debezium_test

import (
	"encoding/base64"
	"encoding/json"
	"math"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/ddl"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/debezium"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
)

var orders = ddl.Name{Schema: "shop", Table: "orders"}

var options = debezium.Options{Version: "1", Connector: "mysql", Name: "demo"}

func table(t testing.TB, o debezium.Options, columns ...mysql.Column) *debezium.Table {
	t.Helper()
	all, err := o.Defined(&mysql.Table{Schema: "shop", Name: "orders", Columns: columns})
	require.NoError(t, err)
	return o.NewTable(orders, orders, all, []int{0})
}

var (
	id     = mysql.Column{Name: "id", DataType: "int", ColumnType: "int(11)"}
	amount = mysql.Column{Name: "amount", DataType: "decimal", ColumnType: "decimal(10,2)", Nullable: true}
	big64  = mysql.Column{Name: "n", DataType: "bigint", ColumnType: "bigint(20) unsigned", Unsigned: true}
	words  = mysql.Column{Name: "note", DataType: "text", ColumnType: "text", Charset: "utf8mb4"}
)

// The whole of a message, as Kafka Connect's JsonConverter writes it.
func TestMessage(t *testing.T) {
	t.Parallel()
	o := options
	o.Schemas = true
	orders := table(t, o, id, amount)
	source := debezium.Source{Time: time.Unix(1700000000, 0), ServerID: 7, Thread: 12, GTID: "a:1", File: "bin.000001", Offset: 154, Row: 3}
	value, err := orders.AppendValue(nil, debezium.Update, []any{int32(1), "1.28"}, []any{int32(1), nil}, source, time.UnixMilli(1700000001234))
	require.NoError(t, err)
	row := `"fields":[{"type":"int32","optional":false,"field":"id"},{"type":"bytes","optional":true,` +
		`"name":"org.apache.kafka.connect.data.Decimal","version":1,"parameters":{"scale":"2","connect.decimal.precision":"10"},"field":"amount"}],` +
		`"optional":true,"name":"demo.shop.orders.Value"`
	require.JSONEq(t, `{"schema":{"type":"struct","fields":[{"type":"struct",`+row+`,"field":"before"},{"type":"struct",`+row+`,"field":"after"},
		{"type":"struct","fields":[
			{"type":"string","optional":false,"field":"version"},{"type":"string","optional":false,"field":"connector"},
			{"type":"string","optional":false,"field":"name"},{"type":"int64","optional":false,"field":"ts_ms"},
			{"type":"string","optional":true,"name":"io.debezium.data.Enum","version":1,"parameters":{"allowed":"true,last,false,incremental"},"default":"false","field":"snapshot"},
			{"type":"string","optional":false,"field":"db"},{"type":"string","optional":true,"field":"sequence"},{"type":"string","optional":true,"field":"table"},
			{"type":"int64","optional":false,"field":"server_id"},{"type":"string","optional":true,"field":"gtid"},{"type":"string","optional":false,"field":"file"},
			{"type":"int64","optional":false,"field":"pos"},{"type":"int32","optional":false,"field":"row"},{"type":"int64","optional":true,"field":"thread"},
			{"type":"string","optional":true,"field":"query"}
		],"optional":false,"name":"io.debezium.connector.mysql.Source","field":"source"},
		{"type":"string","optional":false,"field":"op"},{"type":"int64","optional":true,"field":"ts_ms"},
		{"type":"struct","fields":[{"type":"string","optional":false,"field":"id"},{"type":"int64","optional":false,"field":"total_order"},
			{"type":"int64","optional":false,"field":"data_collection_order"}],"optional":true,"name":"event.block","version":1,"field":"transaction"}
	],"optional":false,"name":"demo.shop.orders.Envelope","version":1},
	"payload":{"before":{"id":1,"amount":"AIA="},"after":{"id":1,"amount":null},
		"source":{"version":"1","connector":"mysql","name":"demo","ts_ms":1700000000000,"snapshot":"false","db":"shop","sequence":null,"table":"orders",
			"server_id":7,"gtid":"a:1","file":"bin.000001","pos":154,"row":3,"thread":12,"query":null},
		"op":"u","ts_ms":1700000001234,"transaction":null}}`, string(value))
	key, err := orders.Key([]any{int32(1), nil})
	require.NoError(t, err)
	require.Equal(t, `{"schema":{"type":"struct","fields":[{"type":"int32","optional":false,"field":"id"}],"optional":false,"name":"demo.shop.orders.Key"},"payload":{"id":1}}`, string(key))
}

func TestForms(t *testing.T) {
	t.Parallel()
	payload := func(o debezium.Options, c mysql.Column, v any) (string, error) {
		value, err := table(t, o, c).AppendValue(nil, debezium.Create, nil, []any{v}, debezium.Source{}, time.Time{})
		_, after, _ := strings.Cut(string(value), `"after":{"`+c.Name+`":`)
		after, _, _ = strings.Cut(after, `},"source"`)
		return after, err
	}
	asText, precise := options, options
	asText.DecimalString, precise.PreciseUnsigned = true, true
	for _, tc := range []struct {
		options debezium.Options
		column  mysql.Column
		value   any
		want    string
	}{
		{asText, amount, "-12.30", `"-12.30"`},
		{options, big64, uint64(math.MaxInt64), "9223372036854775807"},
		{precise, big64, uint64(math.MaxUint64), `"AP//////////"`},
		{precise, big64, uint64(5), `"BQ=="`},
		{options, words, "a\"b\\c\u0001\n\t\u2028", `"a\"b\\c\u0001\n\u0009` + "\u2028" + `"`},
	} {
		got, err := payload(tc.options, tc.column, tc.value)
		require.NoError(t, err)
		require.Equal(t, tc.want, got)
	}
	for _, tc := range []struct {
		column mysql.Column
		value  any
		want   string
	}{
		{big64, uint64(math.MaxInt64) + 1, "column n holds a value above 9223372036854775807"},
		{words, "\xff", "column note holds text that is no UTF-8"},
		{id, "x", "column id holds a value of an unexpected form"},
		{amount, "1.234", "column amount holds a value of an unexpected form"},
	} {
		_, err := payload(options, tc.column, tc.value)
		require.ErrorContains(t, err, "table shop.orders: "+tc.want)
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	single := options
	single.SingleTopic = true
	key, err := table(t, single, id).Key([]any{int32(4)})
	require.NoError(t, err)
	require.Equal(t, `{"id":4,"__dbz__physicalTableIdentifier":"demo.shop.orders"}`, string(key))
	_, err = table(t, options, id).Key([]any{nil})
	require.ErrorContains(t, err, "column id of the key is missing")
	columns, err := options.Defined(&mysql.Table{Columns: []mysql.Column{id}})
	require.NoError(t, err)
	key, err = options.NewTable(ddl.Name{Schema: "shop", Table: "log"}, ddl.Name{Schema: "shop", Table: "log"}, columns, nil).Key([]any{int32(4)})
	require.NoError(t, err)
	require.Nil(t, key)
}

func TestChange(t *testing.T) {
	t.Parallel()
	for _, schemas := range []bool{false, true} {
		o := options
		o.Schemas = schemas
		key, value := o.Change("shop", "DROP TABLE `a\"`", debezium.Source{File: "bin.000001"}, time.UnixMilli(5))
		var parsed, keyed map[string]any
		require.NoError(t, json.Unmarshal(value, &parsed))
		require.NoError(t, json.Unmarshal(key, &keyed))
		if schemas {
			require.Contains(t, parsed, "schema")
			parsed, keyed = parsed["payload"].(map[string]any), keyed["payload"].(map[string]any)
		}
		require.Equal(t, map[string]any{"databaseName": "shop"}, keyed)
		require.Equal(t, "DROP TABLE `a\"`", parsed["ddl"])
		require.Equal(t, []any{}, parsed["tableChanges"])
	}
}

// FuzzDecimal compares with arithmetic of the standard library.
func FuzzDecimal(f *testing.F) {
	for _, s := range []string{"0.00", "-0.01", "12345678.90", "-99999999.99", "127", "128", "-128", "-129"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		value, err := table(t, options, amount).AppendValue(nil, debezium.Create, nil, []any{s}, debezium.Source{}, time.Time{})
		if err != nil {
			return
		}
		_, after, _ := strings.Cut(string(value), `"amount":"`)
		after, _, _ = strings.Cut(after, `"`)
		b, err := base64.StdEncoding.DecodeString(after)
		require.NoError(t, err)
		got := new(big.Int).SetBytes(b)
		if b[0] >= 0x80 {
			got.Sub(got, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
		}
		want, ok := new(big.Rat).SetString(s)
		require.True(t, ok, s)
		require.Zero(t, want.Cmp(new(big.Rat).SetFrac(got, big.NewInt(100))), "%s became %s", s, got)
	})
}

// FuzzText writes any text so that a JSON parser reads the same.
func FuzzText(f *testing.F) {
	f.Add("plain", []byte("x"))
	f.Add("\"\\\x00\x1f\u2028😀", []byte{0, 1, 2})
	f.Fuzz(func(t *testing.T, s string, raw []byte) {
		blob := mysql.Column{Name: "raw", DataType: "blob", ColumnType: "blob"}
		value, err := table(t, options, words, blob).AppendValue(nil, debezium.Create, nil, []any{s, raw}, debezium.Source{}, time.Time{})
		if err != nil {
			require.ErrorContains(t, err, "no UTF-8")
			return
		}
		var got struct {
			After struct {
				Note string
				Raw  []byte
			}
		}
		require.NoError(t, json.Unmarshal(value, &got))
		require.Equal(t, s, got.After.Note)
		require.Equal(t, string(raw), string(got.After.Raw))
	})
}

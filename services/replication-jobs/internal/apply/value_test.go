package apply

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
)

func TestUpsertByServer(t *testing.T) {
	t.Parallel()
	definition := &mysql.Table{
		Schema: "s", Name: "t", PrimaryKey: []int{0},
		Columns: []mysql.Column{{Name: "id"}, {Name: "g", Generated: true}, {Name: "v"}},
	}
	require.Equal(t, " ON DUPLICATE KEY UPDATE `id`=VALUES(`id`),`v`=VALUES(`v`)", newTable(definition, false).upsert)
	require.Equal(t, " AS opsdeck_new ON DUPLICATE KEY UPDATE `id`=opsdeck_new.`id`,`v`=opsdeck_new.`v`", newTable(definition, true).upsert)
}

func TestDocumentsAreNotBinary(t *testing.T) {
	t.Parallel()
	document := column{Column: mysql.Column{Name: "j", DataType: "json"}}
	text, err := document.appendValue(nil, `{"a": "it's"}`, 245)
	require.NoError(t, err)
	require.Equal(t, `'{"a": "it\'s"}'`, string(text))
	text, err = document.appendValue(nil, []byte(`{"a": 1}`), 252) // LONGTEXT of MariaDB
	require.NoError(t, err)
	require.Equal(t, `'{"a": 1}'`, string(text))
}

func TestSameRow(t *testing.T) {
	t.Parallel()
	require.True(t, sameRow([]any{int32(1), "a", []byte{1}, nil, 1.5}, []any{int32(1), "a", []byte{1}, nil, 1.5}))
	require.False(t, sameRow([]any{0.0}, []any{math.Copysign(0, -1)}))
	for _, other := range [][]any{{int32(2)}, {nil}, {"1"}, {[]byte("1")}} {
		require.False(t, sameRow([]any{int32(1)}, other))
		require.False(t, sameRow(other, []any{int32(1)}))
	}
}

package fullcopy

import (
	"strings"
	"testing"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"
	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
)

var keyed = []mysql.Column{
	{Name: "n", DataType: "bigint"},
	{Name: "d", DataType: "decimal"},
	{Name: "t", DataType: "varchar", Charset: "gbk"},
	{Name: "b", DataType: "varbinary"},
	{Name: "at", DataType: "datetime"},
}

func TestKeyLiterals(t *testing.T) {
	t.Parallel()
	var stored []byte
	for _, v := range []gomysql.FieldValue{
		gomysql.NewFieldValue(gomysql.FieldValueTypeUnsigned, 1<<63, nil),
		gomysql.NewFieldValue(gomysql.FieldValueTypeString, 0, []byte("-1.50")),
		gomysql.NewFieldValue(gomysql.FieldValueTypeString, 0, []byte{0x81, '\\'}),
		gomysql.NewFieldValue(gomysql.FieldValueTypeString, 0, nil),
		gomysql.NewFieldValue(gomysql.FieldValueTypeString, 0, []byte("2026-01-01 00:00:00")),
	} {
		stored = appendKeyValue(stored, &v)
	}
	literals, err := keyLiterals(stored, keyed)
	require.NoError(t, err)
	require.Equal(t, []string{"9223372036854775808", "-1.50", "_gbk X'815c'", "X''", "'2026-01-01 00:00:00'"}, literals)
	require.Equal(t, "(`n` > 1) OR (`n` = 1 AND `d` > 2)", after(keyed[:2], []string{"1", "2"}))
}

// FuzzKeyLiterals reads damaged keys: whatever they hold, it must not leave its literal.
func FuzzKeyLiterals(f *testing.F) {
	f.Add([]byte("\x011\x011\x01a\x01a\x01a"))
	f.Add([]byte("\x051 OR 1"))
	f.Add([]byte("\x011\x011\x00\x00\x03'\\'"))
	f.Add([]byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"))
	f.Fuzz(func(t *testing.T, stored []byte) {
		literals, err := keyLiterals(stored, keyed)
		if err != nil {
			return
		}
		require.Len(t, literals, len(keyed))
		for _, l := range literals[:2] {
			require.Regexp(t, `^-?[0-9]+(\.[0-9]+)?$`, l)
		}
		for _, l := range literals[2:4] {
			require.Regexp(t, `^(_gbk )?X'[0-9a-f]*'$`, l)
		}
		date := literals[4]
		inside := strings.NewReplacer(`\\`, "", `\'`, "").Replace(date[1 : len(date)-1])
		require.NotContains(t, inside, "'")
	})
}

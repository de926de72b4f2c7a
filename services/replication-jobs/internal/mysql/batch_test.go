package mysql_test

import (
	"testing"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"
	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysqltest"
)

func TestBatches(t *testing.T) {
	t.Parallel()
	server := mysqltest.Start(t, 1)
	for name, flavor := range map[string]mysql.Flavor{"compound": mysql.Detect("10.11.6-MariaDB"), "one by one": mysql.Detect("8.0.33")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := server.Connect(t)
			c.Flavor = flavor // MariaDB takes either way
			takesOne(t, c)
			require.NoError(t, c.AllowBatches(true))
			require.NoError(t, c.RunBatch([]byte("SET @a = 1;SET @b = 2")))
			err := c.RunBatch([]byte("SET @a = 3;SET @b = 1 + ~0;SET @a = 4"))
			require.EqualValues(t, gomysql.ER_DATA_OUT_OF_RANGE, mysql.Code(err))
			r, err := c.Execute("SELECT CONCAT(@a, @b)")
			require.NoError(t, err)
			got, err := r.GetString(0, 0)
			require.NoError(t, err)
			require.Equal(t, "32", got, "what follows a failure is not executed")
			require.NoError(t, c.AllowBatches(false))
			takesOne(t, c)
		})
	}
}

func takesOne(t *testing.T, c *mysql.Conn) {
	t.Helper()
	_, err := c.Execute("DO 1; DO 2")
	require.EqualValues(t, gomysql.ER_PARSE_ERROR, mysql.Code(err))
}

package mysql_test

import (
	"bytes"
	"testing"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"
	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysqltest"
)

func testLoad(t *testing.T, server *mysqltest.Server) {
	server.Exec(t, "CREATE DATABASE files", "CREATE TABLE files.t (id INT PRIMARY KEY, v MEDIUMTEXT CHARACTER SET ascii)")
	c := server.Connect(t)
	const statement = "LOAD DATA LOCAL INFILE '/etc/hostname' INTO TABLE files.t"
	large := bytes.Repeat([]byte("x"), 190000) // several packets
	r, err := c.Load(statement, append(append([]byte("1\ta\n2\t"), large...), '\n'))
	require.NoError(t, err)
	require.Equal(t, uint64(2), r.AffectedRows)
	require.Zero(t, r.Warnings)
	length, err := c.Execute("SELECT GROUP_CONCAT(LENGTH(v) ORDER BY id) FROM files.t")
	require.NoError(t, err)
	text, err := length.GetString(0, 0)
	require.NoError(t, err)
	require.Equal(t, "1,190000", text)

	r, err = c.Load(statement, []byte("2\tthere\n3\tnew\n"))
	require.NoError(t, err)
	require.Equal(t, uint64(1), r.AffectedRows, "a key that exists is left out")
	require.Equal(t, uint16(1), r.Warnings)
	r, err = c.Load(statement, nil)
	require.NoError(t, err)
	require.Zero(t, r.AffectedRows)

	_, err = c.Load("LOAD DATA LOCAL INFILE 'rows' INTO TABLE files.missing", []byte("1\n"))
	require.Equal(t, uint16(gomysql.ER_NO_SUCH_TABLE), mysql.Code(err))
	_, err = c.Load("LOAD DATA", nil)
	require.Equal(t, uint16(gomysql.ER_PARSE_ERROR), mysql.Code(err))
	_, err = c.Load("SELECT 1", nil)
	require.ErrorIs(t, err, gomysql.ErrMalformPacket)

	_, err = server.Connect(t).Execute(statement)
	require.ErrorIs(t, err, gomysql.ErrMalformPacket, "no other statement is given a file")
}

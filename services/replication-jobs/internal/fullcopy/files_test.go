package fullcopy_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/fullcopy"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysqltest"
)

// TestFiles copies every value of every type in files: what none of them takes would go as a statement. Tables with an AUTO_INCREMENT do where that locks none.
func TestFiles(t *testing.T) {
	t.Parallel()
	source := mysqltest.Start(t, 1)
	source.Exec(t, fileStatements()...)
	loads := map[string]int{}
	for _, mode := range []string{"1", "2"} {
		f := &fixture{source: source, target: mysqltest.Start(t, 2, "--innodb-autoinc-lock-mode="+mode)}
		testFiles(t, f)
		var err error
		loads[mode], err = strconv.Atoi(one(t, f.target, loadsQuery))
		require.NoError(t, err)
	}
	require.Equal(t, loads["1"]+2, loads["2"])
}

const loadsQuery = "SELECT variable_value FROM information_schema.global_status WHERE variable_name = 'Com_load'"

func fileStatements() []string {
	statements := []string{
		"SET SESSION sql_mode = ''", "SET time_zone = '+00:00'", "SET NAMES utf8mb4", "CREATE DATABASE files", "CREATE TABLE files.alone (v VARCHAR(10))",
		"INSERT INTO files.alone VALUES (''), (NULL), ('\\\\N'), ('\\t\\n\\\\')", "SET sql_mode = 'NO_AUTO_VALUE_ON_ZERO'",
		"CREATE TABLE files.numbered (id INT AUTO_INCREMENT PRIMARY KEY, e ENUM('3', '2', '1'))", "INSERT INTO files.numbered VALUES (0, '1'), (5, '3')",
		"CREATE TABLE files.counted (id INT AUTO_INCREMENT PRIMARY KEY, v INT)", "INSERT INTO files.counted VALUES (0, 1), (7, 2)", "SET SESSION sql_mode = ''",
	}
	for i, kind := range mysqltest.Types() {
		statements = append(statements, fmt.Sprintf("CREATE TABLE files.t%d (id INT PRIMARY KEY, v %s)", i, kind.Column))
		for n, v := range kind.Values {
			statements = append(statements, fmt.Sprintf("INSERT INTO files.t%d VALUES (%d, %s)", i, n, v.SQL))
		}
	}
	return statements
}

func testFiles(t *testing.T, f *fixture) {
	t.Helper()
	opt, _ := f.options(t, "files", 1, "files")
	core, logged := observer.New(zapcore.DebugLevel)
	opt.Log = zap.New(core)
	_, err := fullcopy.New(opt).Run(t.Context())
	require.NoError(t, err)
	f.requireEqual(t, "files")
	source, target := f.source.Connect(t), f.target.Connect(t)
	for i, kind := range mysqltest.Types() {
		query := fmt.Sprintf("SELECT GROUP_CONCAT(COALESCE(%s, 'null') ORDER BY id) FROM files.t%d", kind.Text(), i)
		require.Equal(t, ask(t, source, query), ask(t, target, query), kind.Column)
	}
	require.Equal(t, "0:3,5:1", one(t, f.target, "SELECT GROUP_CONCAT(CONCAT(id, ':', e + 0) ORDER BY id) FROM files.numbered"))
	var refused []string
	for _, entry := range logged.FilterMessageSnippet("do not go as a file").All() {
		refused = append(refused, fmt.Sprint(entry.ContextMap()))
	}
	require.Empty(t, strings.Join(refused, "\n"))
}

// TestCopyWithoutFiles copies to a server that takes no files.
func TestCopyWithoutFiles(t *testing.T) {
	t.Parallel()
	f := &fixture{source: mysqltest.Start(t, 1), target: mysqltest.Start(t, 2, "--local-infile=0")}
	testTypes(t, f)
	require.Equal(t, "0", one(t, f.target, loadsQuery))
}

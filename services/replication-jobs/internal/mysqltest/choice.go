package mysqltest

import (
	"os"
	"regexp"
	"slices"
	"testing"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/matrix"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/mariadb"
)

// targetID is the server id of targets. A server of any other id is a source, or stands alone.
const targetID = 2

// basedir is where the software of the source, or of the target, was unpacked; "" for the machine's MariaDB.
func basedir(serverID uint32) string {
	if serverID == targetID {
		return os.Getenv("OPSDECK_TEST_TARGET")
	}
	return os.Getenv("OPSDECK_TEST_SOURCE")
}

// Options are those of a server that keeps its data in dir, with further command line options.
func Options(dir string, serverID uint32, args ...string) mariadb.Options {
	options := []string{
		// A killed process loses nothing that it has handed to the kernel, so tests need not wait for the disk.
		"--innodb-flush-log-at-trx-commit=2", "--sync-binlog=0", "--innodb-buffer-pool-size=256M",
	}
	if Mixed() { // one that both know
		options = append(options, "--collation-server=utf8mb4_general_ci")
	}
	if mariadb.IsMySQL(basedir(serverID)) { // see Spelled
		options = append(options, "--cte-max-recursion-depth=10000000", "--group-concat-max-len=1048576")
	}
	return mariadb.Options{Dir: dir, ServerID: serverID, Basedir: basedir(serverID), Args: append(options, args...)}
}

// Mixed reports whether sources and targets are of different families.
func Mixed() bool {
	return mariadb.IsMySQL(basedir(0)) != mariadb.IsMySQL(basedir(targetID))
}

// Has reports whether the source and the target know what a column or a statement names.
func Has(text string) bool {
	switch matrix.Family(text) {
	case "MariaDB":
		return !mariadb.IsMySQL(basedir(0)) && !mariadb.IsMySQL(basedir(targetID))
	case "MySQL":
		return mariadb.IsMySQL(basedir(0)) && mariadb.IsMySQL(basedir(targetID))
	}
	return true
}

// Known leaves out the statements that name what the source or the target does not know.
func Known(statements ...string) []string {
	return slices.DeleteFunc(statements, func(s string) bool { return !Has(s) })
}

// unlike are values that the families show or keep in different ways: MariaDB has no negative zero and keeps the escapes of a document, and MySQL
// writes a number in 22 characters at most.
var unlike = regexp.MustCompile(`^-0e0$|e-?308$|\\u`)

// Types are those of the matrix that source and target have, with the values that both take.
func Types() []matrix.Type {
	types := slices.DeleteFunc(matrix.Types(), func(kind matrix.Type) bool { return !Has(kind.Column) })
	for i := range types {
		types[i].Values = slices.DeleteFunc(slices.Clone(types[i].Values), func(v matrix.Value) bool {
			return !Has(v.SQL) || Mixed() && unlike.MatchString(v.SQL)
		})
	}
	return types
}

// End is the server id of one of the two servers of a job.
type End uint32

// The ends.
const (
	Source End = 1
	Target End = targetID
)

// NeedMariaDB skips a test of what MySQL has not, where one of these ends is a MySQL.
func NeedMariaDB(t testing.TB, what string, ends ...End) {
	t.Helper()
	for _, end := range ends {
		if mariadb.IsMySQL(basedir(uint32(end))) {
			t.Skipf("MySQL has no %s", what)
		}
	}
}

// NeedMySQL skips a test of what MariaDB has not, where one of these ends is a MariaDB.
func NeedMySQL(t testing.TB, what string, ends ...End) {
	t.Helper()
	for _, end := range ends {
		if !mariadb.IsMySQL(basedir(uint32(end))) {
			t.Skipf("MariaDB has no %s", what)
		}
	}
}

var sequence = regexp.MustCompile(`mysql\.(seq_(\d+)_to_(\d+))`)

// Spelled is the statement with queries that MySQL knows in the place of tables of MariaDB's sequence engine, such as mysql.seq_1_to_9.
func (s *Server) Spelled(statement string) string { return spelled(s.IsMySQL(), statement) }

// Spelled is the statement as Server.Spelled has it, for the server of a session.
func Spelled(c *mysql.Conn, statement string) string {
	return spelled(c.Flavor.Name() == gomysql.MySQLFlavor, statement)
}

func spelled(isMySQL bool, statement string) string {
	if !isMySQL {
		return statement
	}
	return sequence.ReplaceAllString(statement, "(WITH RECURSIVE numbers (seq) AS (SELECT $2 UNION ALL SELECT seq + 1 FROM numbers WHERE seq < $3) SELECT seq FROM numbers) AS $1")
}

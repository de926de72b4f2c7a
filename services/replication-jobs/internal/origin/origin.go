// Package origin says which server the changes in a binary log came from. What a job writes to its target carries the name of its source: rows
// in the job's own record, which changes in the same transaction, and definitions in a comment. A job that replicates the other way leaves
// out what carries the name of its target.
package origin

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
)

// Names returns the names of a server, the best one first: the id that it was given when it first was a target, which its replicas share,
// and what it calls itself. The first is missing on a server that never was a target, or whose account may not read it.
func Names(c *mysql.Conn) ([]string, error) {
	var names []string
	given, err := one(c, "SELECT id FROM opsdeck.replication_server")
	switch mysql.Code(err) {
	case gomysql.ER_NO_SUCH_TABLE, gomysql.ER_BAD_DB_ERROR, gomysql.ER_TABLEACCESS_DENIED_ERROR, gomysql.ER_DBACCESS_DENIED_ERROR:
	default:
		if err != nil {
			return nil, err
		}
		names = append(names, given)
	}
	query := "SELECT @@GLOBAL.server_uuid"
	if c.Flavor.Name() == gomysql.MariaDBFlavor {
		query = "SELECT CONCAT_WS('/', @@GLOBAL.server_id, @@GLOBAL.hostname, @@GLOBAL.port)"
	}
	own, err := one(c, query)
	return append(names, url.QueryEscape(own)), err // a host name may be anything, and the name stands in comments
}

// one returns the only value of a statement.
func one(c *mysql.Conn, statement string) (string, error) {
	r, err := c.Execute(statement)
	if err == nil && r.RowNumber() != 1 {
		err = fmt.Errorf("%s: %d rows instead of one", statement, r.RowNumber())
	}
	if err != nil {
		return "", fmt.Errorf("read the server's name: %w", mysql.Explain(err))
	}
	return r.GetString(0, 0)
}

// columns says, for the records that change in the transactions of jobs, which of their columns is the name of the source.
var columns = map[string]int{"replication_job": 11, "replication_chunk": 6}

// Recorded reports whether a table is one of those records.
func Recorded(schema, table string) bool {
	_, ok := columns[table]
	return ok && schema == "opsdeck"
}

// OfRow returns the name in a row of such a table, "" in one of a release that recorded none.
func OfRow(table string, row []any) string {
	i := columns[table]
	if i >= len(row) {
		return ""
	}
	name, _ := row[i].(string)
	return name
}

var (
	// mark is the comment.
	mark = regexp.MustCompile(`/\* opsdeck-origin (\S+) \*/ ?`)
	// drop is the head of the only statements that servers do not log as they were written: MariaDB keeps a comment behind the head alone, and
	// MySQL none.
	drop = regexp.MustCompile(`(?is)^(?:\s+|/\*[^!M].*?\*/)*DROP\s+(?:TABLES?|SEQUENCE)(\s+IF\s+EXISTS)?\s*`)

	// dropped is the log of a DROP TABLE that names a sign.
	dropped = regexp.MustCompile("^DROP TABLE IF EXISTS .*`opsdeck`\\.`origin-([0-9a-f]{32})`")
)

// Mark returns a definition with the name of a source in it, in place of one that it may have already. An empty name marks nothing. Of MySQL, a
// DROP TABLE names one more table, which does not exist; with it goes the error for others that do not.
func Mark(flavor mysql.Flavor, statement, name string) string {
	if name == "" {
		return statement
	}
	statement = mark.ReplaceAllString(statement, "")
	comment := "/* opsdeck-origin " + name + " */ "
	head := drop.FindStringSubmatchIndex(statement)
	if head == nil {
		return comment + statement
	}
	if flavor.Name() == gomysql.MySQLFlavor {
		return "DROP TABLE IF EXISTS " + "`opsdeck`.`origin-" + digest(name) + "`, " + statement[head[1]:]
	}
	verb := "DROP TABLE "
	if head[2] >= 0 {
		verb += "IF EXISTS "
	}
	return verb + comment + statement[head[1]:]
}

// digest is a name that fits into that of a table.
func digest(name string) string {
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:16])
}

// Marked reports whether a definition carries one of the names.
func Marked(statement string, names []string) bool {
	if !strings.Contains(statement, "opsdeck") {
		return false
	}
	if found := dropped.FindStringSubmatch(statement); found != nil {
		return slices.ContainsFunc(names, func(name string) bool { return digest(name) == found[1] })
	}
	found := mark.FindStringSubmatch(statement)
	return found != nil && slices.Contains(names, found[1])
}

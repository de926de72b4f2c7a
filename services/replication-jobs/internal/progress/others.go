package progress

import (
	"fmt"
	"slices"
	"strings"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/ddl"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
)

// othersTables are the tables of the target that other jobs than one have copied, or had when they began.
const othersTables = `SELECT t.job_id, COALESCE(m.target_schema, t.table_schema), COALESCE(m.target_table, t.table_name)
	FROM opsdeck.replication_table t LEFT JOIN opsdeck.replication_mapping m
	ON m.job_id = t.job_id AND m.source_schema = t.table_schema AND m.source_table = t.table_name
	WHERE t.job_id <> ?`

// Others returns which tables of the target other jobs have copied, or had when they began, each with the job's id. A deleted job has none.
func Others(c *mysql.Conn, jobID string) (map[ddl.Name]string, error) {
	return others(c, othersTables, jobID)
}

// Writers is Others without the jobs that have ended: who does not copy may go on behind one that has.
func Writers(c *mysql.Conn, jobID string) (map[ddl.Name]string, error) {
	return others(c, othersTables+` AND t.job_id NOT IN (SELECT job_id FROM opsdeck.replication_ended)`, jobID)
}

func others(c *mysql.Conn, query, jobID string) (map[ddl.Name]string, error) {
	r, err := c.Execute(query, jobID)
	if err != nil {
		return nil, fmt.Errorf("look for other jobs on the target: %w", mysql.Explain(err))
	}
	out := make(map[ddl.Name]string, r.RowNumber())
	for i := range r.RowNumber() {
		row := scanner{r: r, row: i}
		job, name := row.text(0), ddl.Name{Schema: row.text(1), Table: row.text(2)}
		if row.err != nil {
			return nil, fmt.Errorf("look for other jobs on the target: %w", row.err)
		}
		out[name] = job
	}
	return out, nil
}

// notCopied stands for the snapshots of a table that a job without a copy has had at its beginning.
const notCopied = -1

// PutOwn records the tables, by their names at the source, that a job without a copy writes to from its beginning on.
func (r *Recorder) PutOwn(tables []ddl.Name) error {
	for some := range slices.Chunk(tables, 500) {
		var args []any
		for _, t := range some {
			args = append(args, r.jobID, t.Schema, t.Table, notCopied, notCopied)
		}
		_, err := r.conn.Execute(`REPLACE INTO opsdeck.replication_table
			(job_id, table_schema, table_name, fingerprint, first_snapshot, last_snapshot, rows_estimate, rows_copied, done)
			VALUES `+strings.Repeat(`, (?, ?, ?, '', ?, ?, 0, 0, TRUE)`, len(some))[2:], args...)
		if err != nil {
			return fmt.Errorf("record the tables that the job writes to: %w", err)
		}
	}
	return nil
}

// JobFrom names a job that writes to this server and whose source has one of the names, "" if there is none or the account may not know.
func JobFrom(c *mysql.Conn, names []string) (string, error) {
	r, err := c.Execute(`SELECT job_id FROM opsdeck.replication_job WHERE origin IN (?`+strings.Repeat(", ?", len(names)-1)+`) LIMIT 1`, anyOf(names)...)
	switch mysql.Code(err) {
	case gomysql.ER_NO_SUCH_TABLE, gomysql.ER_BAD_DB_ERROR, gomysql.ER_BAD_FIELD_ERROR, gomysql.ER_TABLEACCESS_DENIED_ERROR, gomysql.ER_DBACCESS_DENIED_ERROR:
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("look for jobs that replicate the other way: %w", mysql.Explain(err))
	}
	if r.RowNumber() == 0 {
		return "", nil
	}
	return r.GetString(0, 0)
}

func anyOf(names []string) []any {
	out := make([]any, len(names))
	for i, name := range names {
		out[i] = name
	}
	return out
}

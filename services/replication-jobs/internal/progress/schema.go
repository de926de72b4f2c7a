// Package progress keeps a job's progress in the target server itself, in the schema opsdeck, so that a position commits together
// with the rows it speaks of. A job row carries the epoch of the run that owns it; a write of an older run finds no row and
// fails with ErrFenced.
package progress

import (
	"fmt"
	"strings"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
)

// table is one of the tables in the schema opsdeck.
type table struct{ name, columns, comment string }

// tables are all of them. Job identifiers and names compare by bytes.
var tables = []table{
	{"replication_job", `
		job_id VARCHAR(255) COLLATE utf8mb4_bin NOT NULL PRIMARY KEY,
		incarnation VARCHAR(64) COLLATE utf8mb4_bin NOT NULL,
		epoch BIGINT NOT NULL,
		stage VARCHAR(16) NOT NULL,
		log_file VARCHAR(512) NOT NULL,
		log_pos BIGINT NOT NULL,
		gtid_set LONGTEXT NOT NULL,
		source_time BIGINT NOT NULL,
		transactions BIGINT NOT NULL,
		row_events BIGINT NOT NULL,
		updated_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
		` + originColumn, "where replication jobs are"},
	{"replication_ddl", `
		job_id VARCHAR(255) COLLATE utf8mb4_bin NOT NULL PRIMARY KEY,
		gtid VARCHAR(255) NOT NULL,
		log_file VARCHAR(512) NOT NULL,
		log_pos BIGINT NOT NULL,
		statement_hash CHAR(64) NOT NULL,
		state_before CHAR(64) NOT NULL`, "the DDL statement that a job is executing"},
	{"replication_snapshot", `
		job_id VARCHAR(255) COLLATE utf8mb4_bin NOT NULL,
		snapshot INT NOT NULL,
		log_file VARCHAR(512) NOT NULL,
		log_pos BIGINT NOT NULL,
		gtid_set LONGTEXT NOT NULL,
		PRIMARY KEY (job_id, snapshot)`, "positions of the snapshots that a copy has read"},
	{"replication_table", `
		job_id VARCHAR(255) COLLATE utf8mb4_bin NOT NULL,
		table_schema VARCHAR(64) COLLATE utf8mb4_bin NOT NULL,
		table_name VARCHAR(64) COLLATE utf8mb4_bin NOT NULL,
		fingerprint CHAR(64) NOT NULL,
		first_snapshot INT NOT NULL,
		last_snapshot INT NOT NULL,
		rows_estimate BIGINT NOT NULL,
		rows_copied BIGINT NOT NULL,
		done BOOLEAN NOT NULL,
		PRIMARY KEY (job_id, table_schema, table_name)`, "tables of a copy"},
	{"replication_mapping", `
		job_id VARCHAR(255) COLLATE utf8mb4_bin NOT NULL,
		source_schema VARCHAR(64) COLLATE utf8mb4_bin NOT NULL,
		source_table VARCHAR(64) COLLATE utf8mb4_bin NOT NULL,
		target_schema VARCHAR(64) COLLATE utf8mb4_bin NOT NULL,
		target_table VARCHAR(64) COLLATE utf8mb4_bin NOT NULL,
		source_columns LONGTEXT NOT NULL,
		PRIMARY KEY (job_id, source_schema, source_table)`, "tables of the source at the position of a job that maps them"},
	{"replication_object", `
		job_id VARCHAR(255) COLLATE utf8mb4_bin NOT NULL,
		number INT NOT NULL,
		kind VARCHAR(16) NOT NULL,
		type VARCHAR(16) NOT NULL,
		object_schema VARCHAR(64) COLLATE utf8mb4_bin NOT NULL,
		object_name VARCHAR(64) COLLATE utf8mb4_bin NOT NULL,
		session LONGTEXT NOT NULL,
		definition LONGBLOB NOT NULL,
		PRIMARY KEY (job_id, number)`, "views, triggers, routines and events that a copy has still to create"},
	{"replication_chunk", `
		job_id VARCHAR(255) COLLATE utf8mb4_bin NOT NULL,
		table_schema VARCHAR(64) COLLATE utf8mb4_bin NOT NULL,
		table_name VARCHAR(64) COLLATE utf8mb4_bin NOT NULL,
		chunk BIGINT NOT NULL,
		last_key LONGBLOB NOT NULL,
		row_count BIGINT NOT NULL,
		` + originColumn + `,
		PRIMARY KEY (job_id, table_schema, table_name, chunk)`, "copied parts of tables"},
	{"replication_conflict", `
		id BIGINT AUTO_INCREMENT PRIMARY KEY,
		job_id VARCHAR(255) COLLATE utf8mb4_bin NOT NULL,
		found_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
		table_schema VARCHAR(64) COLLATE utf8mb4_bin NOT NULL,
		table_name VARCHAR(64) COLLATE utf8mb4_bin NOT NULL,
		row_key TEXT NOT NULL,
		row_change VARCHAR(16) NOT NULL,
		problem VARCHAR(255) NOT NULL,
		done VARCHAR(32) NOT NULL,
		KEY (job_id, id)`, "changes that did not fit this server"},
	{"replication_ended", `
		job_id VARCHAR(255) COLLATE utf8mb4_bin NOT NULL PRIMARY KEY`, "jobs that have done what they were to do, and write no more"},
	{"replication_server", `
		only_one TINYINT NOT NULL PRIMARY KEY,
		id CHAR(36) NOT NULL`, "the name of this server, and of its replicas"},
}

// originColumn is the name of the job's source, by which a job that replicates the other way knows its own changes: the last column, see
// package origin.
const originColumn = "origin VARCHAR(255) COLLATE utf8mb4_bin NOT NULL DEFAULT ''"

// create makes the table. It is InnoDB whatever the server's default, since the promise rests on transactions.
func (t table) create(c *mysql.Conn) error {
	_, err := c.Execute("CREATE TABLE IF NOT EXISTS opsdeck." + t.name + " (" + t.columns + ") ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COMMENT = 'opsdeck: " + t.comment + "'")
	return err
}

// addOrigin brings a table of an earlier release up to date.
func (t table) addOrigin(c *mysql.Conn) error {
	_, err := c.Execute("ALTER TABLE opsdeck." + t.name + " ADD COLUMN " + originColumn)
	if mysql.Code(err) == gomysql.ER_DUP_FIELDNAME { // another job was faster
		return nil
	}
	return err
}

// Ensure creates the schema and its tables where they are missing. It asks first, as a server writes a definition to its binary log also when that
// changes nothing.
func Ensure(c *mysql.Conn) error {
	origins, err := present(c)
	if err != nil {
		return fmt.Errorf("look for the progress tables on the target: %w", mysql.Explain(err))
	}
	if len(origins) == 0 {
		if _, err := c.Execute("CREATE DATABASE IF NOT EXISTS opsdeck DEFAULT CHARACTER SET utf8mb4"); err != nil {
			return fmt.Errorf("create the progress tables on the target: %w", mysql.Explain(err))
		}
	}
	for _, t := range tables {
		switch origin, there := origins[t.name]; {
		case !there:
			err = t.create(c)
		case !origin && strings.Contains(t.columns, originColumn):
			err = t.addOrigin(c)
		}
		if err != nil {
			return fmt.Errorf("create the progress tables on the target: %s: %w", t.name, mysql.Explain(err))
		}
	}
	if _, err := c.Execute("INSERT IGNORE INTO opsdeck.replication_server (only_one, id) VALUES (1, UUID())"); err != nil {
		return fmt.Errorf("name the target: %w", mysql.Explain(err))
	}
	return nil
}

// present returns the tables that are there, and whether they have an origin.
func present(c *mysql.Conn) (map[string]bool, error) {
	r, err := c.Execute("SELECT table_name, MAX(column_name = 'origin') FROM information_schema.columns WHERE table_schema = 'opsdeck' GROUP BY table_name")
	if err != nil {
		return nil, err
	}
	origins := map[string]bool{}
	for i := range r.RowNumber() {
		row := scanner{r: r, row: i}
		origins[row.text(0)] = row.int(1) != 0
		if row.err != nil {
			return nil, row.err
		}
	}
	return origins, nil
}

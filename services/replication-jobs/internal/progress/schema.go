// Package progress keeps a job's progress in the target server itself, in the schema opsdeck, so that a position commits together
// with the rows it speaks of. A job row carries the epoch of the run that owns it; a write of an older run finds no row and
// fails with ErrFenced.
package progress

import (
	"fmt"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
)

// Job identifiers and names compare by bytes. The tables are InnoDB whatever the server's default, since the promise rests on
// transactions.
var schema = []string{
	"CREATE DATABASE IF NOT EXISTS opsdeck DEFAULT CHARACTER SET utf8mb4",
	`CREATE TABLE IF NOT EXISTS opsdeck.replication_job (
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
		updated_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6)
	) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COMMENT = 'opsdeck: where replication jobs are'`,
	`CREATE TABLE IF NOT EXISTS opsdeck.replication_ddl (
		job_id VARCHAR(255) COLLATE utf8mb4_bin NOT NULL PRIMARY KEY,
		gtid VARCHAR(255) NOT NULL,
		log_file VARCHAR(512) NOT NULL,
		log_pos BIGINT NOT NULL,
		statement_hash CHAR(64) NOT NULL,
		state_before CHAR(64) NOT NULL
	) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COMMENT = 'opsdeck: the DDL statement that a job is executing'`,
	`CREATE TABLE IF NOT EXISTS opsdeck.replication_snapshot (
		job_id VARCHAR(255) COLLATE utf8mb4_bin NOT NULL,
		snapshot INT NOT NULL,
		log_file VARCHAR(512) NOT NULL,
		log_pos BIGINT NOT NULL,
		gtid_set LONGTEXT NOT NULL,
		PRIMARY KEY (job_id, snapshot)
	) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COMMENT = 'opsdeck: positions of the snapshots that a copy has read'`,
	`CREATE TABLE IF NOT EXISTS opsdeck.replication_table (
		job_id VARCHAR(255) COLLATE utf8mb4_bin NOT NULL,
		table_schema VARCHAR(64) COLLATE utf8mb4_bin NOT NULL,
		table_name VARCHAR(64) COLLATE utf8mb4_bin NOT NULL,
		fingerprint CHAR(64) NOT NULL,
		first_snapshot INT NOT NULL,
		last_snapshot INT NOT NULL,
		rows_estimate BIGINT NOT NULL,
		rows_copied BIGINT NOT NULL,
		done BOOLEAN NOT NULL,
		PRIMARY KEY (job_id, table_schema, table_name)
	) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COMMENT = 'opsdeck: tables of a copy'`,
	`CREATE TABLE IF NOT EXISTS opsdeck.replication_mapping (
		job_id VARCHAR(255) COLLATE utf8mb4_bin NOT NULL,
		source_schema VARCHAR(64) COLLATE utf8mb4_bin NOT NULL,
		source_table VARCHAR(64) COLLATE utf8mb4_bin NOT NULL,
		target_schema VARCHAR(64) COLLATE utf8mb4_bin NOT NULL,
		target_table VARCHAR(64) COLLATE utf8mb4_bin NOT NULL,
		source_columns LONGTEXT NOT NULL,
		PRIMARY KEY (job_id, source_schema, source_table)
	) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COMMENT = 'opsdeck: tables of the source at the position of a job that maps them'`,
	`CREATE TABLE IF NOT EXISTS opsdeck.replication_chunk (
		job_id VARCHAR(255) COLLATE utf8mb4_bin NOT NULL,
		table_schema VARCHAR(64) COLLATE utf8mb4_bin NOT NULL,
		table_name VARCHAR(64) COLLATE utf8mb4_bin NOT NULL,
		chunk BIGINT NOT NULL,
		last_key LONGBLOB NOT NULL,
		row_count BIGINT NOT NULL,
		PRIMARY KEY (job_id, table_schema, table_name, chunk)
	) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COMMENT = 'opsdeck: copied parts of tables'`,
}

// Ensure creates the schema and its tables where they are missing.
func Ensure(c *mysql.Conn) error {
	for _, statement := range schema {
		if _, err := c.Execute(statement); err != nil {
			return fmt.Errorf("create the progress tables on the target: %w", mysql.Explain(err))
		}
	}
	return nil
}

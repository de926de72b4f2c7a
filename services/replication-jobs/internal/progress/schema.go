// Package progress keeps a job's progress in the target server itself, in the schema opsdeck, so that a position commits together
// with the rows it speaks of. A job row carries the epoch of the run that owns it; a write of an older run finds no row and
// fails with ErrFenced.
package progress

import (
	"fmt"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"

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
		updated_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
		` + originColumn + `
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
	`CREATE TABLE IF NOT EXISTS opsdeck.replication_object (
		job_id VARCHAR(255) COLLATE utf8mb4_bin NOT NULL,
		number INT NOT NULL,
		kind VARCHAR(16) NOT NULL,
		type VARCHAR(16) NOT NULL,
		object_schema VARCHAR(64) COLLATE utf8mb4_bin NOT NULL,
		object_name VARCHAR(64) COLLATE utf8mb4_bin NOT NULL,
		session LONGTEXT NOT NULL,
		definition LONGBLOB NOT NULL,
		PRIMARY KEY (job_id, number)
	) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COMMENT = 'opsdeck: views, triggers, routines and events that a copy has still to create'`,
	`CREATE TABLE IF NOT EXISTS opsdeck.replication_chunk (
		job_id VARCHAR(255) COLLATE utf8mb4_bin NOT NULL,
		table_schema VARCHAR(64) COLLATE utf8mb4_bin NOT NULL,
		table_name VARCHAR(64) COLLATE utf8mb4_bin NOT NULL,
		chunk BIGINT NOT NULL,
		last_key LONGBLOB NOT NULL,
		row_count BIGINT NOT NULL,
		` + originColumn + `,
		PRIMARY KEY (job_id, table_schema, table_name, chunk)
	) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COMMENT = 'opsdeck: copied parts of tables'`,
	`CREATE TABLE IF NOT EXISTS opsdeck.replication_conflict (
		id BIGINT AUTO_INCREMENT PRIMARY KEY,
		job_id VARCHAR(255) COLLATE utf8mb4_bin NOT NULL,
		found_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
		table_schema VARCHAR(64) COLLATE utf8mb4_bin NOT NULL,
		table_name VARCHAR(64) COLLATE utf8mb4_bin NOT NULL,
		row_key TEXT NOT NULL,
		row_change VARCHAR(16) NOT NULL,
		problem VARCHAR(255) NOT NULL,
		done VARCHAR(32) NOT NULL,
		KEY (job_id, id)
	) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COMMENT = 'opsdeck: changes that did not fit this server'`,
	`CREATE TABLE IF NOT EXISTS opsdeck.replication_ended (
		job_id VARCHAR(255) COLLATE utf8mb4_bin NOT NULL PRIMARY KEY
	) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COMMENT = 'opsdeck: jobs that have done what they were to do, and write no more'`,
	`CREATE TABLE IF NOT EXISTS opsdeck.replication_server (
		only_one TINYINT NOT NULL PRIMARY KEY,
		id CHAR(36) NOT NULL
	) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COMMENT = 'opsdeck: the name of this server, and of its replicas'`,
	`INSERT IGNORE INTO opsdeck.replication_server (only_one, id) VALUES (1, UUID())`,
}

// originColumn is the name of the job's source, by which a job that replicates the other way knows its own changes: the last column, see
// package origin.
const originColumn = "origin VARCHAR(255) COLLATE utf8mb4_bin NOT NULL DEFAULT ''"

// addOrigin brings tables of earlier releases up to date.
func addOrigin(c *mysql.Conn) error {
	for _, table := range []string{"replication_job", "replication_chunk"} {
		r, err := c.Execute(`SELECT 1 FROM information_schema.columns
			WHERE table_schema = 'opsdeck' AND table_name = ? AND column_name = 'origin'`, table)
		if err != nil {
			return err
		}
		if r.RowNumber() > 0 {
			continue
		}
		_, err = c.Execute("ALTER TABLE opsdeck." + table + " ADD COLUMN " + originColumn)
		if err != nil && mysql.Code(err) != gomysql.ER_DUP_FIELDNAME { // another job was faster
			return err
		}
	}
	return nil
}

// Ensure creates the schema and its tables where they are missing.
func Ensure(c *mysql.Conn) error {
	for _, statement := range schema {
		if _, err := c.Execute(statement); err != nil {
			return fmt.Errorf("create the progress tables on the target: %w", mysql.Explain(err))
		}
	}
	if err := addOrigin(c); err != nil {
		return fmt.Errorf("bring the progress tables on the target up to date: %w", mysql.Explain(err))
	}
	return nil
}

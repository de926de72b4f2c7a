package progress

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mapping"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
)

// DDL identifies a statement that cannot be part of a transaction.
type DDL struct {
	// GTID and Position are those of the statement's own transaction at the source; GTID is empty without GTIDs.
	GTID string
	// Position is the end of the statement in the source's binary log.
	Position mysql.Position
	// Statement is the text, of which only a hash is stored.
	Statement string
	// Before is a fingerprint, of at most 64 characters, of what the statement touches, taken before it.
	Before string
}

func (d DDL) hash() string {
	sum := sha256.Sum256([]byte(d.Statement))
	return hex.EncodeToString(sum[:])
}

// BeginDDL records, in a transaction of its own, that d is about to be executed. If that was recorded already it returns the
// earlier Before: then a run died between here and EndDDL, and the statement may or may not have taken effect.
func (r *Recorder) BeginDDL(d DDL) (before string, repeated bool, err error) {
	err = r.conn.Transaction(func() error {
		if err := r.Fence(); err != nil {
			return err
		}
		res, err := r.conn.Execute(`SELECT state_before FROM opsdeck.replication_ddl
			WHERE job_id = ? AND gtid = ? AND log_file = ? AND log_pos = ? AND statement_hash = ?`,
			r.jobID, d.GTID, d.Position.File, d.Position.Offset, d.hash())
		if err != nil {
			return fmt.Errorf("look for a DDL statement under way: %w", err)
		}
		if repeated = res.RowNumber() > 0; repeated {
			before, err = res.GetString(0, 0)
			return err
		}
		if _, err = r.conn.Execute(`REPLACE INTO opsdeck.replication_ddl (job_id, gtid, log_file, log_pos, statement_hash, state_before)
			VALUES (?, ?, ?, ?, ?, ?)`, r.jobID, d.GTID, d.Position.File, d.Position.Offset, d.hash(), d.Before); err != nil {
			return fmt.Errorf("record the DDL statement under way: %w", err)
		}
		return nil
	})
	return before, repeated, err
}

// EndDDL records, in a transaction of its own, that the statement has taken effect, together with the position after it and what it has
// changed of the tables that are mapped.
func (r *Recorder) EndDDL(a Applied, change mapping.Change) error {
	return r.conn.Transaction(func() error {
		if err := r.ChangeMapping(change); err != nil {
			return err
		}
		if err := r.SavePosition(a); err != nil {
			return err
		}
		if _, err := r.conn.Execute(`DELETE FROM opsdeck.replication_ddl WHERE job_id = ?`, r.jobID); err != nil {
			return fmt.Errorf("remove the record of the DDL statement: %w", err)
		}
		return nil
	})
}

// CancelDDL forgets, in a transaction of its own, a statement that the server has refused: what happens to its tables afterwards is
// not its effect.
func (r *Recorder) CancelDDL() error {
	return r.conn.Transaction(func() error {
		if err := r.Fence(); err != nil {
			return err
		}
		if _, err := r.conn.Execute(`DELETE FROM opsdeck.replication_ddl WHERE job_id = ?`, r.jobID); err != nil {
			return fmt.Errorf("remove the record of the DDL statement: %w", err)
		}
		return nil
	})
}

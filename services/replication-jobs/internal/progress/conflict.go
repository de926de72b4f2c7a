package progress

import (
	"fmt"
	"strings"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
)

const (
	// MaxConflicts is how many conflicts one call records.
	MaxConflicts = 1000
	// keptConflicts is about how many a job keeps; the oldest go first.
	keptConflicts = 10000
	// maxRowName is the longest name of a row, in bytes.
	maxRowName = 1000
)

// Conflict is a change that did not fit the target.
type Conflict struct {
	Schema, Table string
	// Row is the condition that finds it.
	Row string
	// Change is insert, update or delete; Problem and Done are words for a person.
	Change, Problem, Done string
}

// AddConflicts records conflicts, at most MaxConflicts of them.
func (r *Recorder) AddConflicts(all []Conflict) error {
	var values []string
	var args []any
	for _, c := range all[:min(len(all), MaxConflicts)] {
		values = append(values, "(?, ?, ?, ?, ?, ?, ?)")
		row := strings.ToValidUTF8(c.Row[:min(len(c.Row), maxRowName)], "")
		args = append(args, r.jobID, c.Schema, c.Table, row, c.Change, c.Problem, c.Done)
	}
	res, err := r.conn.Execute(`INSERT INTO opsdeck.replication_conflict (job_id, table_schema, table_name, row_key, row_change, problem, done)
		VALUES `+strings.Join(values, ", "), args...)
	if err != nil {
		return fmt.Errorf("record conflicts: %w", mysql.Explain(err))
	}
	if res.InsertId <= keptConflicts {
		return nil
	}
	if _, err := r.conn.Execute(`DELETE FROM opsdeck.replication_conflict WHERE job_id = ? AND id <= ?`, r.jobID, res.InsertId-keptConflicts); err != nil {
		return fmt.Errorf("remove old conflicts: %w", mysql.Explain(err))
	}
	return nil
}

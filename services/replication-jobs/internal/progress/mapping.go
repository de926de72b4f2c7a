package progress

import (
	"encoding/json"
	"fmt"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/ddl"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mapping"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
)

// LoadMapping reads the tables that the source has at the job's position. A job that maps nothing has recorded none.
func LoadMapping(c *mysql.Conn, jobID string) ([]mapping.Table, error) {
	r, err := c.Execute(`SELECT source_schema, source_table, target_schema, target_table, source_columns
		FROM opsdeck.replication_mapping WHERE job_id = ?`, jobID)
	if err != nil {
		return nil, fmt.Errorf("load the mapped tables: %w", mysql.Explain(err))
	}
	out := make([]mapping.Table, r.RowNumber())
	for i := range out {
		row := scanner{r: r, row: i}
		out[i].Source = ddl.Name{Schema: row.text(0), Table: row.text(1)}
		out[i].Target = ddl.Name{Schema: row.text(2), Table: row.text(3)}
		columns := row.text(4)
		if row.err != nil {
			return nil, fmt.Errorf("load the mapped tables: %w", row.err)
		}
		if err := json.Unmarshal([]byte(columns), &out[i].Columns); err != nil {
			return nil, fmt.Errorf("load the columns of %s.%s: %w", out[i].Source.Schema, out[i].Source.Table, err)
		}
	}
	return out, nil
}

// ChangeMapping records what comes and goes of the mapped tables.
func (r *Recorder) ChangeMapping(change mapping.Change) error {
	for _, name := range change.Gone {
		if _, err := r.conn.Execute(`DELETE FROM opsdeck.replication_mapping WHERE job_id = ? AND source_schema = ? AND source_table = ?`,
			r.jobID, name.Schema, name.Table); err != nil {
			return fmt.Errorf("forget the mapped table %s.%s: %w", name.Schema, name.Table, err)
		}
	}
	for _, t := range change.Come {
		columns, err := json.Marshal(t.Columns)
		if err != nil {
			return fmt.Errorf("record the columns of %s.%s: %w", t.Source.Schema, t.Source.Table, err)
		}
		if _, err := r.conn.Execute(`REPLACE INTO opsdeck.replication_mapping
			(job_id, source_schema, source_table, target_schema, target_table, source_columns) VALUES (?, ?, ?, ?, ?, ?)`,
			r.jobID, t.Source.Schema, t.Source.Table, t.Target.Schema, t.Target.Table, columns); err != nil {
			return fmt.Errorf("record the mapped table %s.%s: %w", t.Source.Schema, t.Source.Table, err)
		}
	}
	return nil
}

package progress

import (
	"encoding/json"
	"fmt"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
)

// Object is a view, trigger, routine or event as a snapshot has found it at the source.
type Object struct {
	// Kind and Type are as in the package objects.
	Kind, Type   string
	Schema, Name string
	Session      ObjectSession
	// Text is the CREATE statement, in the character set of its session.
	Text []byte
}

// ObjectSession is what the meaning of a definition depends on; each is empty where it does not matter.
type ObjectSession struct {
	SQLMode, ClientCharset, ConnectionCollation, TimeZone string
}

// LoadObjects reads what the job's copy has still to create, in the order in which it was recorded.
func LoadObjects(c *mysql.Conn, jobID string) ([]Object, error) {
	r, err := c.Execute(`SELECT kind, type, object_schema, object_name, session, definition
		FROM opsdeck.replication_object WHERE job_id = ? ORDER BY number`, jobID)
	if err != nil {
		return nil, fmt.Errorf("load the definitions to be created: %w", mysql.Explain(err))
	}
	out := make([]Object, r.RowNumber())
	for i := range out {
		row := scanner{r: r, row: i}
		out[i] = Object{Kind: row.text(0), Type: row.text(1), Schema: row.text(2), Name: row.text(3), Text: []byte(row.text(5))}
		session := row.text(4)
		if row.err != nil {
			return nil, fmt.Errorf("load the definitions to be created: %w", row.err)
		}
		if err := json.Unmarshal([]byte(session), &out[i].Session); err != nil {
			return nil, fmt.Errorf("load the session of %s.%s: %w", out[i].Schema, out[i].Name, err)
		}
	}
	return out, nil
}

// PutObjects records what the copy has still to create, in place of what was recorded before.
func (r *Recorder) PutObjects(all []Object) error {
	if _, err := r.conn.Execute(`DELETE FROM opsdeck.replication_object WHERE job_id = ?`, r.jobID); err != nil {
		return fmt.Errorf("forget the definitions to be created: %w", err)
	}
	for i, o := range all {
		session, err := json.Marshal(o.Session)
		if err != nil {
			return fmt.Errorf("record %s.%s: %w", o.Schema, o.Name, err)
		}
		if _, err := r.conn.Execute(`INSERT INTO opsdeck.replication_object
			(job_id, number, kind, type, object_schema, object_name, session, definition) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
			r.jobID, i, o.Kind, o.Type, o.Schema, o.Name, session, o.Text); err != nil {
			return fmt.Errorf("record %s.%s: %w", o.Schema, o.Name, err)
		}
	}
	return nil
}

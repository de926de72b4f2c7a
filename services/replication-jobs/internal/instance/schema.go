package instance

import (
	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
)

// schemas reads the schemas people may replicate, with their base tables, in one statement.
func schemas(c *mysql.Conn) ([]*replicationv1.Schema, error) {
	r, err := c.Execute(`
		SELECT s.schema_name, coalesce(t.table_name, '')
		FROM information_schema.schemata AS s
		LEFT JOIN information_schema.tables AS t ON t.table_schema = s.schema_name AND t.table_type = 'BASE TABLE'
		WHERE s.schema_name NOT IN ('mysql', 'sys', 'information_schema', 'performance_schema', 'opsdeck', 'dtle')
		ORDER BY s.schema_name, t.table_name`)
	if err != nil {
		return nil, err
	}
	var all []*replicationv1.Schema
	var last *replicationv1.Schema
	for i := range r.RowNumber() {
		schema, err := r.GetString(i, 0)
		if err != nil {
			return nil, err
		}
		table, err := r.GetString(i, 1)
		if err != nil {
			return nil, err
		}
		if last == nil || last.GetSchemaName() != schema {
			last = &replicationv1.Schema{SchemaName: schema}
			all = append(all, last)
		}
		if table != "" {
			last.Tables = append(last.Tables, &replicationv1.SchemaTable{TableName: table})
		}
	}
	return all, nil
}

// columns reads the columns of a table in table order; none when there is no such table.
func columns(c *mysql.Conn, schema, table string) ([]string, error) {
	r, err := c.Execute(`
		SELECT column_name FROM information_schema.columns WHERE table_schema = ? AND table_name = ? ORDER BY ordinal_position`, schema, table)
	if err != nil {
		return nil, err
	}
	var names []string
	for i := range r.RowNumber() {
		name, err := r.GetString(i, 0)
		if err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, nil
}

package mapping

import (
	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/filter"
)

// Rules returns the rules of a job's configuration.
func Rules(all []*replicationv1.SchemaRule) []filter.SchemaRule {
	out := make([]filter.SchemaRule, 0, len(all))
	for _, rule := range all {
		r := filter.SchemaRule{Schema: rule.GetTableSchema(), Regex: rule.GetTableSchemaRegex(), Rename: rule.GetTableSchemaRename()}
		for _, table := range rule.GetTables() {
			r.Tables = append(r.Tables, filter.TableRule{
				Name: table.GetTableName(), Regex: table.GetTableRegex(), Rename: table.GetTableRename(),
				Columns: table.GetColumnMapFrom(), Where: table.GetWhere(),
			})
		}
		out = append(out, r)
	}
	return out
}

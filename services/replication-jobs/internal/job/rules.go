package job

import (
	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/filter"
)

// Rules are the rules of a configuration as the filter takes them.
func Rules(all []*replicationv1.SchemaRule) []filter.SchemaRule {
	out := make([]filter.SchemaRule, 0, len(all))
	for _, rule := range all {
		r := filter.SchemaRule{Schema: rule.GetTableSchema()}
		for _, table := range rule.GetTables() {
			r.Tables = append(r.Tables, filter.TableRule{Name: table.GetTableName()})
		}
		out = append(out, r)
	}
	return out
}

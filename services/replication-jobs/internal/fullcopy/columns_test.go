package fullcopy_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/ddl"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/filter"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/fullcopy"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mapping"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
)

// TestChunkKey holds that a table is cut only by columns that are copied: where the copy stood is told by their values.
func TestChunkKey(t *testing.T) {
	table := &mysql.Table{
		Schema: "shop", Name: "t",
		Columns:    []mysql.Column{{Name: "measure", DataType: "double"}, {Name: "n", DataType: "int"}, {Name: "note", DataType: "text", Nullable: true}},
		PrimaryKey: []int{0}, UniqueKeys: [][]int{{1}},
	}
	for name, tc := range map[string]struct {
		columns []string
		want    []int
	}{
		"all columns":             {nil, []int{1}},
		"the key is chosen":       {[]string{"n", "measure"}, []int{1}},
		"the key is not":          {[]string{"measure", "note"}, nil},
		"the key is not, reorder": {[]string{"note", "measure"}, nil},
	} {
		m, err := mapping.New([]filter.SchemaRule{{Schema: "shop", Tables: []filter.TableRule{{Name: "t", Columns: tc.columns}}}}, nil)
		require.NoError(t, err)
		rows, err := m.Rows(ddl.Name{Schema: "shop", Table: "t"}, table.Columns)
		require.NoError(t, err)
		require.Equal(t, tc.want, fullcopy.ChunkKey(table, rows), name)
	}
}

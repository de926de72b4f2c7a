package demo

import (
	"context"
	_ "embed"
	"fmt"
	"strings"

	"github.com/opsdeck/opsdeck/services/replication-jobs/mariadb"
)

//go:embed dataset.sql
var dataset string

// tables of the dataset, in the order in which they are compared.
var tables = []string{"customers", "products", "orders", "order_items", "payments", "visits", "stores", "events_without_key"}

// load makes the schema shop with its rows.
func load(ctx context.Context, source *mariadb.Server) error {
	for statement := range strings.SplitSeq(dataset, ";\n") {
		if strings.TrimSpace(statement) == "" {
			continue
		}
		if err := source.Exec(ctx, statement); err != nil {
			return fmt.Errorf("load the shop: %w", err)
		}
	}
	return nil
}

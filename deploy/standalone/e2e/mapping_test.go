package e2e

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/pkg/apitest"
)

// An operator moves tenants into one schema under other names, with some of their columns and rows; a statement that cannot be carried over
// waits for a decision.
func TestAMappedJob(t *testing.T) {
	t.Parallel()
	o, p, schema := sharedOpsdeck(t), sharedPair(t), newSchema()
	p.source.exec(t, "CREATE DATABASE "+schema+"_1", "CREATE DATABASE "+schema+"_2",
		"CREATE TABLE "+schema+"_1.orders (secret INT, id INT PRIMARY KEY, n INT)", "CREATE TABLE "+schema+"_2.items (id INT PRIMARY KEY)",
		"INSERT INTO "+schema+"_1.orders SELECT seq, seq, seq % 10 FROM "+schema+"_1.seq_1_to_1000", "INSERT INTO "+schema+"_2.items VALUES (1)")
	rule := object{
		"table_schema_regex": "^" + schema + `_(\d)$`, "table_schema_rename": schema + "_all",
		"tables": []any{
			object{"table_name": "orders", "table_rename": "sales", "column_map_from": []any{"n", "id"}, "where": "n > 5"},
			object{"table_regex": "^(item)s$", "table_rename": "${1}"},
		},
	}
	job := with(p.job("mapped-"+schema), "replicate_do_db", []any{rule})
	id := o.create(t, job)
	var d struct {
		Profile struct {
			Rules []object `json:"replicate_do_db"`
		} `json:"basic_task_profile"`
	}
	o.ok(t, apitest.HTTP{Method: "GET", Path: "/v2/job/migration/detail?job_id=" + id}, &d)
	require.Equal(t, schema+"_all", d.Profile.Rules[0]["table_schema_rename"])
	target := func(what, query, want string) {
		t.Helper()
		await(t, patience, what, func(ctx context.Context) error {
			got, err := p.target.text(ctx, query)
			if err == nil && got != want {
				err = fmt.Errorf("it is %s, not %s; events: %q", got, want, o.detail(t, id).messages())
			}
			return err
		})
	}
	target("the chosen rows", "SELECT CONCAT_WS(',', COUNT(*), SUM(id), MIN(n)) FROM "+schema+"_all.sales", "400,201000,6")
	o.awaitCaughtUp(t, id)
	p.source.exec(t, "UPDATE "+schema+"_1.orders SET n = 9 WHERE id = 1", "UPDATE "+schema+"_1.orders SET n = 0 WHERE id = 6", "INSERT INTO "+schema+"_2.items VALUES (2)")
	target("a row that came and one that went", "SELECT CONCAT_WS(',', COUNT(*), SUM(id)) FROM "+schema+"_all.sales", "400,200995")
	target("a renamed table", "SELECT COUNT(*) FROM "+schema+"_all.item", "2")

	p.source.exec(t, "ALTER TABLE "+schema+"_2.items NOWAIT ADD u UUID", "INSERT INTO "+schema+"_2.items (id) VALUES (3)")
	var position string
	stands := regexp.MustCompile(`the statement at ([^ ]+:\d+) cannot be replicated`)
	await(t, patience, "the job to stand at a statement", func(context.Context) error {
		m := stands.FindStringSubmatch(strings.Join(o.detail(t, id).messages(), "\n"))
		if m == nil || o.detail(t, id).status() != "retrying" {
			return fmt.Errorf("the job is %s; events: %q", o.detail(t, id).status(), o.detail(t, id).messages())
		}
		position = m[1]
		return nil
	})
	o.ok(t, apitest.HTTP{Method: "POST", Path: "/v2/job/migration/ddl", JSON: object{
		"job_id": id, "position": position, "action": "replace", "statement": "ALTER TABLE " + schema + "_all.item ADD u UUID",
	}}, &object{})
	target("the rows behind the statement", "SELECT COUNT(*) FROM "+schema+"_all.item WHERE u IS NULL", "3")
	o.awaitStatus(t, id, "running")
	o.order(t, "delete", id)
}

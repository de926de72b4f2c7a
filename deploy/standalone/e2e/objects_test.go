package e2e

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/pkg/apitest"
)

func TestViewsAndTriggersOfAJob(t *testing.T) {
	t.Parallel()
	o, p, schema := sharedOpsdeck(t), sharedPair(t), newSchema()
	p.source.exec(t, "CREATE DATABASE "+schema, "CREATE TABLE "+schema+".t (id INT PRIMARY KEY)", "CREATE TABLE "+schema+".log (n INT AUTO_INCREMENT PRIMARY KEY, id INT)",
		"CREATE VIEW "+schema+".v AS SELECT COUNT(*) AS n FROM "+schema+".t",
		"CREATE TRIGGER "+schema+".tr AFTER INSERT ON "+schema+".t FOR EACH ROW INSERT INTO log (id) VALUES (NEW.id)", "INSERT INTO "+schema+".t VALUES (1), (2)")
	job := with(p.job("objects-"+schema), "replicate_do_db", []any{object{"table_schema": schema}})
	id := o.create(t, with(job, "replicate_objects", []any{"views", "triggers"}))
	var d struct {
		Profile struct {
			Configuration object `json:"configuration"`
		} `json:"basic_task_profile"`
	}
	o.ok(t, apitest.HTTP{Method: "GET", Path: "/v2/job/migration/detail?job_id=" + id}, &d)
	require.Equal(t, []any{"views", "triggers"}, d.Profile.Configuration["replicate_objects"])
	target := func(query, want string) {
		t.Helper()
		await(t, patience, query, func(ctx context.Context) error {
			got, err := p.target.text(ctx, query)
			if err == nil && got != want {
				err = fmt.Errorf("it is %s, not %s; events: %q", got, want, o.detail(t, id).messages())
			}
			return err
		})
	}
	target("SELECT n FROM "+schema+".v", "2")
	o.awaitCaughtUp(t, id)
	p.source.exec(t, "INSERT INTO "+schema+".t VALUES (3)", "CREATE VIEW "+schema+".w AS SELECT COUNT(*) AS n FROM "+schema+".log")
	target("SELECT n FROM "+schema+".w", "3")
	target("SELECT COUNT(*) FROM information_schema.triggers WHERE trigger_schema = '"+schema+"'", "1")
	o.order(t, "delete", id)
}

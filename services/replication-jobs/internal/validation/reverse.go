package validation

import (
	"context"

	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/pkg/fault"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mapping"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/objects"
)

// CheckReverse asks both instances of a reverse job, whose passwords are in the clear, whether it could run. Errors: NOT_REVERSIBLE, with
// what stands in the way.
func CheckReverse(ctx context.Context, c *replicationv1.JobConfig) error {
	src, dest := c.GetSrcTask(), c.GetDestTask()
	rules, err := mapping.New(mapping.Rules(src.GetReplicateDoDb()), mapping.Rules(src.GetReplicateIgnoreDb()))
	if err != nil {
		return err
	}
	report, err := Run(ctx, Job{
		Source: mysql.ConfigOf(src.GetMysqlConnectionConfig()), Target: mysql.ConfigOf(dest.GetMysqlConnectionConfig()), Mapping: rules, Follows: true, NeedsGTID: true,
		Objects: objects.Kinds(src.GetReplicateObjects()),
	})
	if err != nil {
		return err
	}
	for _, check := range []struct {
		what  string
		found *Problems
	}{
		{"the connection to the original target", report.Source.Connection},
		{"the connection to the original source", report.Target.Connection},
		{"the account at the original target", report.Source.Privileges},
		{"the account at the original source", report.Target.Privileges},
		{"the binary log of the original target", report.Source.Binlog},
		{"the GTIDs of the original target", report.Source.GTIDMode},
		{"the server id of the original target", report.Source.ServerID},
		{"both servers", &report.Errors},
	} {
		if check.found != nil && len(*check.found) > 0 {
			return fault.Precondition("NOT_REVERSIBLE", "check %s: %s", check.what, check.found.text())
		}
	}
	return nil
}

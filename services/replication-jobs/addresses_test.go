package replication_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"
)

// from gives the source of a job further addresses.
func from(addresses ...string) func(*replicationv1.JobConfig) {
	return func(c *replicationv1.JobConfig) { c.SrcTask.MysqlConnectionConfig.MysqlAddresses = addresses }
}

func TestFurtherAddresses(t *testing.T) {
	t.Parallel()
	m := startManager(t)
	for want, change := range map[string]func(*replicationv1.JobConfig){
		"too many colons":               from("db:1:2"),
		"a number from 1 to 65535":      from("db:65536"),
		"is the instance of dest_task":  from("db2:3306", "10.186.63.18:33062"),
		"mysql_addresses":               from("db"),
		"must contain unique items":     from("db:1", "db:1"),
		"is for src_task: a job writes": func(c *replicationv1.JobConfig) { c.DestTask.MysqlConnectionConfig.MysqlAddresses = []string{"db:1"} },
	} {
		_, err := m.jobs(admin).CreateJob(t.Context(), request(t, "wrong", change))
		requireFault(t, err, codes.InvalidArgument, "INVALID_REQUEST", want)
	}
	id := m.create(admin, "several", from("db2:3306", "[fd00::1]:3306"))
	stored := m.detail(admin, id).GetBasicTaskProfile().GetConnectionInfo()
	require.Equal(t, []string{"db2:3306", "[fd00::1]:3306"}, stored.GetSrcDataBase().GetMysqlAddresses())
	require.Empty(t, stored.GetDstDataBase().GetMysqlAddresses())
}

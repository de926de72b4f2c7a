package replication_test

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"
)

func TestAnInstanceThatSaysNothing(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0") // takes connections into its backlog and never speaks
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, silent.Close()) })
	m := startManager(t)
	answer, err := replicationv1.NewMySQLServiceClient(m.as(anyone)).CheckConnection(t.Context(), &replicationv1.CheckConnectionRequest{
		MysqlHost: "127.0.0.1", MysqlPort: int32(silent.Addr().(*net.TCPAddr).Port), MysqlUser: "u", MysqlPassword: "a secret",
	})
	require.NoError(t, err)
	require.Contains(t, answer.GetMessage(), "no answer within 5s")
	require.NotContains(t, answer.GetMessage(), "a secret")
}

package directory

import (
	"context"
	"net"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"

	"github.com/opsdeck/opsdeck/pkg/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// owner has the applications with an even id.
type owner struct {
	authv1.UnimplementedResourceDirectoryServiceServer

	asked chan int
}

func (o owner) FindResources(_ context.Context, r *authv1.FindResourcesRequest) (*authv1.FindResourcesResponse, error) {
	o.asked <- len(r.GetIds())
	answer := &authv1.FindResourcesResponse{}
	for _, id := range r.GetIds() {
		if id%2 == 0 && r.GetKind() == "application" {
			answer.Resources = append(answer.Resources, &authv1.FoundResource{Id: id, Name: "test.app"})
		}
	}
	return answer, nil
}

func TestNames(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "s")
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", socket)
	require.NoError(t, err)
	server, o := grpc.NewServer(), owner{asked: make(chan int, 10)}
	authv1.RegisterResourceDirectoryServiceServer(server, o)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	conn, err := grpc.NewClient("unix://"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close()) }()
	d := New(authv1.NewResourceDirectoryServiceClient(conn))
	require.True(t, d.Knows())
	require.False(t, New(nil).Knows())

	names, err := d.Names(t.Context(), "application", []int64{2, 4})
	require.NoError(t, err)
	require.Equal(t, map[int64]string{2: "test.app", 4: "test.app"}, names)
	require.Equal(t, 2, <-o.asked)
	_, err = d.Names(t.Context(), "application", []int64{2, 3})
	require.True(t, fault.Is(err, "RESOURCE_NOT_FOUND"), "%v", err)
	require.ErrorContains(t, err, "there is no application 3")
	<-o.asked
	_, err = d.Names(t.Context(), "host", []int64{2})
	require.True(t, fault.Is(err, "RESOURCE_NOT_FOUND"), "%v", err)
	<-o.asked
	none, err := d.Names(t.Context(), "application", nil)
	require.NoError(t, err)
	require.Empty(t, none)
	many := make([]int64, batch+1)
	for i := range many {
		many[i] = int64(i) * 2
	}
	names, err = d.Names(t.Context(), "application", many)
	require.NoError(t, err)
	require.Len(t, names, batch+1)
	require.Equal(t, batch, <-o.asked, "in questions of a bounded size")
	require.Equal(t, 1, <-o.asked)

	server.Stop()
	require.NoError(t, <-served)
	_, err = d.Names(t.Context(), "application", []int64{2})
	require.True(t, fault.Is(err, "RESOURCES_UNREACHABLE"), "%v", err)
}

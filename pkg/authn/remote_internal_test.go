package authn

import (
	"context"
	"crypto/ed25519"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"

	"github.com/opsdeck/opsdeck/pkg/fault"
)

// hung is an auth service that takes calls and does not answer.
type hung struct {
	authv1.KeyServiceClient

	asked chan struct{}
}

func (h hung) ListSigningKeys(ctx context.Context, _ *authv1.ListSigningKeysRequest, _ ...grpc.CallOption) (*authv1.ListSigningKeysResponse, error) {
	h.asked <- struct{}{}
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestKnownKeysDoNotWaitForAHungAuth(t *testing.T) {
	t.Parallel()
	server := hung{asked: make(chan struct{}, 1)}
	keys := NewRemoteKeys(server)
	known := ed25519.PublicKey("known")
	keys.keys, keys.fetched = map[string]ed25519.PublicKey{"k1": known}, time.Now().Add(-2*refetchInterval)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := keys.PublicKey(ctx, "made-up")
		ended <- err
	}()
	<-server.asked

	got, err := keys.PublicKey(t.Context(), "k1")
	require.NoError(t, err)
	require.Equal(t, known, got)

	short, done := context.WithTimeout(t.Context(), time.Millisecond)
	defer done()
	_, err = keys.PublicKey(short, "another")
	require.True(t, fault.Is(err, "KEYS_UNREACHABLE"), "got %v", err)
	cancel()
	require.Error(t, <-ended)
}

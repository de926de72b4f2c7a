package fault_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/opsdeck/opsdeck/pkg/fault"
)

func TestFaultCrossesAHop(t *testing.T) {
	t.Parallel()
	cause := errors.New("dial tcp: refused")
	sent := fault.NotFound("JOB_NOT_FOUND", "job %q does not exist", "a-sync").With("job_id", "a-sync").Wrap(cause)

	received := fault.From(status.FromProto(sent.GRPCStatus().Proto()).Err())

	require.Equal(t, codes.NotFound, received.Code)
	require.Equal(t, "JOB_NOT_FOUND", received.Reason)
	require.Equal(t, `job "a-sync" does not exist`, received.Message)
	require.Equal(t, map[string]string{"job_id": "a-sync"}, received.Meta)
	require.NotContains(t, status.Convert(sent).Message(), "refused", "the cause stays on this side")
	require.ErrorIs(t, sent, cause)
}

func TestInvalidNamesEveryField(t *testing.T) {
	t.Parallel()
	sent := fault.InvalidFields(fault.Field{Name: "job.job_id", Problem: "is required"}, fault.Field{Name: "job.retry", Problem: "must be at least 0"})

	received := fault.From(sent.GRPCStatus().Err())

	require.Equal(t, codes.InvalidArgument, received.Code)
	require.Equal(t, "job.job_id: is required; job.retry: must be at least 0", received.Message)
	require.Len(t, received.Fields, 2)
}

func TestFromFindsWrappedFaultsAndNothingElse(t *testing.T) {
	t.Parallel()
	inner := fault.Denied("FORBIDDEN", "no")
	require.Same(t, inner, fault.From(fmt.Errorf("calling: %w", inner)))
	require.Nil(t, fault.From(errors.New("plain")))
	require.Nil(t, fault.From(nil))
	require.True(t, fault.Is(inner, "FORBIDDEN"))
	require.False(t, fault.Is(errors.New("plain"), "FORBIDDEN"))
}

func TestWithLeavesTheOriginalAlone(t *testing.T) {
	t.Parallel()
	shared := fault.Denied("FORBIDDEN", "no").With("a", "1")
	_ = shared.With("b", "2")
	require.Equal(t, map[string]string{"a": "1"}, shared.Meta)
}

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

func TestChineseCrossesAHop(t *testing.T) {
	t.Parallel()
	shared := fault.Conflict("NAME_TAKEN", "the name %q is taken", "a")
	two := fault.InvalidFields(fault.Field{Name: "ttl", Problem: "must be positive", Chinese: "必须为正数"}, fault.Field{Name: "name", Problem: "is required"})
	for _, test := range []struct {
		sent *fault.Fault
		want string
	}{
		{shared, ""},
		{shared.Chinese("名称 %q 已被使用", "a"), `名称 "a" 已被使用`},
		{fault.Invalid("ttl", "must be positive"), ""},
		{fault.Invalid("ttl", "must be positive").Chinese("必须为正数"), "ttl：必须为正数"},
		{two, "ttl：必须为正数；name：is required"},
	} {
		received := fault.From(test.sent.GRPCStatus().Err())
		require.Equal(t, test.want, test.sent.InChinese())
		require.Equal(t, test.want, received.InChinese())
		require.Equal(t, test.sent.Message, received.Message)
		require.Equal(t, test.sent.Fields, received.Fields)
	}
	require.Empty(t, shared.InChinese(), "the original is left alone")
}

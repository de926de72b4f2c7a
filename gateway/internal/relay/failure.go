package relay

import (
	"context"
	"net/http"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"go.uber.org/zap"
	"google.golang.org/grpc/codes"

	"github.com/opsdeck/opsdeck/pkg/fault"
	"github.com/opsdeck/opsdeck/pkg/rpc"

	"github.com/opsdeck/opsdeck/gateway/internal/dialect"
	"github.com/opsdeck/opsdeck/gateway/internal/edge"
	"github.com/opsdeck/opsdeck/gateway/internal/wire"
)

// fail implements runtime.ErrorHandlerFunc.
func (h *Relay) fail(ctx context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, _ *http.Request, err error) {
	if ex := exchangeOf(ctx); ex != nil && ex.refused != nil {
		err = ex.refused
	}
	h.refuse(ctx, w, err)
}

// failRouting implements runtime.RoutingErrorHandlerFunc. The route was found before, so this is grpc-gateway disagreeing.
func (h *Relay) failRouting(ctx context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, r *http.Request, status int) {
	h.log.Error("grpc-gateway does not know a route", zap.String("path", r.URL.Path), zap.Int("status", status))
	h.refuse(ctx, w, &fault.Fault{Code: codes.NotFound, Reason: dialect.PathUnknown, Message: "there is nothing at " + r.URL.Path})
}

// refuse answers with an error in the dialect of the call.
func (h *Relay) refuse(ctx context.Context, w http.ResponseWriter, err error) {
	ex := exchangeOf(ctx)
	edge.Fail(ctx, w, ex.dialect, ex.rpc(), h.presentable(ctx, ex, err))
}

// presentable returns what a caller may see of an error. A fault with a reason was made to be seen; anything else comes from
// gRPC itself or is a mistake of ours, and its text may name addresses.
func (h *Relay) presentable(ctx context.Context, ex *exchange, err error) *fault.Fault {
	f := fault.From(err)
	if f != nil && f.Reason != "" {
		return ex.fromBody(f)
	}
	code := codes.Internal
	if f != nil {
		code = f.Code
	}
	id := rpc.FromContext(ctx).RequestID
	if code != codes.Canceled {
		h.log.Warn("call failed outside the service", zap.String("request_id", id), zap.Error(err))
	}
	switch code {
	case codes.Unavailable:
		return fault.Unavailable("SERVICE_UNREACHABLE", "the service behind this call cannot be reached now: try again")
	case codes.DeadlineExceeded:
		return &fault.Fault{Code: code, Reason: "DEADLINE_EXCEEDED", Message: "the call took too long"}
	case codes.Canceled:
		return &fault.Fault{Code: code, Reason: "CANCELED", Message: "the call was given up"}
	case codes.ResourceExhausted:
		return &fault.Fault{Code: codes.Internal, Reason: "MESSAGE_TOO_LARGE", Message: "the request or its answer is too large: ask for less at a time"}
	case codes.Unimplemented:
		return &fault.Fault{Code: code, Reason: "UNIMPLEMENTED", Message: "the service behind this call does not know it: its version differs from the gateway's"}
	}
	return &fault.Fault{Code: codes.Internal, Reason: "INTERNAL", Message: "internal error; the log has more under request id " + id}
}

// fromBody names fields as the caller wrote them: an RPC whose HTTP body is one field of its request says "job.src_task" where
// the body has "src_task".
func (ex *exchange) fromBody(f *fault.Fault) *fault.Fault {
	if ex.route == nil || ex.route.Body == "" || ex.route.Body == "*" || len(f.Fields) == 0 || f.Code != codes.InvalidArgument {
		return f
	}
	fields := make([]fault.Field, len(f.Fields))
	for i, field := range f.Fields {
		rest, ok := strings.CutPrefix(field.Name, ex.route.Body)
		switch {
		case ok && rest == "":
			field.Name = wire.Body
		case ok && (rest[0] == '.' || rest[0] == '['):
			field.Name = strings.TrimPrefix(rest, ".")
		}
		fields[i] = field
	}
	return fault.InvalidFields(fields...)
}

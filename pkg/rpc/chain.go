package rpc

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime/debug"
	"time"

	"buf.build/go/protovalidate"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/opsdeck/opsdeck/pkg/access"
	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/fault"
)

// chain holds what the interceptors share. Unary and streaming calls run through the same links in the same order.
type chain struct {
	log       *zap.Logger
	verifier  *authn.Verifier
	validator protovalidate.Validator
	trusted   []netip.Prefix
	timeout   time.Duration
	decider   access.Decider
	rules     access.Rules
}

// link is an interceptor of either kind: it may change the context, refuse, or look at the outcome of next.
type link func(ctx context.Context, method string, request any, next func(ctx context.Context) error) error

// links lists the interceptors, outermost first.
func (c *chain) links() []link {
	return []link{
		c.identify,     // the request id and the client's address, for all below
		c.seal,         // nothing below leaks the text of an error
		c.authenticate, // who calls, so that the log line can say
		c.record,       // one log line per call; still sees the cause that seal hides
		recovered,      // a panic becomes an error before it reaches the log line
		c.authorize,    // the rule of the method
		c.validate,     // the rules of the request, only for callers that may call
	}
}

func (c *chain) unary() []grpc.UnaryServerInterceptor {
	var interceptors []grpc.UnaryServerInterceptor
	for _, l := range append([]link{c.deadline}, c.links()...) {
		interceptors = append(interceptors, func(ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
			var answer any
			err := l(ctx, info.FullMethod, request, func(ctx context.Context) (err error) {
				answer, err = handler(ctx, request)
				return err
			})
			if err != nil {
				return nil, err
			}
			return answer, nil
		})
	}
	return interceptors
}

func (c *chain) stream() []grpc.StreamServerInterceptor {
	var interceptors []grpc.StreamServerInterceptor
	for _, l := range c.links() {
		interceptors = append(interceptors, func(server any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
			return l(stream.Context(), info.FullMethod, nil, func(ctx context.Context) error {
				return handler(server, &checkedStream{ServerStream: stream, ctx: ctx, chain: c})
			})
		})
	}
	return interceptors
}

// checkedStream carries the context of the links and validates each message that is received.
type checkedStream struct {
	grpc.ServerStream
	ctx   context.Context
	chain *chain
}

func (s *checkedStream) Context() context.Context { return s.ctx }

func (s *checkedStream) RecvMsg(m any) error {
	if err := s.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	return s.chain.valid(m)
}

func (c *chain) identify(ctx context.Context, _ string, _ any, next func(context.Context) error) error {
	return next(WithCall(ctx, incoming(ctx, c.trusted)))
}

// deadline gives every unary call an end: its own, if that is sooner than the server's limit.
func (c *chain) deadline(ctx context.Context, _ string, _ any, next func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	return next(ctx)
}

func (c *chain) seal(ctx context.Context, method string, _ any, next func(context.Context) error) error {
	err := next(ctx)
	f := fault.From(err)
	switch {
	case err == nil:
		return nil
	case f != nil && f.Reason != "":
		return f.GRPCStatus().Err()
	case errors.Is(err, context.DeadlineExceeded):
		return (&fault.Fault{Code: codes.DeadlineExceeded, Reason: "DEADLINE_EXCEEDED", Message: "the call took too long"}).GRPCStatus().Err()
	case errors.Is(err, context.Canceled):
		return status.Error(codes.Canceled, "the caller gave up")
	case f != nil && f.Code == codes.Unimplemented:
		return status.Error(codes.Unimplemented, "method "+method+" is not served here")
	}
	internal := &fault.Fault{
		Code: codes.Internal, Reason: "INTERNAL",
		Message: "internal error; the log has more under request id " + FromContext(ctx).RequestID,
	}
	return internal.GRPCStatus().Err()
}

// authenticate leaves a caller without a token unknown: the rule of the method decides whether that is enough.
func (c *chain) authenticate(ctx context.Context, _ string, _ any, next func(context.Context) error) error {
	token := FromContext(ctx).token
	if token == "" {
		return next(ctx)
	}
	principal, err := c.verifier.Verify(ctx, token)
	if err != nil {
		return next(context.WithValue(ctx, badTokenKey{}, err))
	}
	return next(authn.WithPrincipal(ctx, principal))
}

// badTokenKey holds why a token was refused; public methods do not care.
type badTokenKey struct{}

func (c *chain) authorize(ctx context.Context, method string, request any, next func(context.Context) error) error {
	ctx, err := c.rules.Authorize(ctx, c.decider, method, request)
	if bad, ok := ctx.Value(badTokenKey{}).(error); ok && err != nil {
		return bad
	}
	if err != nil {
		return err
	}
	return next(ctx)
}

func (c *chain) record(ctx context.Context, method string, _ any, next func(context.Context) error) error {
	start := time.Now()
	err := next(ctx)
	call, caller := FromContext(ctx), authn.FromContext(ctx)
	code := codeOf(err)
	fields := []zap.Field{
		zap.String("method", method), zap.Stringer("code", code), zap.Duration("duration", time.Since(start)),
		zap.String("request_id", call.RequestID), zap.String("user", caller.Name()), zap.String("tenant", caller.Tenant),
	}
	if span := trace.SpanContextFromContext(ctx); span.HasTraceID() {
		fields = append(fields, zap.Stringer("trace_id", span.TraceID()))
	}
	if err != nil {
		fields = append(fields, zap.Error(err))
	}
	if entry := c.log.Check(levelOf(method, code, caller), "call"); entry != nil {
		entry.Write(fields...)
	}
	return err
}

func codeOf(err error) codes.Code {
	if f := fault.From(err); f != nil {
		return f.Code
	}
	return status.FromContextError(err).Code()
}

// levelOf keeps the log quiet: the caller's own mistakes are not warnings, and neither health checks nor what services ask each other
// every second are worth a line as long as they go well.
func levelOf(method string, code codes.Code, caller authn.Principal) zapcore.Level {
	switch code {
	case codes.Internal, codes.Unknown, codes.DataLoss:
		return zap.ErrorLevel
	case codes.Unavailable, codes.DeadlineExceeded, codes.ResourceExhausted:
		return zap.WarnLevel
	}
	if method == healthv1.Health_Check_FullMethodName || caller.Service != "" && code == codes.OK {
		return zap.DebugLevel
	}
	return zap.InfoLevel
}

func recovered(ctx context.Context, _ string, _ any, next func(context.Context) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return next(ctx)
}

func (c *chain) validate(ctx context.Context, _ string, request any, next func(context.Context) error) error {
	if request != nil {
		if err := c.valid(request); err != nil {
			return err
		}
	}
	return next(ctx)
}

// maxViolations is how many wrong fields an answer names; a small request can have hundreds of thousands.
const maxViolations = 50

// valid turns violations into one fault that names the wrong fields.
func (c *chain) valid(request any) error {
	message, ok := request.(proto.Message)
	if !ok {
		return fmt.Errorf("request of type %T is no message", request)
	}
	err := c.validator.Validate(message)
	var violations *protovalidate.ValidationError
	if !errors.As(err, &violations) {
		return err
	}
	var fields []fault.Field
	named := violations.Violations[:min(len(violations.Violations), maxViolations)]
	for _, v := range named {
		problem := v.Proto.GetMessage()
		if problem == "" {
			problem = "breaks the rule " + v.Proto.GetRuleId()
		}
		fields = append(fields, fault.Field{Name: protovalidate.FieldPathString(v.Proto.GetField()), Problem: problem})
	}
	if more := len(violations.Violations) - len(named); more > 0 {
		fields = append(fields, fault.Field{Name: "request", Problem: fmt.Sprintf("has %d more wrong fields", more)})
	}
	return fault.InvalidFields(fields...)
}

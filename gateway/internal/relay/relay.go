// Package relay turns HTTP calls into gRPC calls and back, each in the dialect of its path.
package relay

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"go.uber.org/zap"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/opsdeck/opsdeck/pkg/fault"
	"github.com/opsdeck/opsdeck/pkg/rpc"

	"github.com/opsdeck/opsdeck/gateway/internal/dialect"
	"github.com/opsdeck/opsdeck/gateway/internal/edge"
	"github.com/opsdeck/opsdeck/gateway/internal/route"
)

// Relay is the HTTP handler of all RPCs.
type Relay struct {
	log     *zap.Logger
	mux     *runtime.ServeMux
	routes  *route.Table
	detours map[*route.Route]detour
	door    Door
}

// New returns a relay to the given services, each over its own connection.
func New(ctx context.Context, log *zap.Logger, backends []Backend, door Door) (*Relay, error) {
	h := &Relay{log: log, door: door}
	h.mux = runtime.NewServeMux(
		runtime.WithMarshalerOption(runtime.MIMEWildcard, marshaler{}),
		runtime.WithForwardResponseRewriter(rewrite),
		runtime.WithForwardResponseOption(h.setCookie),
		runtime.WithErrorHandler(h.fail),
		runtime.WithRoutingErrorHandler(h.failRouting),
		runtime.WithIncomingHeaderMatcher(noHeader),
		runtime.WithOutgoingHeaderMatcher(noHeader),
		runtime.WithOutgoingTrailerMatcher(noHeader),
		runtime.WithDisablePathLengthFallback(),
		runtime.WithDisableHTTPMethodOverride(),
		runtime.WithWriteContentLength(),
	)
	var names []protoreflect.FullName
	for _, backend := range backends {
		for _, service := range backend.Services {
			if err := service.Register(ctx, h.mux, backend.Conn); err != nil {
				return nil, fmt.Errorf("register %s: %w", service.Name, err)
			}
			names = append(names, protoreflect.FullName(service.Name))
		}
	}
	var err error
	if h.routes, err = route.Of(names...); err != nil {
		return nil, err
	}
	h.detours, err = detoursOf(h.routes)
	return h, err
}

// noHeader keeps headers and metadata apart: what a call needs travels in rpc.Call.
func noHeader(string) (string, bool) { return "", false }

// ServeHTTP answers one call. A trailing slash changes nothing.
func (h *Relay) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimRight(r.URL.Path, "/")
	ex := &exchange{dialect: dialect.Of(path)}
	ctx := context.WithValue(r.Context(), exchangeKey{}, ex)
	if !utf8.ValidString(path) {
		edge.Label(ctx, ex.dialect.Name+" unknown path")
		h.refuse(ctx, w, fault.Invalid("path", "is not UTF-8"))
		return
	}
	if parameter, ok := ex.dialect.Question(path); ok && r.Method == http.MethodGet {
		r = asked(r, parameter)
	}
	methods := h.routes.Match(path)
	if methods == nil {
		edge.Label(ctx, ex.dialect.Name+" unknown path")
		h.refuse(ctx, w, &fault.Fault{Code: codes.NotFound, Reason: dialect.PathUnknown, Message: "there is nothing at " + r.URL.Path})
		return
	}
	ex.route = methods.For(r.Method)
	if ex.route == nil {
		h.otherMethod(ctx, w, r, methods)
		return
	}
	edge.Label(ctx, ex.route.Pattern) // again below: a refusal has one too
	caller := ex.dialect.Credential(r)
	if err := h.door.invited(r, caller); err != nil {
		h.refuse(ctx, w, err)
		return
	}
	token, err := h.door.admit(ctx, ex.route, caller)
	if err != nil {
		h.refuse(ctx, w, err)
		return
	}
	path, err = h.detour(r, ex, path)
	if err != nil {
		h.refuse(ctx, w, err)
		return
	}
	edge.Label(ctx, ex.route.Pattern)
	query, err := ex.read(r)
	if err != nil {
		h.refuse(ctx, w, err)
		return
	}
	ctx = rpc.WithCall(ctx, rpc.FromContext(ctx).WithToken(token))
	h.mux.ServeHTTP(ex.writer(w), h.bare(ctx, r, path, query, ex))
}

// bare returns the request as grpc-gateway gets it: without headers, addresses or anything else it would make metadata of.
func (h *Relay) bare(ctx context.Context, r *http.Request, path, query string, ex *exchange) *http.Request {
	out := (&http.Request{
		Method: ex.route.Method, Proto: r.Proto, ProtoMajor: r.ProtoMajor, ProtoMinor: r.ProtoMinor,
		Header: http.Header{}, Body: &body{ReadCloser: r.Body, exchange: ex}, ContentLength: r.ContentLength,
	}).WithContext(ctx)
	u := *r.URL
	u.Path, u.RawPath, u.RawQuery = path, "", query
	out.URL = &u
	return out
}

// otherMethod answers OPTIONS, and refuses what the path does not know.
func (h *Relay) otherMethod(ctx context.Context, w http.ResponseWriter, r *http.Request, methods route.Methods) {
	for _, some := range methods {
		edge.Label(ctx, some.Pattern) // all routes of a path have one pattern
	}
	w.Header().Set("Allow", methods.Allow())
	if r.Method == http.MethodOptions {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	h.refuse(ctx, w, &fault.Fault{
		Code: codes.Unimplemented, Reason: dialect.MethodNotAllowed,
		Message: fmt.Sprintf("%s is not allowed here, only %s", r.Method, methods.Allow()),
	})
}

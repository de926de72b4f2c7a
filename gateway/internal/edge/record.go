package edge

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"google.golang.org/grpc/codes"

	"github.com/opsdeck/opsdeck/pkg/fault"
	"github.com/opsdeck/opsdeck/pkg/rpc"

	"github.com/opsdeck/opsdeck/gateway/internal/dialect"
)

// metrics are the figures of HTTP calls.
type metrics struct {
	duration *prometheus.HistogramVec
	underway prometheus.Gauge
}

func newMetrics(registry prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "opsdeck_http_request_duration_seconds", Help: "Duration of HTTP calls.", Buckets: prometheus.DefBuckets,
		}, []string{"route", "method", "status"}),
		underway: prometheus.NewGauge(prometheus.GaugeOpts{Name: "opsdeck_http_requests_under_way", Help: "HTTP calls being answered."}),
	}
	if err := errors.Join(registry.Register(m.duration), registry.Register(m.underway)); err != nil {
		return nil, fmt.Errorf("register the metrics of HTTP: %w", err)
	}
	return m, nil
}

// record is a response writer that remembers what was written.
type record struct {
	http.ResponseWriter
	route  string
	status int
	bytes  int64
}

func (r *record) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *record) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(b)
	r.bytes += int64(n)
	return n, err
}

type recordKey struct{}

// Label names the route of a call for the metrics, where a raw path would make a series of every misspelling, and for traces.
func Label(ctx context.Context, route string) {
	trace.SpanFromContext(ctx).SetName(route)
	if r, ok := ctx.Value(recordKey{}).(*record); ok {
		r.route = route
	}
}

// recorded writes one log line per call and counts it. The line has the path without the query, which may hold passwords.
func recorded(log *zap.Logger, m *metrics) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			start := time.Now()
			rec := &record{ResponseWriter: w, route: "other"}
			m.underway.Inc()
			defer m.underway.Dec()
			next.ServeHTTP(rec, r.WithContext(context.WithValue(r.Context(), recordKey{}, rec)))
			if rec.status == 0 {
				rec.status = http.StatusOK
			}
			took := time.Since(start)
			m.duration.WithLabelValues(rec.route, knownMethod(r.Method), strconv.Itoa(rec.status)).Observe(took.Seconds())
			call := rpc.FromContext(r.Context())
			if entry := log.Check(level(rec.status), "request"); entry != nil {
				fields := []zap.Field{
					zap.String("method", r.Method), zap.String("path", r.URL.Path), zap.Int("status", rec.status),
					zap.Int64("bytes", rec.bytes), zap.Duration("duration", took), zap.String("request_id", call.RequestID),
					zap.Stringer("address", call.Address),
				}
				if span := trace.SpanContextFromContext(r.Context()); span.HasTraceID() {
					fields = append(fields, zap.Stringer("trace_id", span.TraceID()))
				}
				entry.Write(fields...)
			}
		})
	}
}

func level(status int) zapcore.Level {
	if status >= http.StatusInternalServerError {
		return zap.WarnLevel
	}
	return zap.InfoLevel
}

// knownMethod keeps made-up methods out of the metrics.
func knownMethod(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	}
	return "other"
}

// recovered answers a call that panicked, unless its answer has begun; then the connection is cut so that the client notices.
func recovered(log *zap.Logger) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer func() {
				p := recover()
				if p == nil {
					return
				}
				id := rpc.FromContext(r.Context()).RequestID
				log.Error("panic", zap.Any("panic", p), zap.String("request_id", id), zap.ByteString("stack", debug.Stack()))
				if rec, ok := w.(*record); ok && rec.status != 0 {
					panic(http.ErrAbortHandler)
				}
				Fail(r.Context(), w, dialect.Of(r.URL.Path), "", &fault.Fault{Code: codes.Internal, Reason: "INTERNAL", Message: "internal error; the log has more under request id " + id})
			}()
			next.ServeHTTP(w, r)
		})
	}
}

// Package edge is what stands around every HTTP call, whatever it is for: its id, its log line, its limits and its headers.
package edge

import (
	"context"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"google.golang.org/grpc/codes"

	"github.com/opsdeck/opsdeck/pkg/fault"

	"github.com/opsdeck/opsdeck/gateway/internal/dialect"
)

// Config is what the edge can be told.
type Config struct {
	Log         *zap.Logger
	Metrics     prometheus.Registerer
	MaxBody     int64          // bytes of a request body
	MaxRequests int            // calls at the same time
	Timeout     time.Duration  // of one call
	Trusted     []netip.Prefix // proxies whose X-Forwarded-For is believed
	Origins     []string       // of pages that may call from a browser; none: no CORS
	TLS         bool           // clients come over TLS, and shall keep doing so
}

// Wrap returns next with everything around it that any request gets.
func Wrap(cfg Config, next http.Handler) (http.Handler, error) {
	metrics, err := newMetrics(cfg.Metrics)
	if err != nil {
		return nil, err
	}
	// A request has an id before anything can fail, and what fails below recovered is still logged and counted.
	return layered(next,
		identified(cfg.Trusted),
		spoken,
		traced,
		recorded(cfg.Log, metrics),
		recovered(cfg.Log),
		secured(cfg.TLS),
		shared(cfg.Origins),
	), nil
}

// Limit returns next with the limits around it that calls have, and health checks do not.
func Limit(cfg Config, next http.Handler) http.Handler {
	return layered(next, admitted(cfg.MaxRequests), timed(cfg.Timeout), sized(cfg.MaxBody))
}

// layered puts layers around a handler, outermost first.
func layered(h http.Handler, layers ...func(http.Handler) http.Handler) http.Handler {
	for _, layer := range slices.Backward(layers) {
		h = layer(h)
	}
	return h
}

// admitted turns calls away at once when too many are under way: waiting would only make more of them late.
func admitted(most int) func(http.Handler) http.Handler {
	slots := make(chan struct{}, most)
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			select {
			case slots <- struct{}{}:
				defer func() { <-slots }()
				next.ServeHTTP(w, r)
			default:
				Fail(r.Context(), w, dialect.Of(r.URL.Path), "", &fault.Fault{Code: codes.Unavailable, Reason: dialect.Overloaded, Message: "too many calls at the same time: try again"})
			}
		})
	}
}

// timed ends the context of a call that takes too long.
func timed(limit time.Duration) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ctx, cancel := context.WithTimeout(r.Context(), limit)
			defer cancel()
			next.ServeHTTP(w, r.WithContext(ctx))
		})
	}
}

// sized refuses a body that says it is too large before any of it is read, and stops reading one that turns out to be.
func sized(limit int64) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.ContentLength > limit {
				w.Header().Set("Connection", "close")
				Fail(r.Context(), w, dialect.Of(r.URL.Path), "", TooLarge(limit))
				return
			}
			r.Body = http.MaxBytesReader(original(w), r.Body, limit)
			next.ServeHTTP(w, r)
		})
	}
}

// original is the server's own writer: told by it that a body was too large, the server lets the client read the answer before
// it hangs up on the rest.
func original(w http.ResponseWriter) http.ResponseWriter {
	if r, ok := w.(*record); ok {
		return r.ResponseWriter
	}
	return w
}

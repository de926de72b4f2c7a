package edge

import (
	"context"
	"fmt"
	"net/http"
	"strconv"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/opsdeck/opsdeck/pkg/fault"

	"github.com/opsdeck/opsdeck/gateway/internal/dialect"
)

// Fail answers a call with a fault in a dialect, in the language that the caller asked for. rpc is the one that failed; "" when
// it did not come to that.
func Fail(ctx context.Context, w http.ResponseWriter, d *dialect.Dialect, rpc protoreflect.FullName, f *fault.Fault) {
	accept, _ := ctx.Value(languageKey{}).(string)
	spoken := dialect.LanguageOf(accept)
	status, text := d.Failure(f, rpc, spoken)
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Content-Length", strconv.Itoa(len(text)))
	header.Set("Content-Language", spoken.Tag())
	header.Add("Vary", "Accept-Language")
	switch status {
	case http.StatusUnauthorized:
		header.Set("WWW-Authenticate", "Bearer")
	case http.StatusServiceUnavailable:
		header.Set("Retry-After", "1")
	}
	w.WriteHeader(status)
	_, _ = w.Write(text) //nolint:gosec // JSON with every text escaped, and no sniffing; an error means the client is gone
}

type languageKey struct{}

// spoken remembers which languages the caller reads, for whoever has to say that something failed.
func spoken(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if accept := r.Header.Get("Accept-Language"); accept != "" {
			r = r.WithContext(context.WithValue(r.Context(), languageKey{}, accept))
		}
		next.ServeHTTP(w, r)
	})
}

// TooLarge is the fault of a body over the limit.
func TooLarge(limit int64) *fault.Fault {
	return &fault.Fault{
		Code: codes.ResourceExhausted, Reason: dialect.BodyTooLarge,
		Message: fmt.Sprintf("body: is larger than %d bytes", limit),
	}
}

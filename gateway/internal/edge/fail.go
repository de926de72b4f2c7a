package edge

import (
	"fmt"
	"net/http"
	"strconv"

	"google.golang.org/grpc/codes"

	"github.com/opsdeck/opsdeck/pkg/fault"

	"github.com/opsdeck/opsdeck/gateway/internal/dialect"
)

// Fail answers a call with a fault in a dialect.
func Fail(w http.ResponseWriter, d *dialect.Dialect, f *fault.Fault) {
	status, text := d.Failure(f)
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Content-Length", strconv.Itoa(len(text)))
	switch status {
	case http.StatusUnauthorized:
		header.Set("WWW-Authenticate", "Bearer")
	case http.StatusServiceUnavailable:
		header.Set("Retry-After", "1")
	}
	w.WriteHeader(status)
	_, _ = w.Write(text) //nolint:gosec // JSON with every text escaped, and no sniffing; an error means the client is gone
}

// TooLarge is the fault of a body over the limit.
func TooLarge(limit int64) *fault.Fault {
	return &fault.Fault{
		Code: codes.ResourceExhausted, Reason: dialect.BodyTooLarge,
		Message: fmt.Sprintf("body: is larger than %d bytes", limit),
	}
}

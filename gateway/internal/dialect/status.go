package dialect

import (
	"net/http"

	"google.golang.org/grpc/codes"

	"github.com/opsdeck/opsdeck/pkg/fault"
)

// Reasons of faults that only HTTP knows.
const (
	PathUnknown      = "PATH_UNKNOWN"
	MethodNotAllowed = "METHOD_NOT_ALLOWED"
	BodyTooLarge     = "BODY_TOO_LARGE"
	TypeUnsupported  = "CONTENT_TYPE_UNSUPPORTED"
	Overloaded       = "OVERLOADED"
)

// statusClientGone is nginx's status for a client that went away before the answer: only logs and metrics ever see it.
const statusClientGone = 499

var statusOfReason = map[string]int{
	PathUnknown:      http.StatusNotFound,
	MethodNotAllowed: http.StatusMethodNotAllowed,
	BodyTooLarge:     http.StatusRequestEntityTooLarge,
	TypeUnsupported:  http.StatusUnsupportedMediaType,
	Overloaded:       http.StatusServiceUnavailable,
	// A system outside of opsdeck failed (contract 002, code 10008).
	"NAME_SERVER_UNREACHABLE": http.StatusBadGateway,
	"NAME_SERVER_REFUSED":     http.StatusBadGateway,
}

var statusOfCode = map[codes.Code]int{
	codes.InvalidArgument:    http.StatusBadRequest,
	codes.OutOfRange:         http.StatusBadRequest,
	codes.Unauthenticated:    http.StatusUnauthorized,
	codes.PermissionDenied:   http.StatusForbidden,
	codes.NotFound:           http.StatusNotFound,
	codes.AlreadyExists:      http.StatusConflict,
	codes.FailedPrecondition: http.StatusConflict,
	codes.Aborted:            http.StatusConflict,
	codes.ResourceExhausted:  http.StatusTooManyRequests,
	codes.Unimplemented:      http.StatusNotImplemented,
	codes.Unavailable:        http.StatusServiceUnavailable,
	codes.Canceled:           statusClientGone,
	codes.DeadlineExceeded:   http.StatusGatewayTimeout,
}

// Status returns the HTTP status that fits a fault; a dialect may answer with another.
func Status(f *fault.Fault) int {
	if status, ok := statusOfReason[f.Reason]; ok {
		return status
	}
	if status, ok := statusOfCode[f.Code]; ok {
		return status
	}
	return http.StatusInternalServerError
}

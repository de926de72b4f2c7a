package dialect

import (
	"net/http"
	"strconv"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/opsdeck/opsdeck/pkg/fault"

	"github.com/opsdeck/opsdeck/gateway/internal/wire"
)

// opsapi is the dialect of contract 002: bare objects, errors with a number.
var opsapi = &Dialect{
	Name: "opsapi",
	prefixes: []string{
		"/applications", "/application", "/audit", "/auth-tokens", "/common-utils", "/dns-services", "/external-navigators",
		"/hosts", "/productions", "/resource-request", "/roles", "/users", "/webshell",
	},
	caller:  header("Token", "Bearer"),
	encoder: wire.NewEncoder(wire.Rules{Time: localOffset}),
	success: func(d *Dialect, dst []byte, m protoreflect.Message, sent *wire.Sent) ([]byte, error) {
		return d.encoder.Append(dst, m, sent)
	},
	failure: func(dst []byte, status int, f *fault.Fault) (int, []byte) {
		code, ok := opsapiCodes[status]
		if !ok {
			code = opsapiCodes[http.StatusInternalServerError]
		}
		dst = strconv.AppendInt(append(dst, `{"error_code":`...), code, 10)
		dst = wire.AppendString(append(dst, `,"message":`...), f.Message)
		return status, append(dst, '}')
	},
}

// opsapiCodes are the numbers of errors that no endpoint numbers itself.
var opsapiCodes = map[int]int64{
	http.StatusInternalServerError:  10000,
	http.StatusBadRequest:           10001,
	http.StatusUnauthorized:         10002,
	http.StatusForbidden:            10003,
	http.StatusNotFound:             10004,
	http.StatusMethodNotAllowed:     10005,
	http.StatusConflict:             10006,
	http.StatusUnsupportedMediaType: 10007,
	http.StatusBadGateway:           10008,
}

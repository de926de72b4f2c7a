package dialect

import (
	"net/http"

	"google.golang.org/grpc/codes"

	"github.com/opsdeck/opsdeck/gateway/internal/wire"
)

// openc3 is the dialect of contract 001: {stat, data} or {stat, info}, both with status 200 as long as the backend works.
var openc3 = &Dialect{
	Name:     "openc3",
	prefixes: []string{"/api/job", "/api/agent", "/api/connector"},
	caller:   headerKeyOrCookie("Bearer"),
	encoder:  wire.NewEncoder(wire.Rules{Time: openc3Time}),
	success: func(d *Dialect, dst []byte, a Answer) ([]byte, error) {
		dst, err := d.payload(append(dst, `{"stat":true,"data":`...), a)
		return append(dst, '}'), err
	},
	failure: openc3Failure,
}

// openc3Failure keeps to the statuses of the document. A caller who is not signed in gets a code and no info, by which the
// pages know to go to the login.
func openc3Failure(dst []byte, f failed) (int, []byte) {
	if f.Code == codes.Unauthenticated {
		return http.StatusOK, append(dst, `{"stat":false,"code":10000}`...)
	}
	dst = append(wire.AppendString(append(dst, `{"stat":false,"info":`...), f.text), '}')
	if f.status < http.StatusInternalServerError && f.Reason != PathUnknown && f.Reason != MethodNotAllowed && f.Reason != BodyTooLarge {
		return http.StatusOK, dst
	}
	return f.status, dst
}

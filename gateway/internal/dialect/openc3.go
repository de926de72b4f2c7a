package dialect

import (
	"net/http"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/opsdeck/opsdeck/gateway/internal/wire"
)

// openc3 is the dialect of contract 001: {stat, data} or {stat, info}, both with status 200 as long as the backend works.
var openc3 = &Dialect{
	Name:     "openc3",
	prefixes: []string{"/api/job", "/api/agent", "/api/connector"},
	caller:   headerKeyOrCookie("Bearer"),
	encoder: wire.NewEncoder(wire.Rules{
		Time: openc3Time,
		Hide: wire.FieldSet(auth, "OpenSessionResponse.cookie", "OpenSessionResponse.max_age"),
	}),
	success: openc3Success,
	failure: openc3Failure,
}

// OpenC3Info reports whether the members of an answer stand beside stat, and not under data: where it has an info of its own.
func OpenC3Info(d protoreflect.MessageDescriptor) bool { return d.Fields().ByName("info") != nil }

func openc3Success(d *Dialect, dst []byte, a Answer) ([]byte, error) {
	if OpenC3Info(a.Message.Descriptor()) {
		dst, err := d.encoder.AppendMembers(append(dst, `{"stat":true,`...), a.Message, a.Sent)
		dst[len(dst)-1] = '}'
		return dst, err
	}
	dst, err := d.payload(append(dst, `{"stat":true,"data":`...), a)
	return append(dst, '}'), err
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

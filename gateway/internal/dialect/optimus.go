package dialect

import (
	"strconv"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/opsdeck/opsdeck/pkg/fault"

	"github.com/opsdeck/opsdeck/gateway/internal/wire"
)

// optimus is the dialect of contract 003: {status, code, data} or {status, code, message}, the code being the HTTP status.
var optimus = &Dialect{
	Name:     "optimus",
	prefixes: []string{"/api/v1", "/api/ericic/v1"},
	caller:   header("Bearer"),
	encoder: wire.NewEncoder(wire.Rules{Time: func(dst []byte, t time.Time) []byte {
		return strconv.AppendInt(dst, t.Unix(), 10)
	}}),
	success: func(d *Dialect, dst []byte, m protoreflect.Message, sent *wire.Sent) ([]byte, error) {
		dst, err := d.encoder.Append(append(dst, `{"status":true,"code":200,"data":`...), m, sent)
		return append(dst, '}'), err
	},
	failure: func(dst []byte, status int, f *fault.Fault) (int, []byte) {
		dst = strconv.AppendInt(append(dst, `{"status":false,"code":`...), int64(status), 10)
		dst = wire.AppendString(append(dst, `,"message":`...), f.Message)
		return status, append(dst, '}')
	},
}

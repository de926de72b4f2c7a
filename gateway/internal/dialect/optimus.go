package dialect

import (
	"net/http"
	"strconv"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"

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
	outcomes: map[protoreflect.FullName]outcome{
		auth + ".RefreshService.SignUp": {status: http.StatusCreated, noItems: true},
	},
	success: optimusSuccess,
	failure: func(dst []byte, f failed) (int, []byte) {
		dst = strconv.AppendInt(append(dst, `{"status":false,"code":`...), int64(f.status), 10)
		dst = wire.AppendString(append(dst, `,"message":`...), f.text)
		return f.status, append(dst, '}')
	},
}

// optimusSuccess leaves data out where an RPC has nothing to say, unless the document prints something there all the same.
func optimusSuccess(d *Dialect, dst []byte, a Answer) ([]byte, error) {
	rpc := a.Route.RPC.FullName()
	dst = strconv.AppendInt(append(dst, `{"status":true,"code":`...), int64(d.SuccessStatus(rpc)), 10)
	if a.Message.Descriptor().Fields().Len() == 0 {
		if d.NoItems(rpc) {
			dst = append(dst, `,"data":[]`...)
		}
		return append(dst, '}'), nil
	}
	dst, err := d.payload(append(dst, `,"data":`...), a)
	return append(dst, '}'), err
}

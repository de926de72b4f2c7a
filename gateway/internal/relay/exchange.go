package relay

import (
	"context"
	"net/http"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/opsdeck/opsdeck/gateway/internal/dialect"
	"github.com/opsdeck/opsdeck/gateway/internal/route"
	"github.com/opsdeck/opsdeck/gateway/internal/wire"
)

// exchange is one HTTP call while it is being relayed.
type exchange struct {
	dialect *dialect.Dialect
	route   *route.Route
	fields  bool          // the body holds form fields, not JSON
	sent    *wire.Sent    // what the JSON body said about its lists
	page    *dialect.Page // of the list that the call asks for; nil when it has no numbered pages
	refused error         // why the body was refused
}

type exchangeKey struct{}

func exchangeOf(ctx context.Context) *exchange {
	ex, _ := ctx.Value(exchangeKey{}).(*exchange)
	return ex
}

// rpc names the RPC of a call; "" before that is known.
func (ex *exchange) rpc() protoreflect.FullName {
	if ex.route == nil {
		return ""
	}
	return ex.route.RPC.FullName()
}

// writer returns where grpc-gateway writes the answer, which says 200 by not saying anything.
func (ex *exchange) writer(w http.ResponseWriter) http.ResponseWriter {
	if status := ex.dialect.SuccessStatus(ex.rpc()); status != http.StatusOK {
		return &successWriter{ResponseWriter: w, status: status}
	}
	return w
}

// successWriter answers with a status of its own when nobody has set one.
type successWriter struct {
	http.ResponseWriter
	status int
	begun  bool
}

func (w *successWriter) WriteHeader(status int) {
	w.begun = true
	w.ResponseWriter.WriteHeader(status)
}

func (w *successWriter) Write(b []byte) (int, error) {
	if !w.begun {
		w.WriteHeader(w.status)
	}
	return w.ResponseWriter.Write(b)
}

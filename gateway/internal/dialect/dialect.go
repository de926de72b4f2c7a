// Package dialect holds what the families of documented HTTP endpoints do differently from each other: how a credential comes in,
// how a request is read, how an answer and an error look. One file per family.
package dialect

import (
	"net/http"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/opsdeck/opsdeck/pkg/fault"

	"github.com/opsdeck/opsdeck/gateway/internal/route"
	"github.com/opsdeck/opsdeck/gateway/internal/wire"
)

// Encoding is a way in which the fields of a request travel, as a set.
type Encoding uint8

// The encodings of requests that have a body.
const (
	JSON  Encoding = 1 << iota // application/json
	Form                       // application/x-www-form-urlencoded
	Query                      // the URL, when the body is empty
)

// Dialect is one family of endpoints.
type Dialect struct {
	Name      string
	prefixes  []string                           // of the paths that speak it
	caller    func(r *http.Request) Credential   // who sends a request
	encodings map[protoreflect.FullName]Encoding // of RPCs that take more than JSON
	wrappers  []string                           // names under which a JSON body may stand alone
	aliases   map[string]string                  // query parameters with a second name
	fields    map[protoreflect.FullName]fields   // of RPCs whose body has more than one spelling
	names     wire.Names                         // second names of the fields of messages, wherever a body has them
	shape     wire.Shape                         // another shape of requests
	detours   map[string]Detour                  // by the route whose address the documents give to two RPCs
	questions map[string]string                  // paths of POSTs that GET asks as well, each with the query parameter that may hold the body
	paged     bool                               // lists have numbered pages
	outcomes  map[protoreflect.FullName]outcome  // of RPCs whose success is not 200 and their message
	encoder   *wire.Encoder                      // of answers
	success   func(d *Dialect, dst []byte, a Answer) ([]byte, error)
	failure   func(dst []byte, f failed) (int, []byte)
}

// fields are the liberties that the body of an RPC takes.
type fields struct {
	aliases map[string]string // second names, each with the name it stands for
	single  bool              // a lone text counts as a list, and a lone object as a body that is a list
}

// outcome is how an RPC succeeds otherwise than with 200 and its message.
type outcome struct {
	status  int  // of HTTP; 0 for 200
	noItems bool // an answer without fields is an empty array
}

// Answer is what an RPC answered, and to which call.
type Answer struct {
	Message protoreflect.Message
	Route   *route.Route
	Sent    *wire.Sent // what the request said about its lists
	Page    *Page      // that the call asked for; nil when its list has none
}

// failed is a fault on its way to the caller.
type failed struct {
	*fault.Fault
	status int                   // of HTTP, that fits the kind of the fault
	rpc    protoreflect.FullName // that failed; "" when it did not come to that
	text   string                // of the fault, in the caller's language
}

// all lists the dialects. The first answers paths that belong to none.
var all = []*Dialect{dtle, openc3, opsapi, optimus}

// All returns the dialects.
func All() []*Dialect { return all }

// Of returns the dialect that a path speaks.
func Of(path string) *Dialect {
	for _, d := range all {
		for _, prefix := range d.prefixes {
			if rest, ok := strings.CutPrefix(path, prefix); ok && (rest == "" || rest[0] == '/') {
				return d
			}
		}
	}
	return dtle
}

// Credential returns what a request says about who sends it.
func (d *Dialect) Credential(r *http.Request) Credential { return d.caller(r) }

// Encodings returns how the fields of an RPC's request may travel in a call that has a body.
func (d *Dialect) Encodings(rpc protoreflect.FullName) Encoding {
	if e, ok := d.encodings[rpc]; ok {
		return e
	}
	return JSON
}

// Request returns how the bodies and queries of a route become messages. Only a body that is one thing, and not a list of
// fields, may stand under a name of its own.
func (d *Dialect) Request(r *route.Route) wire.Request {
	own := d.fields[r.RPC.FullName()]
	request := wire.Request{
		Reserved: r.Variables, Aliases: own.aliases, Names: d.names, Mirrors: d.Rules().Mirrors, Shape: d.shape, Single: own.single,
		Partial: r.Method == http.MethodPatch,
	}
	if r.Body != "*" {
		request.Wrappers = d.wrappers
	}
	return request
}

// Question reports whether a path takes a GET in the place of its POST, with the question in the body or in a query parameter.
func (d *Dialect) Question(path string) (parameter string, ok bool) {
	parameter, ok = d.questions[path]
	return parameter, ok
}

// Aliases returns the second names of query parameters, each with the name it stands for.
func (d *Dialect) Aliases() map[string]string { return d.aliases }

// Names returns the second names of the fields of messages.
func (d *Dialect) Names() wire.Names { return d.names }

// Rules returns how messages are printed.
func (d *Dialect) Rules() wire.Rules { return d.encoder.Rules() }

// SuccessStatus returns the HTTP status of an RPC that succeeded.
func (d *Dialect) SuccessStatus(rpc protoreflect.FullName) int {
	if o := d.outcomes[rpc]; o.status != 0 {
		return o.status
	}
	return http.StatusOK
}

// NoItems reports whether the answer of an RPC, which has no fields, is an empty array.
func (d *Dialect) NoItems(rpc protoreflect.FullName) bool { return d.outcomes[rpc].noItems }

// Success prints an answer.
func (d *Dialect) Success(a Answer) ([]byte, error) {
	return d.success(d, make([]byte, 0, 512), a)
}

// Failure prints a fault in a language and returns the HTTP status to send it with. rpc is the one that failed; "" when it did
// not come to that.
func (d *Dialect) Failure(f *fault.Fault, rpc protoreflect.FullName, spoken Language) (int, []byte) {
	return d.failure(nil, failed{Fault: f, status: Status(f), rpc: rpc, text: spoken.text(f)})
}

// payload prints what an answer is about: its message, or the one field of it that the route picks.
func (d *Dialect) payload(dst []byte, a Answer) ([]byte, error) {
	if field := a.Route.ResponseField(); field != nil {
		return d.encoder.AppendField(dst, a.Message, field)
	}
	return d.encoder.Append(dst, a.Message, a.Sent)
}

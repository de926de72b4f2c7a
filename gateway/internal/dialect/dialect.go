// Package dialect holds what the families of documented HTTP endpoints do differently from each other: how a token comes in,
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
	detours   map[string]detour                  // paths that the documents give to two RPCs
	encoder   *wire.Encoder                      // of answers
	success   func(d *Dialect, dst []byte, m protoreflect.Message, sent *wire.Sent) ([]byte, error)
	failure   func(dst []byte, status int, f *fault.Fault) (int, []byte)
}

// fields are the liberties that the body of an RPC takes.
type fields struct {
	aliases map[string]string // second names, each with the name it stands for
	single  bool              // a lone text counts as a list
}

// detour is where a call goes whose body belongs to another RPC than its path.
type detour struct {
	path string
	when func(has func(member string) bool) bool
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
	request := wire.Request{Reserved: r.Variables, Aliases: own.aliases, Single: own.single}
	if r.Body != "*" {
		request.Wrappers = d.wrappers
	}
	return request
}

// Detour returns the path of the RPC that a call is meant for, when the documents give its path to two: has reports whether the
// body has a member. It is nil for a path that means one thing.
func (d *Dialect) Detour(path string) func(has func(member string) bool) string {
	other, ok := d.detours[path]
	if !ok {
		return nil
	}
	return func(has func(member string) bool) string {
		if other.when(has) {
			return other.path
		}
		return path
	}
}

// Aliases returns the second names of query parameters, each with the name it stands for.
func (d *Dialect) Aliases() map[string]string { return d.aliases }

// Rules returns how messages are printed.
func (d *Dialect) Rules() wire.Rules { return d.encoder.Rules() }

// Success prints an answer.
func (d *Dialect) Success(m protoreflect.Message, sent *wire.Sent) ([]byte, error) {
	return d.success(d, make([]byte, 0, 512), m, sent)
}

// Failure prints a fault and returns the HTTP status to send it with.
func (d *Dialect) Failure(f *fault.Fault) (int, []byte) {
	return d.failure(nil, Status(f), f)
}

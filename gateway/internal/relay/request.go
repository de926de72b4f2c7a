package relay

import (
	"errors"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/opsdeck/opsdeck/pkg/fault"

	"github.com/opsdeck/opsdeck/gateway/internal/dialect"
	"github.com/opsdeck/opsdeck/gateway/internal/edge"
)

// body is the body of a request on its way through grpc-gateway, which hands it to the marshaler.
type body struct {
	io.ReadCloser
	*exchange
}

const (
	jsonType = "application/json"
	formType = "application/x-www-form-urlencoded"
)

// read checks everything about a request that comes before its body, and returns the query that grpc-gateway shall see.
func (ex *exchange) read(r *http.Request) (query string, err error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return "", fault.Invalid("query", "is not well-formed: %s", strings.TrimPrefix(err.Error(), "invalid "))
	}
	if ex.route.Body == "" {
		return ex.readQuery(r.URL, values)
	}
	allowed := ex.dialect.Encodings(ex.route.RPC.FullName())
	if r.ContentLength == 0 && len(values) > 0 && allowed&dialect.Query != 0 {
		r.Body, ex.fields = io.NopCloser(strings.NewReader(r.URL.RawQuery)), true
		return "", nil
	}
	if len(values) > 0 {
		first := slices.Min(slices.Collect(maps.Keys(values)))
		return "", fault.Invalid(first, "there is no such query parameter")
	}
	if r.ContentLength == 0 && r.Header.Get("Content-Type") == "" && allowed&(dialect.Form|dialect.Query) != 0 {
		ex.fields = true // no body is a form without fields
		return "", nil
	}
	return "", ex.readType(r, allowed)
}

// readQuery checks the query of a call without a body. grpc-gateway reads it again: it is not as strict, so that all it sees
// is right.
func (ex *exchange) readQuery(u *url.URL, values url.Values) (string, error) {
	for alias, name := range ex.dialect.Aliases() {
		given, ok := values[alias]
		if !ok || ex.route.Input.Descriptor().Fields().ByName(protoreflect.Name(name)) == nil {
			continue
		}
		if values.Has(name) {
			return "", fault.Invalid(alias, "is another name of %s: give one of them", name)
		}
		delete(values, alias)
		values[name] = given
	}
	if err := ex.dialect.Request(ex.route).DecodeValues(values, "query parameter", ex.route.Input.New()); err != nil {
		return "", err
	}
	var err error
	if ex.page, err = ex.dialect.Page(ex.route, u, values); err != nil {
		return "", err
	}
	return values.Encode(), nil
}

func (ex *exchange) readType(r *http.Request, allowed dialect.Encoding) error {
	header := r.Header.Get("Content-Type")
	media, _, err := mime.ParseMediaType(header)
	switch {
	case header == "":
		return nil // JSON, as most clients without a library mean it
	case err == nil && (media == jsonType || strings.HasSuffix(media, "+json")):
		return nil
	case err == nil && media == formType && allowed&dialect.Form != 0:
		ex.fields = true
		return nil
	}
	wanted := jsonType
	if allowed&dialect.Form != 0 {
		wanted += " or " + formType
	}
	return &fault.Fault{
		Code: codes.InvalidArgument, Reason: dialect.TypeUnsupported,
		Message: "Content-Type: must be " + wanted,
	}
}

// decode reads the body into the message that grpc-gateway wants it in: the request, or a pointer to one of its fields.
func (b *body) decode(into any) error {
	b.refused = b.decodeInto(into)
	return b.refused
}

func (b *body) decodeInto(into any) error {
	data, err := io.ReadAll(b.ReadCloser)
	if err != nil {
		return unreadable(err)
	}
	request := b.dialect.Request(b.route)
	if list := b.route.ListBody(); list != nil {
		m := b.route.Input.New()
		if err := request.DecodeList(data, m, list); err != nil {
			return err
		}
		return assignList(into, m.Get(list).List())
	}
	m, err := b.route.BodyMessage()
	if err != nil {
		return err
	}
	if b.fields {
		values, err := url.ParseQuery(string(data))
		if err != nil {
			return fault.Invalid("body", "is not a well-formed form")
		}
		if err := request.DecodeValues(values, "form field", m); err != nil {
			return err
		}
		return assign(into, m)
	}
	if b.sent, err = request.Decode(data, m); err != nil {
		return err
	}
	return assign(into, m)
}

func unreadable(err error) error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return edge.TooLarge(tooLarge.Limit)
	}
	return fault.Invalid("body", "cannot be read").Wrap(err)
}

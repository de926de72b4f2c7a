package relay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/opsdeck/opsdeck/gateway/internal/dialect"
)

// answer is an RPC's answer together with the call it belongs to.
type answer struct {
	message  proto.Message
	exchange *exchange
}

// rewrite ties an answer to its call: the marshaler does not get the context.
func rewrite(ctx context.Context, message proto.Message) (any, error) {
	ex := exchangeOf(ctx)
	if ex == nil {
		return nil, errors.New("an answer without a call")
	}
	return answer{message: message, exchange: ex}, nil
}

// setCookie gives a browser what an answer has for it.
func (h *Relay) setCookie(_ context.Context, w http.ResponseWriter, message proto.Message) error {
	if cookie := dialect.CookieOf(message); cookie != nil { //nolint:gosec // CookieOf sets the rest
		cookie.Secure = h.door.TLS
		http.SetCookie(w, cookie)
	}
	return nil
}

// marshaler is how grpc-gateway reads and writes: by the dialect of the call.
type marshaler struct{}

// ContentType implements runtime.Marshaler.
func (marshaler) ContentType(any) string { return jsonType }

// Marshal implements runtime.Marshaler.
func (marshaler) Marshal(v any) ([]byte, error) {
	a, ok := v.(answer)
	if !ok {
		return nil, fmt.Errorf("an answer of type %T", v)
	}
	ex := a.exchange
	return ex.dialect.Success(dialect.Answer{Message: a.message.ProtoReflect(), Route: ex.route, Sent: ex.sent, Page: ex.page})
}

// NewDecoder implements runtime.Marshaler.
func (marshaler) NewDecoder(r io.Reader) runtime.Decoder {
	return runtime.DecoderFunc(func(v any) error {
		b, ok := r.(*body)
		if !ok {
			return fmt.Errorf("a body of type %T", r)
		}
		return b.decode(v)
	})
}

// Unmarshal implements runtime.Marshaler. grpc-gateway calls it for nothing that is relayed.
func (marshaler) Unmarshal([]byte, any) error {
	return errors.New("bodies are decoded as they come in")
}

// NewEncoder implements runtime.Marshaler.
func (m marshaler) NewEncoder(w io.Writer) runtime.Encoder {
	return runtime.EncoderFunc(func(v any) error {
		text, err := m.Marshal(v)
		if err != nil {
			return err
		}
		_, err = w.Write(text)
		return err
	})
}

// assign stores a decoded message where grpc-gateway wants it: in the request (*T), or in a field of it (**T).
func assign(into any, m protoreflect.Message) error {
	if target, ok := into.(proto.Message); ok {
		if target.ProtoReflect().Descriptor() != m.Descriptor() {
			return fmt.Errorf("a body of type %s where %T is wanted", m.Descriptor().FullName(), into)
		}
		proto.Merge(target, m.Interface())
		return nil
	}
	target := reflect.ValueOf(into)
	value := reflect.ValueOf(m.Interface())
	if target.Kind() != reflect.Pointer || target.Elem().Type() != value.Type() {
		return fmt.Errorf("a body of type %s where %T is wanted", m.Descriptor().FullName(), into)
	}
	target.Elem().Set(value)
	return nil
}

// assignList stores decoded messages where grpc-gateway wants them: in a repeated field of the request (*[]*T).
func assignList(into any, list protoreflect.List) error {
	target := reflect.ValueOf(into)
	if target.Kind() != reflect.Pointer || target.Elem().Kind() != reflect.Slice {
		return fmt.Errorf("a body that is a list where %T is wanted", into)
	}
	all := reflect.MakeSlice(target.Elem().Type(), 0, list.Len())
	for i := range list.Len() {
		element := reflect.ValueOf(list.Get(i).Message().Interface())
		if element.Type() != all.Type().Elem() {
			return fmt.Errorf("a body of %s where %T is wanted", element.Type(), into)
		}
		all = reflect.Append(all, element)
	}
	target.Elem().Set(all)
	return nil
}

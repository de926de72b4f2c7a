package apitest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/opsdeck/opsdeck/pkg/fault"
)

// Runner runs cases against a server.
type Runner struct {
	BaseURL string
	Client  *http.Client
	Tokens  map[string]string // by caller
	Scheme  string            // put before a token in Authorization over HTTP; "" for the bare token
	// Conn is where gRPC calls go.
	Conn grpc.ClientConnInterface
	// Check looks at every HTTP answer besides the case's own wishes; nil for none.
	Check func(t testing.TB, answer Answer)
}

// Answer is what came back over HTTP.
type Answer struct {
	Method, URL string
	Status      int
	Header      http.Header
	Body        []byte
}

// Run runs every case as parallel subtests, one for each transport.
func (r Runner) Run(t *testing.T, cases []Case) {
	t.Helper()
	for _, c := range cases {
		if c.HTTP != nil {
			t.Run(c.Name+"/http", func(t *testing.T) {
				t.Parallel()
				answer := r.Do(t, c.As, *c.HTTP)
				if r.Check != nil {
					r.Check(t, answer)
				}
				require.Empty(t, c.HTTP.Want.Problems(answer), "%d %s", answer.Status, answer.Body)
			})
		}
		if c.GRPC != nil {
			t.Run(c.Name+"/grpc", func(t *testing.T) {
				t.Parallel()
				answer, err := r.Invoke(t, c.As, *c.GRPC)
				require.Empty(t, c.GRPC.Problems(answer, err), "%v", err)
			})
		}
	}
}

// Do sends an HTTP request as a caller.
func (r Runner) Do(t testing.TB, as string, h HTTP) Answer {
	t.Helper()
	request, err := h.request(t.Context(), r.BaseURL)
	require.NoError(t, err)
	r.authorization(request.Header, r.token(t, as))
	response, err := r.Client.Do(request)
	require.NoError(t, err)
	defer func() { require.NoError(t, response.Body.Close()) }()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return Answer{Method: h.Method, URL: request.URL.RequestURI(), Status: response.StatusCode, Header: response.Header, Body: body}
}

func (r Runner) token(t testing.TB, as string) string {
	t.Helper()
	if as == Nobody {
		return ""
	}
	token, ok := r.Tokens[as]
	require.True(t, ok, "the runner has no caller %q", as)
	return token
}

// authorization is the header of a caller with a token.
func (r Runner) authorization(header http.Header, token string) {
	if token == "" || header.Get("Authorization") != "" {
		return
	}
	header.Set("Authorization", strings.TrimSpace(r.Scheme+" "+token))
}

// request is h as net/http sends it.
func (h HTTP) request(ctx context.Context, base string) (*http.Request, error) {
	body, contentType, err := h.body()
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, h.Method, base+h.Path, body)
	if err != nil {
		return nil, err
	}
	if len(h.Query) > 0 {
		query := request.URL.Query()
		for name, value := range h.Query {
			query.Set(name, value)
		}
		request.URL.RawQuery = query.Encode()
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	for name, value := range h.Header {
		request.Header.Set(name, value)
	}
	return request, nil
}

func (h HTTP) body() (body io.Reader, contentType string, err error) {
	switch {
	case h.Raw != nil:
		return strings.NewReader(*h.Raw), "application/json", nil
	case h.JSON != nil:
		text, err := json.Marshal(h.JSON)
		return bytes.NewReader(text), "application/json", err
	case h.Form != nil:
		form := url.Values{}
		for name, value := range h.Form {
			form.Set(name, value)
		}
		return strings.NewReader(form.Encode()), "application/x-www-form-urlencoded", nil
	}
	return http.NoBody, "", nil
}

// Invoke calls an RPC of the registry as a caller and returns its answer.
func (r Runner) Invoke(t testing.TB, as string, g GRPC) (proto.Message, error) {
	t.Helper()
	require.NotNil(t, r.Conn, "the runner has no gRPC connection")
	request, answer, err := g.messages()
	require.NoError(t, err)
	ctx := t.Context()
	if token := r.token(t, as); token != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
	}
	return answer, r.Conn.Invoke(ctx, "/"+g.Method, request, answer)
}

// messages finds the method in the registry of the program and makes its request and an empty answer.
func (g GRPC) messages() (request, answer proto.Message, err error) {
	descriptor, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(strings.ReplaceAll(g.Method, "/", ".")))
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w: the test must import its generated package", g.Method, err)
	}
	method, ok := descriptor.(protoreflect.MethodDescriptor)
	if !ok {
		return nil, nil, fmt.Errorf("%s is not a method", g.Method)
	}
	in, err := protoregistry.GlobalTypes.FindMessageByName(method.Input().FullName())
	if err != nil {
		return nil, nil, err
	}
	out, err := protoregistry.GlobalTypes.FindMessageByName(method.Output().FullName())
	if err != nil {
		return nil, nil, err
	}
	request, answer = in.New().Interface(), out.New().Interface()
	if g.Request == nil {
		return request, answer, nil
	}
	text, err := json.Marshal(g.Request)
	if err != nil {
		return nil, nil, err
	}
	return request, answer, protojson.Unmarshal(text, request)
}

// Problems returns what of an answer is not as wanted.
func (w HTTPAnswer) Problems(a Answer) []string {
	var problems []string
	wanted := false
	for _, status := range w.Status {
		wanted = wanted || status == a.Status
	}
	if !wanted {
		problems = append(problems, fmt.Sprintf("want status %v, got %d", w.Status, a.Status))
	}
	if w.Shape == nil && w.Body == nil && len(w.Message) == 0 {
		return problems
	}
	var body any
	if err := json.Unmarshal(a.Body, &body); err != nil {
		return append(problems, "the body is not JSON: "+err.Error())
	}
	if w.Shape != nil {
		problems = append(problems, SameShape(w.Shape, body)...)
	}
	if w.Body != nil {
		problems = append(problems, SameValue(w.Body, body)...)
	}
	return append(problems, w.messageProblems(body)...)
}

func (w HTTPAnswer) messageProblems(body any) []string {
	if len(w.Message) == 0 {
		return nil
	}
	object, _ := body.(map[string]any)
	message, ok := object["message"].(string)
	if !ok {
		return []string{"there is no text under message"}
	}
	var problems []string
	for _, text := range w.Message {
		if !strings.Contains(message, text) {
			problems = append(problems, fmt.Sprintf("message: want one with %q, got %q", text, message))
		}
	}
	return problems
}

// Problems returns what of an answer is not as wanted.
func (g GRPC) Problems(answer proto.Message, err error) []string {
	var problems []string
	if got := status.Code(err).String(); got != g.Code {
		problems = append(problems, fmt.Sprintf("want code %s, got %s", g.Code, got))
	}
	if f := fault.From(err); g.Reason != "" && (f == nil || f.Reason != g.Reason) {
		problems = append(problems, fmt.Sprintf("want reason %s, got %+v", g.Reason, f))
	}
	if message := status.Convert(err).Message(); !strings.Contains(message, g.Message) {
		problems = append(problems, fmt.Sprintf("want a message with %q, got %q", g.Message, message))
	}
	if g.Shape == nil || err != nil {
		return problems
	}
	text, err := protojson.MarshalOptions{UseProtoNames: true, EmitUnpopulated: true}.Marshal(answer)
	if err != nil {
		return append(problems, err.Error())
	}
	var body any
	if err := json.Unmarshal(text, &body); err != nil {
		return append(problems, err.Error())
	}
	return append(problems, SameShape(g.Shape, body)...)
}

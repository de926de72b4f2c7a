// Package client calls a running opsdeck over its HTTP API.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/opsdeck/opsdeck/pkg/app"

	"github.com/opsdeck/opsdeck/deploy/standalone/internal/terminal"
)

const (
	// callTime bounds a call. The longest that a server of its own default settings takes is half of it.
	callTime = time.Minute
	// maxAnswer bounds what is read of an answer, in bytes: twice what a gateway of default settings sends.
	maxAnswer = 32 << 20
)

// Token returns what to show with a call; "" for nothing.
type Token func(ctx context.Context) (string, error)

// Client calls one opsdeck.
type Client struct {
	server *url.URL
	token  Token
	http   *http.Client
}

// New returns a client of the opsdeck at server, which ParseServer returned.
func New(server *url.URL, token Token) *Client {
	return &Client{server: server, token: token, http: &http.Client{
		Timeout: callTime,
		// A redirect would take token and body along to where nobody has sent them.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Refused is the error of a call that the server answered, and did not carry out.
type Refused struct {
	Status  int    // of HTTP
	Message string // in one line, fit for a terminal
}

// Error implements error.
func (e *Refused) Error() string { return e.Message }

// Unreachable is the error of a call that nobody answered.
type Unreachable struct {
	Server string
	Err    error
}

// Error implements error.
func (e *Unreachable) Error() string {
	return fmt.Sprintf("opsdeck at %s cannot be reached: %v", e.Server, e.Err)
}

// Unwrap returns the cause.
func (e *Unreachable) Unwrap() error { return e.Err }

// Get asks for what is at a path and returns the JSON of the answer. Errors: *Refused, *Unreachable, those of the token, that of ctx.
func (c *Client) Get(ctx context.Context, path string, query url.Values) (json.RawMessage, error) {
	return c.call(ctx, http.MethodGet, path, query, nil)
}

// Post sends body as JSON and returns the JSON of the answer. Errors: as those of Get.
func (c *Client) Post(ctx context.Context, path string, body any) (json.RawMessage, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	return c.call(ctx, http.MethodPost, path, nil, text)
}

func (c *Client) call(ctx context.Context, method, path string, query url.Values, body []byte) (json.RawMessage, error) {
	token, err := c.token(ctx)
	if err != nil {
		return nil, err
	}
	to := c.server.JoinPath(path)
	to.RawQuery = query.Encode()
	request, err := http.NewRequestWithContext(ctx, method, to.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("User-Agent", "opsdeck/"+app.Version)
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	defer func() { _ = response.Body.Close() }() // read to its end below
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	if len(text) > maxAnswer {
		return nil, fmt.Errorf("the answer of %s is larger than %d MiB: ask for less", c.server.Host, maxAnswer>>20)
	}
	return answer(c.server, response, text)
}

// unreachable is the error of ctx, if that has ended the call. Errors of net/http name the whole URL, which the reader did not write.
func (c *Client) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var of *url.Error
	if errors.As(err, &of) {
		err = of.Err
	}
	return &Unreachable{Server: c.server.String(), Err: err}
}

// answer tells success from refusal.
func answer(server *url.URL, response *http.Response, text []byte) (json.RawMessage, error) {
	status := response.StatusCode
	switch {
	case status >= http.StatusMultipleChoices && status < http.StatusBadRequest:
		return nil, &Refused{status, fmt.Sprintf("%s sends callers on to %s: name that as the server", server, terminal.Text(response.Header.Get("Location")))}
	case status >= http.StatusBadRequest:
		var said struct {
			Message string `json:"message"`
		}
		if json.Unmarshal(text, &said) != nil || said.Message == "" {
			said.Message = fmt.Sprintf("%s answers %s: is it an opsdeck?", server, response.Status)
		}
		return nil, &Refused{status, terminal.Text(said.Message)}
	case !json.Valid(text):
		return nil, &Refused{status, fmt.Sprintf("%s answers something else than JSON: is it an opsdeck?", server)}
	}
	return text, nil
}
